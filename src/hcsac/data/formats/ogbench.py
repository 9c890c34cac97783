"""OGBench's .npz files: flat rows without rewards, whose last row of an episode is its last observation."""

from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from hcsac.data.episode import Episode
from hcsac.data.formats.base import dataset_format
from hcsac.data.formats.columns import NpzColumns
from hcsac.data.formats.ends import read_ends
from hcsac.data.formats.flat import Rows, spans, to_episode
from hcsac.errors import UserError

_NEEDED = {"observations.npy", "actions.npy", "terminals.npy"}


@dataset_format("ogbench")
class OgbenchFormat:
    """An .npz file with the arrays observations, actions and terminals, and no rewards."""

    rewards_optional = True

    def matches(self, path: Path) -> bool:
        """Whether it is such an archive."""
        try:
            if not path.is_file() or path.suffix != ".npz":
                return False
            with ZipFile(path) as archive:
                names = set(archive.namelist())
        except (BadZipFile, OSError):
            return False
        return names >= _NEEDED and "rewards.npy" not in names

    def read(self, path: Path) -> Iterator[Episode]:
        """Up to each row that `terminals` marks, which has no action of its own. Nothing ends in a terminal state."""
        with NpzColumns(path) as columns:
            border = _border(columns, path)
            kinds = {name: columns[name] for name in ("observations", "actions", "qpos", "qvel") if name in columns}
            for name, column in kinds.items():
                if len(column.shape) != 2 or column.shape[0] != len(border):
                    raise UserError(
                        f"{path}: {name} has shape {tuple(column.shape)}, but terminals has {len(border)} rows; "
                        "download the file again."
                    )
            for first, stop in spans(border):
                rows = {name: column[first:stop] for name, column in kinds.items()}
                states = [rows[name] for name in ("qpos", "qvel") if name in rows]
                parts = Rows(
                    observation=rows["observations"],
                    action=rows["actions"],
                    reward=None,
                    terminated=np.zeros(stop - first, bool),
                    physics=np.concatenate(states, 1) if len(states) == 2 else None,
                )
                episode = to_episode(parts, f"{path}, rows {first} to {stop - 1}")
                if episode is not None:
                    yield episode

    def lengths(self, path: Path) -> list[int]:
        """Steps of every episode."""
        with NpzColumns(path) as columns:
            return [stop - first - 1 for first, stop in spans(_border(columns, path)) if stop - first > 1]


def _border(columns: NpzColumns, path: Path) -> np.ndarray:
    flags = columns["terminals"]
    border = read_ends({"terminals": flags[:]}, flags.shape[0] if flags.shape else 0, str(path)).terminated
    if not border.any():
        raise UserError(f"{path}: terminals marks no last row of an episode; download the file again.")
    return border
