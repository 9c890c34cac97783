"""Minari datasets whose metadata say something else than their episodes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from hcsac.data import Episode, load, store
from hcsac.data.describe import describe
from hcsac.errors import UserError

NAME = "test/walk-v0"


def _without_episode_1(file: h5py.File, metadata: dict[str, Any]) -> None:
    del file["episode_1"]


def _episode_1_as_9(file: h5py.File, metadata: dict[str, Any]) -> None:
    file.move("episode_1", "episode_9")


def _more_episodes(file: h5py.File, metadata: dict[str, Any]) -> None:
    metadata["total_episodes"] += 1


def _fewer_episodes(file: h5py.File, metadata: dict[str, Any]) -> None:
    metadata["total_episodes"] -= 1


def _fewer_steps(file: h5py.File, metadata: dict[str, Any]) -> None:
    metadata["total_steps"] -= 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_episode_1, "but not episode 1; number them from 0"),
        (_episode_1_as_9, "but not episode 1; number them from 0"),
        (_more_episodes, "total_episodes = 4, but the dataset has 3"),
        (_fewer_episodes, "total_episodes = 2, but the dataset has 3"),
        (_fewer_steps, "total_steps = .*, but the episodes have"),
    ],
)
def test_episodes_that_metadata_do_not_know_are_never_skipped(
    folder: Path,
    small: list[Episode],
    damage: Callable[[h5py.File, dict[str, Any]], None],
    message: str,
) -> None:
    store.write(NAME, "walker-walk", [small[0], small[1], small[0]])
    data = folder / NAME / "data"
    metadata = json.loads((data / "metadata.json").read_text())
    with h5py.File(data / "main_data.hdf5", "a") as file:
        damage(file, metadata)
    (data / "metadata.json").write_text(json.dumps(metadata))
    for read in (load, describe):
        with pytest.raises(UserError, match=message):
            read(NAME)
