"""What follows a logged transition, in the rewards of the task that would use it: no values are needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hcsac.data.dataset import Dataset
from hcsac.data.rewards import reward_blocks

HORIZON = 100  # rewards that are summed
DISCOUNT = 0.99  # of each after the one before
LEFT = 50  # transitions that must follow for a sum to count
AROUND = 10  # steps before and after that own episodes are compared at


class Outcome(NamedTuple):
    """How much better candidates go on than the task's own episodes do at that step, each [n]."""

    gain: np.ndarray  # float64, difference of the discounted sums
    known: np.ndarray  # bool: enough follows, and own episodes are as long


def better_outcomes(dataset: Dataset, task: int, sources: Sequence[int], settings: Any = None) -> Outcome:
    """What follows the transitions of `sources`, as `task` pays them, against the task's own episodes.

    G is the discounted sum of the next 100 rewards of the task within the logged episode. The gain is G minus the mean
    of G over the task's own transitions at the same step of their episodes, 10 steps earlier to 10 later: what follows
    a start is worth less than what comes later, in every episode.

    Raises:
        UserError: rewards of the task cannot be recomputed.
    """
    blocks = reward_blocks(dataset, [dataset.task_names[task]])
    value = outcome(dataset, np.concatenate(list(blocks))[:, 0])
    known, step = dataset.rows_left >= LEFT, dataset.step
    own, theirs = dataset.rows_of(task), np.concatenate([dataset.rows_of(source) for source in sources])
    own = own[known[own]]
    around, size = np.ones(2 * AROUND + 1), int(step.max()) + 1
    total = np.convolve(np.bincount(step[own], value[own], size), around, "same")
    count = np.convolve(np.bincount(step[own], minlength=size), around, "same")
    gain = value - (total / np.maximum(count, 1))[step]
    return Outcome(gain[theirs], (known & (count > 0)[step])[theirs])


def outcome(dataset: Dataset, reward: np.ndarray) -> np.ndarray:
    """G: sum_k gamma^k r[t + k], k < 100, within the episode: reward [N] -> [N] float64."""
    total = np.zeros(len(reward))
    for k in range(HORIZON):
        rows = np.flatnonzero(dataset.rows_left >= k)
        total[rows] += DISCOUNT**k * reward[rows + k]
    return total
