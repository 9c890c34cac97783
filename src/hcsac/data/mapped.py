"""D as files in a folder, mapped instead of read: for data larger than memory."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from hcsac.data.build import Origin, Source, build
from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.files import parse_object, sync
from hcsac.tasks import ActionBounds

FORMAT = 4  # of the folder; one of another format is written again
_LAYOUT = "layout.json"


def map_dataset(
    folder: Path, sources: Callable[[], Sequence[Source]], origins: Sequence[Origin], alignment: str, made_from: Any
) -> Dataset:
    """The dataset in `folder`, written there first unless it is already.

    Args:
        sources: gives the episodes to write, where there is something to write.
        origins: where they come from, kept in the folder beside the arrays.
        made_from: JSON that changes when the data do; a folder written from something else is refused.

    Raises:
        UserError: the folder has something else in it, or `build` refuses the data.
    """
    made_from = json.loads(json.dumps([alignment, made_from]))
    if not (folder / _LAYOUT).is_file() and folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} has something else in it; name another folder for the mapped data.")
    layout = _read_layout(folder)
    if layout is not None and layout.get("made_from") != made_from:
        raise UserError(f"{folder} has other data, or these as they were before; remove it or name another folder.")
    if layout is None or layout.get("format") != FORMAT:
        episodes = sources()
        layout = {
            "format": FORMAT,
            "made_from": made_from,
            "task_names": list(dict.fromkeys(source.task for source in episodes)),
            "origins": [list(origin) for origin in origins],
            "alignment": alignment,
        }
        _write(folder, episodes, layout)
    arrays = {name: _open(folder, name, digest) for name, digest in layout["digests"].items()}
    return Dataset(
        **arrays,
        physics=None,
        task_names=tuple(layout["task_names"]),
        origins=tuple(Origin(*origin) for origin in layout["origins"]),
        bounds=ActionBounds(*(np.array(end, np.float32) for end in layout["bounds"])),
        alignment=layout["alignment"],
    )


def _open(folder: Path, name: str, digest: str) -> np.ndarray:
    """An array of the folder, mapped, whose file is as it was written."""
    path = folder / f"{name}.npy"
    try:
        if _digest(path) != digest:
            raise ValueError("its content does not match its digest")
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is corrupt ({error}); remove {folder}, and it is written again.") from error
    return array


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _read_layout(folder: Path) -> dict[str, Any] | None:
    file = folder / _LAYOUT
    if not file.is_file():
        return None
    try:
        layout = parse_object(file.read_text())
        if layout.get("format") == FORMAT and layout.get("sum") != _sum(layout):
            raise ValueError("its content does not match its digest")
    except ValueError as error:
        raise UserError(f"{file} is corrupt ({error}); remove {folder}, and it is written again.") from error
    return layout


def _sum(layout: dict[str, Any]) -> str:
    content = {key: value for key, value in layout.items() if key != "sum"}
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write(folder: Path, sources: Sequence[Source], layout: dict[str, Any]) -> None:
    part = folder.with_name(folder.name + ".part")  # it gets its name when it is complete
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot make {folder} ({error.strerror}); name a folder that can be written.") from error

    def place(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        return np.lib.format.open_memmap(part / f"{name}.npy", "w+", np.dtype(dtype), shape)

    try:
        bounds: ActionBounds = build(sources, layout["alignment"], place, keep_physics=False)["bounds"]
        layout["bounds"] = [end.tolist() for end in bounds]
        layout["digests"] = {path.stem: _digest(path) for path in sorted(part.glob("*.npy"))}
        layout["sum"] = _sum(layout)
        (part / _LAYOUT).write_text(json.dumps(layout, indent=2))
        for path in part.iterdir():
            sync(path)
    except BaseException as error:
        shutil.rmtree(part)
        if isinstance(error, OSError):
            raise UserError(f"cannot write {folder} ({error.strerror}); free some space or name another.") from error
        raise
    if folder.exists():
        shutil.rmtree(folder)  # empty, or of an older format
    part.rename(folder)
