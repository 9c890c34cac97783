"""Which of several policies is best by fitted Q evaluation (Le et al. 2019, arXiv 1903.08738)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hcsac.losses.scale import SMALLEST, mean_by_task

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

SURE = 1.645  # standard errors: one-sided 95 %


def value_spread(
    value: Float[Tensor, "R B"], task: Int[Tensor, "R B"], tasks: int, weight: Float[Tensor, "R B"] | None = None
) -> Float[Tensor, "R M"]:
    """How much values differ within each task: their standard deviation over their mean size, 0 where it has no rows.

    value [R, B] at logged actions, task [R, B] of M tasks, weight [R, B] of the means or None for 1 -> [R, M]. It is
    small where every logged episode went about equally well, so that the values have not seen what leads to failure.
    """
    mean = mean_by_task(value, task, tasks, weight)
    deviation = value - mean.gather(1, task)
    size = mean_by_task(value.abs(), task, tasks, weight).clamp(min=SMALLEST)
    return mean_by_task(deviation.square(), task, tasks, weight).sqrt() / size


def shared_earn_more(
    reward: Float[Tensor, "R B"], task: Int[Tensor, "R B"], own: Bool[Tensor, "R B"], tasks: int
) -> Bool[Tensor, "R M"]:
    """Whether the rows that are shared with a task have a higher mean reward than its own; not where it has none.

    reward [R, B] for task [R, B] of M tasks, own [R, B]: whether it was logged under that task -> [R, M].
    """
    shared, logged = (~own).to(reward.dtype), own.to(reward.dtype)
    present = mean_by_task(shared, task, tasks) > 0
    return present & (mean_by_task(reward, task, tasks, shared) > mean_by_task(reward, task, tasks, logged))


def best_candidate(
    value: Float[Tensor, "R C J n"],
    clone: int | None = None,
    allowed: Bool[Tensor, "R C"] | None = None,
    margin: float = 0.0,
) -> Int[Tensor, "R"]:
    """The candidate with the highest mean value over J judges and n first states: [R, C, J, n] -> [R] int64.

    Only among those `allowed` [R, C], if it is given. Of those that reach the highest value up to `margin` of its size
    it is the first: estimates so close tell nothing.

    With `clone`, the index of a cloned policy, the best one is taken only where the lower bound of its paired
    difference to the clone is above 0; else the clone.
    """
    mean = value.mean((2, 3))
    mean = mean if allowed is None else torch.where(allowed, mean, -torch.inf)
    highest = mean.amax(1, keepdim=True)
    best = (mean >= highest - margin * highest.abs()).int().argmax(1)  # the first one
    if clone is None:
        return best
    replica = torch.arange(len(best), device=best.device)
    low = lower_bound(value[replica, best] - value[:, clone])
    return torch.where(low > 0, best, clone)


def lower_bound(difference: Float[Tensor, "R J n"]) -> Float[Tensor, "R"]:
    """One-sided 95 % lower bound of the mean of paired differences [R, J, n] -> [R].

    Its variance is that over first states plus that over judges, each of the mean over the other. A single judge or
    state has no variance to tell.
    """

    def variance(mean: Tensor) -> Tensor:
        count = mean.shape[-1]
        return mean.var(-1) / count if count > 1 else torch.zeros(len(mean), device=mean.device)

    error = (variance(difference.mean(1)) + variance(difference.mean(2))).sqrt()
    return difference.mean((1, 2)) - SURE * error
