"""What passes between the rooms, and the legend of shapes.

R replicas (independent seeds of one run), E critics, B batch, K sampled actions, S observation size,
A action size, M tasks, N rows. Rewards, log-densities and values carry no trailing 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:  # data are listed and described without torch
    from torch import Tensor


class Spec(NamedTuple):
    """What a policy must fit: the robot's sizes, S and A, and the names of its M tasks in their order."""

    observation_size: int
    action_size: int
    tasks: tuple[str, ...]


class Parameter(NamedTuple):
    """A number by which tasks differ: `speed` of walker-speed:0, walker-speed:0.5 and walker-speed:1."""

    name: str
    values: tuple[float, ...]  # one a task

    @classmethod
    def of(cls, tasks: Sequence[str]) -> Parameter | None:
        """That of these task names; None unless they differ by a number behind a colon alone."""
        families, numbers = {name.rpartition(":")[0] for name in tasks}, [name.rpartition(":")[2] for name in tasks]
        try:
            values = tuple(map(float, numbers))
        except ValueError:
            return None
        if len(families) > 1 or "" in families or len(set(values)) < 2 or not all(map(math.isfinite, values)):
            return None
        return cls(families.pop().rpartition("-")[2], values)

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest of the numbers."""
        return min(self.values), max(self.values)

    def scaled(self, value: Any) -> Any:
        """Numbers as networks see them: the range is [-1, 1]."""
        low, high = self.range
        return 2 * (value - low) / (high - low) - 1


class Batch(NamedTuple):
    """One minibatch per replica.

    `discount` is gamma, or 0 where the world ended (a time limit does not end the world).
    `task` is the task that uses a transition; for a shared transition it is not the task it was logged under.
    `weight` is how much a row counts in the losses of actor and critics; None where every row counts 1.

    With n steps (`Algorithm.horizon`), `reward` is the discounted sum of h <= n rewards, `next_observation` the state
    after them, `discount` gamma^h or 0, and `next_action` the logged action there.
    """

    observation: Tensor  # [R, B, S] float32
    action: Tensor  # [R, B, A] float32
    reward: Tensor  # [R, B] float32
    next_observation: Tensor  # [R, B, S] float32
    discount: Tensor  # [R, B] float32
    task: Tensor  # [R, B] int64
    weight: Tensor | None = None  # [R, B] float32, in [0, 1]
    next_action: Tensor | None = None  # [R, B, A] float32
    own: Tensor | None = None  # [R, B] bool, whether the row was logged under the task that uses it


class Draw(NamedTuple):
    """What an update learns from: how a minibatch is drawn from D*."""

    rows: int  # per replica
    n: int = 0  # 0 for single transitions, otherwise the most rewards that are summed
    own: bool = False  # without the shared transitions
    uniform: bool = False  # whatever the weights by which rows are drawn (`start_weight`, `sparse_weight`)


# What an update reports: name -> [R], kept on the device until it is logged.
Info = dict[str, "Tensor"]

# Values of all N rows under one task: task index -> [R, N] float32. Sharing rules read nothing else of an algorithm.
Scorer = Callable[[int], np.ndarray]
