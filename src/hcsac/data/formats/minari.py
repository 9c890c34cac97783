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
from hcsac.errors import UserError
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
        dataset = _open(path)
        _whole_lengths(path, dataset)
        for episode in dataset.iterate_episodes():
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

    def time_limit(self, path: Path) -> int | None:
        """That of the environment that it records."""
        spec = _open(path).env_spec
        return None if spec is None else spec.max_episode_steps

    def lengths(self, path: Path) -> list[int]:
        """Steps of every episode, without reading one."""
        return _whole_lengths(path, _open(path))


def _open(path: Path) -> minari.MinariDataset:
    import minari

    for file in (path / "data").glob("*.hdf5"):
        require_plain_hdf5(file)
    dataset = minari.MinariDataset(path / "data")
    box_size(dataset.observation_space, f"dataset {path}: the observation space")
    box_size(dataset.action_space, f"dataset {path}: the action space")
    return dataset


def _whole_lengths(path: Path, dataset: minari.MinariDataset) -> list[int]:
    """Steps of every episode. Raises `UserError` for other ones than the metadata say: Minari would skip them."""
    data = path / "data"
    if dataset.storage.FORMAT == "hdf5":
        import h5py

        with h5py.File(data / "main_data.hdf5") as file:
            found = {name.removeprefix("episode_") for name in file if name.startswith("episode_")}
    else:
        found = {folder.name for folder in data.iterdir() if folder.is_dir()}
    numbers = sorted(int(name) for name in found if name.isdecimal())
    metadata = read_metadata(path)
    missing = sorted(set(range(len(numbers))) - set(numbers))
    if missing:
        raise UserError(
            f"dataset {path} has {len(numbers)} episodes, but not episode {missing[0]}; number them from 0 to "
            f"{len(numbers) - 1}, or write the dataset again."
        )
    if metadata["total_episodes"] != len(numbers):
        raise UserError(
            f"{data / 'metadata.json'} says total_episodes = {metadata['total_episodes']}, but the dataset has "
            f"{len(numbers)}; correct the number, or write the dataset again."
        )
    steps = [int(each["total_steps"]) for each in dataset.storage.get_episode_metadata(dataset.episode_indices)]
    if metadata["total_steps"] != sum(steps):
        raise UserError(
            f"{data / 'metadata.json'} says total_steps = {metadata['total_steps']}, but the episodes have "
            f"{sum(steps)}; correct the number, or write the dataset again."
        )
    return steps


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
