"""The size of values within a task: tasks may differ in the size of their rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SMALLEST = 1e-6  # values of a task without any reward are 0


def mean_size_by_task(
    q: Float[Tensor, "R B"], task: Int[Tensor, "R B"], tasks: int, weight: Float[Tensor, "R B"] | None = None
) -> Float[Tensor, "R B"]:
    """For each row the mean of |Q| over the rows of its task in the minibatch; at least 1e-6.

    q [R, B], task [R, B] of M tasks, weight [R, B] of the mean or None for 1 -> [R, B].
    """
    return mean_by_task(q.abs(), task, tasks, weight).gather(1, task).clamp(min=SMALLEST)


def mean_by_task(
    x: Float[Tensor, "R B"], task: Int[Tensor, "R B"], tasks: int, weight: Float[Tensor, "R B"] | None = None
) -> Float[Tensor, "R M"]:
    """The mean of x over the rows of each task, 0 where it has none.

    x [R, B], task [R, B] of M tasks, weight [R, B] of the mean or None for 1 -> [R, M].
    """
    member = (task[..., None] == torch.arange(tasks, device=task.device)).to(x.dtype)  # [R, B, M]
    if weight is not None:
        member = member * weight[..., None]
    return torch.einsum("rb,rbm->rm", x, member) / member.sum(1).clamp(min=SMALLEST)
