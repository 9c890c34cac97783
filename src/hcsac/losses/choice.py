"""Which of several policies is best by fitted Q evaluation (Le et al. 2019, arXiv 1903.08738)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

SURE = 1.645  # standard errors: one-sided 95 %


def within(distance: Float[Tensor, "R C"], limit: float) -> Bool[Tensor, "R C"]:
    """Which candidates leave the data at most `limit` times as far as the nearest one: [R, C] -> [R, C] bool.

    distance: mean squared distance of a candidate's actions to the logged ones. The nearest one is about as far as the
    behaviour is from itself, so that the limit is in units of the behaviour's own variation.
    """
    return distance <= limit * distance.min(1, keepdim=True).values


def best_candidate(
    value: Float[Tensor, "R C J n"], clone: int | None = None, allowed: Bool[Tensor, "R C"] | None = None
) -> Int[Tensor, "R"]:
    """The candidate with the highest mean value over J judges and n first states: [R, C, J, n] -> [R] int64.

    Only among those `allowed` [R, C], if it is given.

    With `clone`, the index of a cloned policy, the best one is taken only where the lower bound of its paired
    difference to the clone is above 0; else the clone.
    """
    mean = value.mean((2, 3))
    best = (mean if allowed is None else torch.where(allowed, mean, -torch.inf)).argmax(1)
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
