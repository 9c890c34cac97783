"""Chosen steps of some episodes, and values at them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hcsac.data.episode import Episode, inner_steps


@dataclass(frozen=True)
class Steps:
    """n pairs (episode, step) of some episodes."""

    episodes: Sequence[Episode]
    episode: np.ndarray  # [n] int64
    step: np.ndarray  # [n] int64

    def __len__(self) -> int:
        return len(self.step)

    def take(self, of: Callable[[Episode], np.ndarray | None], offset: int = 0) -> np.ndarray:
        """The value of `of` at step + offset, [n, ...]; it must not be None in any episode."""
        rows = [of(self.episodes[e])[t] for e, t in zip(self.episode, self.step + offset, strict=True)]  # type: ignore[index]
        return np.stack(rows)

    def where(self, index: int) -> str:
        """As `episode 3, step 17`."""
        return f"episode {self.episode[index]}, step {self.step[index]}"

    def at(self, chosen: np.ndarray) -> "Steps":
        """Only the `chosen` ones, a mask or indices."""
        return Steps(self.episodes, self.episode[chosen], self.step[chosen])


def choose(episodes: Sequence[Episode], count: int, seed: int, reach: int = 0) -> Steps:
    """All steps in order, or `count` drawn at random if there are more; `reach` leaves so many out at both ends."""
    steps = [inner_steps(episode, reach) for episode in episodes]
    everything = Steps(
        episodes,
        np.repeat(np.arange(len(steps)), [len(each) for each in steps]),
        np.concatenate(steps).astype(np.int64),
    )
    if len(everything) <= count:
        return everything
    drawn = np.sort(np.random.default_rng(seed).choice(len(everything), count, replace=False))
    return everything.at(drawn)


def relative_error(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """|actual - expected| / (1 + |expected|), elementwise."""
    expected = expected.astype(np.float64)
    return np.abs(actual - expected) / (1 + np.abs(expected))
