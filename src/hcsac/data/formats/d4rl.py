"""HDF5 files of flat rows, as D4RL has them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hcsac.data.episode import Episode
from hcsac.data.formats.base import dataset_format
from hcsac.data.formats.columns import Hdf5Columns
from hcsac.data.formats.flat import Names, count_steps, read_flat

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
OBSERVATION, ACTION, REWARD, NEXT = "observations", "actions", "rewards", "next_observations"
PHYSICS, NEXT_PHYSICS = "infos/physics", "infos/next_physics"  # of files that hcsac writes
CHUNK = 4096  # rows
POSITION, VELOCITY = "infos/qpos", "infos/qvel"  # of D4RL's


@dataset_format("hdf5")
class D4rlFormat:
    """An HDF5 file with the arrays observations, actions, rewards, terminals and timeouts, a row a step."""

    rewards_optional = True

    def matches(self, path: Path) -> bool:
        """Whether it is an HDF5 file with observations and actions at its top."""
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return False
        import h5py

        try:
            with h5py.File(path) as opened:
                return OBSERVATION in opened and ACTION in opened
        except OSError:  # damaged; reading it says how
            return True

    def read(self, path: Path) -> Iterator[Episode]:
        """Up to each terminal state or timeout; without next observations as `flat.to_episode` says."""
        with Hdf5Columns(path) as columns:
            yield from read_flat(columns, _names(columns), str(path))

    def write(self, path: Path, episodes: Iterable[Episode], task: str) -> None:
        """With next observations, and simulator states where every episode has them."""
        import h5py

        with h5py.File(path, "w") as file:
            for episode in episodes:
                rows = {
                    OBSERVATION: episode.observation[:-1],
                    ACTION: episode.action,
                    REWARD: episode.reward,
                    NEXT: episode.observation[1:],
                    "terminals": episode.terminated,
                    "timeouts": _at_end(episode),
                }
                if episode.physics is not None:
                    rows |= {PHYSICS: episode.physics[:-1], NEXT_PHYSICS: episode.physics[1:]}
                _append(file, rows)

    def lengths(self, path: Path) -> list[int]:
        """Steps of every episode."""
        with Hdf5Columns(path) as columns:
            return count_steps(columns, NEXT in columns, str(path))


def _at_end(episode: Episode) -> np.ndarray:
    """1 in the last row, unless it is a terminal state: rows of the next episode follow."""
    last = np.arange(len(episode)) == len(episode) - 1
    return last & ~episode.terminated


def _append(file: Any, rows: dict[str, np.ndarray]) -> None:
    for name, part in rows.items():
        if name not in file:
            file.create_dataset(name, data=part, maxshape=(None, *part.shape[1:]), chunks=(CHUNK, *part.shape[1:]))
        else:
            file[name].resize(len(file[name]) + len(part), 0)
            file[name][-len(part) :] = part


def _names(columns: Hdf5Columns) -> Names:
    ours = PHYSICS in columns and NEXT_PHYSICS in columns
    theirs = not ours and POSITION in columns and VELOCITY in columns
    return Names(
        OBSERVATION,
        ACTION,
        REWARD if REWARD in columns else None,
        NEXT if NEXT in columns else None,
        (PHYSICS,) if ours else (POSITION, VELOCITY) if theirs else (),
        (NEXT_PHYSICS,) if ours else (),
    )
