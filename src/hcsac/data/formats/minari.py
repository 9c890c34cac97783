"""Minari datasets, the native format: steps keep their simulator state, metadata their task and dataset return.

Minari and h5py are imported where a dataset is read: a policy acts on machines that have neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hcsac.data.episode import Episode
from hcsac.data.formats.base import dataset_format
from hcsac.data.formats.untrusted import require_plain_hdf5
from hcsac.data.refs import read_metadata
from hcsac.tasks import ActionBounds, box_size, task_of_env

if TYPE_CHECKING:
    import minari


@dataset_format("minari")
class MinariFormat:
    """The folder of a Minari dataset."""

    def matches(self, path: Path) -> bool:
        """Whether it has Minari's metadata."""
        return (path / "data" / "metadata.json").is_file()

    def read(self, path: Path) -> Iterator[Episode]:
        """The episodes as Minari numbers them."""
        for episode in _open(path).iterate_episodes():
            yield from_minari(episode)

    def task(self, path: Path) -> str | None:
        """The task in the metadata, else the one registered for the dataset's environment."""
        named = read_metadata(path).get("task")
        spec = _open(path).env_spec
        if named or spec is None:
            return named
        return task_of_env(spec.id, spec.kwargs)

    def metadata(self, path: Path) -> dict[str, Any]:
        """As Minari keeps them."""
        return read_metadata(path)

    def bounds(self, path: Path) -> ActionBounds | None:
        """Those of its action space, if they have an end."""
        bounds = ActionBounds.of_space(_open(path).action_space)
        return bounds if bounds.finite else None

    def lengths(self, path: Path) -> list[int]:
        """Steps of every episode, without reading one."""
        dataset = _open(path)
        steps = dataset.storage.get_episode_metadata(dataset.episode_indices)
        return [int(episode["total_steps"]) for episode in steps]


def _open(path: Path) -> minari.MinariDataset:
    import minari

    for file in (path / "data").glob("*.hdf5"):
        require_plain_hdf5(file)
    dataset = minari.MinariDataset(path / "data")
    box_size(dataset.observation_space, f"dataset {path}: the observation space")
    box_size(dataset.action_space, f"dataset {path}: the action space")
    return dataset


def from_minari(episode: minari.EpisodeData) -> Episode:
    """One of Minari's episodes as ours."""
    physics = (episode.infos or {}).get("physics")
    return Episode(
        observation=np.asarray(episode.observations, np.float32),
        action=np.asarray(episode.actions, np.float32),
        reward=np.asarray(episode.rewards, np.float32),
        terminated=np.asarray(episode.terminations, bool),
        truncated=np.asarray(episode.truncations, bool),
        physics=physics if isinstance(physics, np.ndarray) else None,
    )
