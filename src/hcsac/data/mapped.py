"""D as files in a folder, mapped instead of read: for data larger than memory."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from hcsac.data.build import Source, lay_out
from hcsac.data.dataset import Dataset
from hcsac.errors import UserError

_TOLD = "layout.json"


def map_dataset(folder: Path, sources: Sequence[Source], alignment: str, made_from: Any) -> Dataset:
    """The dataset in `folder`, laid out there first unless it is already.

    Args:
        made_from: JSON that changes when the data do; a folder laid out from something else is refused.

    Raises:
        UserError: the folder holds something else, or the data are refused by `lay_out`.
    """
    made_from = json.loads(json.dumps([alignment, made_from]))
    if not (folder / _TOLD).is_file():
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{folder} holds something else; name another folder for the mapped data.")
        _write(folder, sources, alignment, made_from)
    try:
        told = json.loads((folder / _TOLD).read_text())
    except ValueError as error:
        raise UserError(f"{folder / _TOLD} is damaged; remove {folder}, and it is laid out anew.") from error
    if told["made_from"] != made_from:
        raise UserError(f"{folder} holds other data, or these as they were before; remove it or name another folder.")
    arrays = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in folder.glob("*.npy")}
    return Dataset(**arrays, physics=None, task_names=tuple(told["task_names"]), behaviour=told["behaviour"])


def _write(folder: Path, sources: Sequence[Source], alignment: str, made_from: Any) -> None:
    part = folder.with_name(folder.name + ".part")  # it gets its name when it is complete
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot make {folder} ({error.strerror}); name a folder that can be written.") from error

    def place(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        return np.lib.format.open_memmap(part / f"{name}.npy", "w+", np.dtype(dtype), shape)

    try:
        fields = lay_out(sources, alignment, place, keep_physics=False)
    except BaseException as error:
        shutil.rmtree(part)
        if isinstance(error, OSError):
            raise UserError(f"cannot write {folder} ({error.strerror}); free some space or name another.") from error
        raise
    np.save(part / "episode_start.npy", fields["episode_start"])
    told = {"made_from": made_from, "task_names": fields["task_names"], "behaviour": fields["behaviour"]}
    (part / _TOLD).write_text(json.dumps(told, indent=2))
    if folder.exists():
        folder.rmdir()
    part.rename(folder)
