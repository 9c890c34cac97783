"""Folders of .npz episodes: one file an episode, rows written on arrival (see `hcsac.data.episode`)."""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hcsac.data.episode import Episode, from_arrivals, to_arrivals
from hcsac.data.formats.base import dataset_format
from hcsac.data.formats.ends import BORDERS, KNOWN, read_ends, require_understood
from hcsac.data.formats.untrusted import require_plain_npz
from hcsac.data.validate import validate, validate_sizes
from hcsac.errors import UserError

REQUIRED = ("observation", "action", "reward")
OPTIONAL = ("discount", "physics")
_DIMENSIONS = {"observation": (2,), "action": (2,), "reward": (1, 2), "discount": (1, 2), "physics": (2,)}


@dataset_format("npz")
class NpzFormat:
    """A folder of .npz episodes, or one with such a folder `data`."""

    def matches(self, path: Path) -> bool:
        """Whether a file there ends in .npz."""
        return path.is_dir() and any(_files(path))

    def read(self, path: Path) -> Iterator[Episode]:
        """One episode a file, in the order of their names."""
        return (read_episode(file, np.float64) for file in _files(path))

    def write(self, path: Path, episodes: Iterable[Episode], task: str) -> None:
        """A folder with a file for each episode."""
        path.mkdir()
        for number, episode in enumerate(episodes):
            np.savez_compressed(path / f"{number:06d}.npz", allow_pickle=False, **to_arrivals(episode))

    def unread(self, path: Path) -> list[str]:
        """Arrays that say nothing of an episode that is used."""
        names: set[str] = set()
        for file in _files(path):
            with zipfile.ZipFile(file) as archive:
                names |= {name.removesuffix(".npy") for name in archive.namelist()}
        return sorted(names - {*REQUIRED, *OPTIONAL, *KNOWN, *BORDERS})


def read_directory(directory: str | Path) -> list[Episode]:
    """All episodes of `directory/*.npz` (or of `directory/data/*.npz`), in the order of the file names.

    Raises:
        UserError: something is not such an episode; it names the file and says how to fix it.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError(f"{directory}: no such folder; name the folder of the .npz episodes.")
    files = _files(directory)
    if not files:
        raise UserError(f"{directory} has no .npz file, nor has {directory / 'data'}; name the folder that has.")
    episodes = [read_episode(file) for file in files]
    validate_sizes(episodes, [str(file) for file in files])
    return episodes


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.npz")) or sorted((directory / "data").glob("*.npz"))


def read_episode(file: Path, kind: type[np.floating[Any]] = np.float32) -> Episode:
    """One episode; keys observation [T+1, S], action [T+1, A], reward [T+1, 1], optionally physics.

    Whether its last observation is a terminal state is said by an array of `ends.KNOWN`, or by a discount of 0 there;
    without either it is not. `kind` is the type of observations of more than float32.
    """
    rows = _read_arrays(file)
    lengths = {key: len(array) for key, array in rows.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{key} {length}" for key, length in lengths.items())
        longer = [key for key, length in lengths.items() if length > lengths["observation"]]
        what = f"the labels are longer than the data ({listed})" if longer else f"arrays of unequal length ({listed})"
        raise UserError(f"{file}: {what}; cut them to the rows that belong together, one per observation.")
    kept = {key: rows[key] for key in (*REQUIRED, "physics") if key in rows}
    episode = from_arrivals(**kept, discount=_discount(rows, str(file)))
    if kept["observation"].dtype == np.float64 == kind:
        episode = replace(episode, observation=kept["observation"])
    validate(episode, str(file))
    return episode


def _discount(rows: dict[str, np.ndarray], where: str) -> np.ndarray | None:
    """0 where a terminal state is reached, as all arrays together say; None where none says anything of it."""
    flags = {key: array for key, array in rows.items() if key in KNOWN}
    given = rows.get("discount")
    if not flags:
        ended = None if given is None else given.reshape(-1) == 0
    else:
        ended = read_ends(flags, len(rows["observation"]), where).terminated
        if given is not None and not np.array_equal((given.reshape(-1) == 0)[1:], ended[1:]):
            raise UserError(f"{where}: discount and {' and '.join(flags)} differ on the terminal states; keep one.")
    if ended is None:
        return None
    if ended[1:-1].any():
        row = int(np.argmax(ended[1:-1])) + 1
        fix = "end the episode there" if flags else "end the episode there, or, if these are done flags, call it done"
        raise UserError(
            f"{where}: {' and '.join(flags) or 'a discount of 0'} marks row {row} as a terminal state, and rows "
            f"follow; {fix}."
        )
    return np.where(ended, 0.0, 1.0)


def _read_arrays(file: Path) -> dict[str, np.ndarray]:
    try:
        if zipfile.is_zipfile(file):
            require_plain_npz(file)
        # Never with pickles: reading one runs whatever code its writer put there.
        opened = np.load(file, allow_pickle=False)
        if not isinstance(opened, np.lib.npyio.NpzFile):
            raise UserError(f"{file}: not an .npz archive; write it with numpy.savez.")
        with opened as archive:
            missing = [key for key in REQUIRED if key not in archive]
            if missing:
                names = ", ".join(archive.files) or "none"
                raise UserError(
                    f"{file}: has no {' and no '.join(missing)} (its arrays: {names}); rename or add the arrays."
                )
            require_understood((key for key in archive if key not in OPTIONAL), str(file))
            rows = {key: archive[key] for key in REQUIRED + OPTIONAL + KNOWN if key in archive}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        if "pickle" in str(error):
            raise UserError(
                f"{file}: has pickled objects, which are never loaded since they can run code; "
                "save plain arrays of numbers with numpy.savez."
            ) from error
        raise UserError(f"{file}: truncated or corrupt ({error}); copy it again or leave it out.") from error
    for key, array in rows.items():
        _require_numbers(file, key, array)
    return rows


def _require_numbers(file: Path, key: str, array: np.ndarray) -> None:
    if array.dtype.kind not in "fiub":
        raise UserError(f"{file}: {key} has the type {array.dtype}, not numbers; save it as float32.")
    wanted = _DIMENSIONS.get(key, (1, 2))
    if array.ndim not in wanted or (wanted == (1, 2) and array.ndim == 2 and array.shape[1] != 1):
        shape = "[T+1] or [T+1, 1]" if wanted == (1, 2) else f"[T+1, size of {key}]"
        raise UserError(f"{file}: {key} has shape {array.shape}, but must be {shape}.")
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise UserError(f"{file}: {key} has NaN or infinity, first in row {row}; leave the file out or log it again.")
