"""The exception for errors of use: one sentence that says what, where, and how to fix it."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class UserError(Exception):
    """Bad input. The command line prints the sentence alone and exits with status 2."""


class Stopped(KeyboardInterrupt):
    """The process was told to stop, and has. `number` is that of the signal."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a table, with the nearest right one (or all of them)."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}."
    return UserError(f"unknown {kind} {name!r}; {hint}")


_FIXES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOENT: "its folder is gone: restore it",
    errno.EIO: "check the disk",
}


def file_error(verb: str, path: object, error: OSError) -> UserError:
    """The error for a file that the system does not let us `verb` (read, write): what, where, why and what to do."""
    reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return UserError(f"cannot {verb} {path} ({reason}); {_FIXES.get(error.errno or 0, 'check the disk')}.")


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """A block that imports what the installation hcsac[`extra`] brings; a `UserError` where a library is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or str(error)).partition(".")[0]
        raise UserError(f"this needs {library}, which is not installed; pip install 'hcsac[{extra}]'.") from error
