"""Writing a file as a whole: a reader sees the old content or the new one, never a part."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hcsac.errors import UserError
from hcsac.files import write_atomically


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to, which takes the place of `path` at the end.

    Raises:
        UserError: `path` cannot be written; what was there before stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary:
            yield temporary
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}); choose another --output that can be written."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write `text` in UTF-8. Raises `UserError` as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
