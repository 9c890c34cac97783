"""Which of several policies is best by fitted Q evaluation (Le et al. 2019, arXiv 1903.08738)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SURE = 1.645  # standard errors: one-sided 95 %


def best_candidate(value: Float[Tensor, "R C J n"], clone: int | None = None) -> Int[Tensor, "R"]:
    """The candidate with the highest mean value over J judges and n first states: [R, C, J, n] -> [R] int64.

    With `clone`, the index of a cloned policy, the best one is taken only where the lower bound of its paired
    difference to the clone is above 0; else the clone.
    """
    best = value.mean((2, 3)).argmax(1)
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
