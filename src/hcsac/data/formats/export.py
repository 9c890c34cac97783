"""Write episodes in a dataset format that can be written."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from hcsac.data.episode import Episode
from hcsac.data.formats.base import FORMATS
from hcsac.errors import UserError, unknown
from hcsac.files import sync, told


def export(episodes: Iterable[Episode], task: str, form: str, output: Path) -> None:
    """Make the file or folder `output`; it appears when it is complete.

    Raises:
        UserError: no format of that name can be written, `output` exists, or it cannot be written.
    """
    writable = {name: item for name, item in FORMATS.items() if hasattr(item, "write")}
    if form not in writable:
        raise unknown("dataset format that can be written", form, list(writable))
    if output.exists():
        raise UserError(f"{output} exists; choose another --output, or remove it.")
    hidden = output.with_name(f".{output.name}.unfinished")
    with told(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        _remove(hidden)
        try:
            writable[form].write(hidden, episodes, task)
            for path in (hidden, *hidden.rglob("*")):
                sync(path)
            hidden.rename(output)
            sync(output.parent)
        finally:
            _remove(hidden)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
