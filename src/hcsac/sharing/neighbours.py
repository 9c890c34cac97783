"""Nearest transitions, in observations or in observations and actions: what rules compare across tasks by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hcsac.data.dataset import Dataset
from hcsac.data.scaling import scale_of

REFERENCE = 20_000  # transitions, at most, that distances are measured to
_BLOCK = 512  # transitions whose distances are in memory at once, as [512, REFERENCE] float32


class Space:
    """Vectors normalised by the mean and std of `reference` [m, d], and their distances to it."""

    def __init__(self, reference: np.ndarray):
        self.mean, self.std = reference.mean(0, dtype=np.float64), scale_of(reference.std(0, dtype=np.float64))
        scaled = self.scaled(reference)
        # |x - y|^2 - |x|^2 is one matrix product: [x, 1] [-2 y, |y|^2]^T
        self.factor = np.column_stack([-2 * scaled, np.square(scaled).sum(1)]).T

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """[n, d] normalised, float32."""
        return ((x - self.mean) / self.std).astype(np.float32)

    def squares(self, x: np.ndarray) -> np.ndarray:
        """|x - y|^2 - |x|^2 of normalised x [n, d] and every reference y, [n, m]: what orders the references."""
        return np.column_stack([x, np.ones(len(x), np.float32)]) @ self.factor


def blocks(count: int) -> Iterator[slice]:
    """Slices of so many transitions, each small enough for the distances to all references."""
    return (slice(start, start + _BLOCK) for start in range(0, count, _BLOCK))


def some_of(rows: np.ndarray, most: int | None = None) -> np.ndarray:
    """Places [m] of at most so many (20,000) of the rows, ascending: the same ones every time."""
    return np.sort(np.random.default_rng(0).choice(len(rows), min(len(rows), most or REFERENCE), replace=False))


def nearest_own_states(dataset: Dataset, task: int, sources: Sequence[int], settings: Any) -> np.ndarray:
    """For each transition of `sources` the `nearby_count` own transitions of the task from the nearest states.

    Euclidean distance of observations, normalised by mean and std over the task; of a task with more than 20,000
    transitions, the nearest among 20,000 of them, drawn with a fixed seed. Memory is bounded, time is linear in the
    number of candidates.

    Returns:
        [n, k] int32, places among the task's own transitions; k is less where it has fewer.
    """
    own = dataset.rows_of(task)
    places = some_of(own)
    space = Space(dataset.observations[dataset.start_index[own[places]]])
    candidates = np.concatenate([dataset.rows_of(source) for source in sources])
    count = min(settings.nearby_count, len(places))
    nearest = np.empty((len(candidates), count), np.int32)
    for block in blocks(len(candidates)):
        x = space.scaled(dataset.observations[dataset.start_index[candidates[block]]])
        nearest[block] = places[np.argpartition(space.squares(x), count - 1, axis=1)[:, :count]]
    return nearest


def share_of_own(dataset: Dataset, task: int, sources: Sequence[int], settings: Any) -> np.ndarray:
    """For each transition of `sources` the part of its `common_count` nearest transitions that are the task's own.

    Distances are of observations and actions, normalised over both. As many transitions of the task as of the sources
    are compared with, 10,000 of each at most, so that 1/2 means: the behaviour of both is the same there. Those of
    a transition's own episode are left out.

    Returns:
        [n] float32, in [0, 1].
    """
    own, candidates = dataset.rows_of(task), np.concatenate([dataset.rows_of(source) for source in sources])
    size = min(len(own), len(candidates), REFERENCE // 2)
    reference = np.concatenate([own[some_of(own, size)], candidates[some_of(candidates, size)]])
    episode = np.searchsorted(dataset.episode_start, np.arange(len(dataset)), side="right")
    space = Space(_pairs(dataset, reference))
    count = min(settings.common_count, size)
    share = np.empty(len(candidates), np.float32)
    for block in blocks(len(candidates)):
        square = space.squares(space.scaled(_pairs(dataset, candidates[block])))
        square[episode[candidates[block], None] == episode[reference]] = np.inf
        nearest = np.argpartition(square, count - 1, axis=1)[:, :count]
        share[block] = (nearest < size).mean(1)
    return share


def _pairs(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    return np.column_stack([dataset.observations[dataset.start_index[rows]], dataset.action[rows]])
