"""Chosen steps of some episodes, and values at them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hcsac.data.episode import Episode


@dataclass(frozen=True)
class Steps:
    """n pairs (episode, step) of some episodes, ordered by episode."""

    episodes: Sequence[Episode]
    episode: np.ndarray  # [n] int64
    step: np.ndarray  # [n] int64

    def __len__(self) -> int:
        return len(self.step)

    def take(self, of: Callable[[Episode], np.ndarray | None], offset: int = 0) -> np.ndarray:
        """The value of `of` at step + offset, [n, ...]; it must not be None in any episode."""
        numbers, first = np.unique(self.episode, return_index=True)
        taken = np.split(self.step + offset, first[1:])
        return np.concatenate([of(self.episodes[e])[t] for e, t in zip(numbers, taken, strict=True)])  # type: ignore[index]

    def where(self, index: int) -> str:
        """As `episode 3, step 17`."""
        return f"episode {self.episode[index]}, step {self.step[index]}"

    def at(self, chosen: np.ndarray) -> "Steps":
        """Only the `chosen` ones, a mask or indices."""
        return Steps(self.episodes, self.episode[chosen], self.step[chosen])


def choose(episodes: Sequence[Episode], count: int, seed: int, reach: int = 0) -> Steps:
    """All steps in order, or `count` drawn at random if there are more; `reach` leaves so many out at both ends."""
    ends = np.cumsum([max(0, len(episode) - 2 * reach) for episode in episodes])
    total = int(ends[-1])
    drawn = np.arange(total)
    if total > count:
        drawn = np.sort(np.random.default_rng(seed).choice(total, count, replace=False))
    number = np.searchsorted(ends, drawn, side="right")
    return Steps(episodes, number, drawn - np.append(0, ends)[number] + reach)
