"""Small real episodes: random actions in the real simulator, cut short."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcsac.data import Episode
from hcsac.data.episode import to_arrivals
from hcsac.tasks import random_rollout


def _episodes(task: str) -> list[Episode]:
    return [Episode(**random_rollout(task, seed)) for seed in range(2)]


@pytest.fixture(scope="session")
def walk() -> list[Episode]:
    """Two whole episodes of random actions in walker-walk."""
    return _episodes("walker-walk")


@pytest.fixture(scope="session")
def run() -> list[Episode]:
    """Two whole episodes of random actions in walker-run."""
    return _episodes("walker-run")


@pytest.fixture
def small(walk: list[Episode]) -> list[Episode]:
    """The same, cut to five steps each."""
    return [cut(episode, 5) for episode in walk]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty local Minari store."""
    folder = tmp_path / "minari"
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder))
    return folder


def cut(episode: Episode, steps: int) -> Episode:
    """The first steps, truncated there."""
    truncated = np.arange(steps) == steps - 1
    short = {name: getattr(episode, name)[:steps] for name in ("action", "reward", "terminated")}
    assert episode.physics is not None
    return replace(
        episode,
        observation=episode.observation[: steps + 1],
        physics=episode.physics[: steps + 1],
        truncated=truncated,
        **short,
    )


def save(folder: Path, episodes: list[Episode]) -> Path:
    """Write episodes in the .npz layout."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, episode in enumerate(episodes):
        np.savez(folder / f"episode_{number:06d}_{len(episode)}.npz", **to_arrivals(episode))
    return folder


def same(one: Episode, other: Episode) -> bool:
    """Whether two episodes hold exactly the same numbers."""
    names = ("observation", "action", "reward", "terminated", "truncated", "physics")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
