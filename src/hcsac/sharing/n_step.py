"""Sums of several rewards of one episode, and the logged step after them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Steps(NamedTuple):
    """Of n-step returns that begin at rows [...] of D."""

    row: Tensor  # [...] int64, where they begin
    length: Tensor  # [...] int64, h: how many rewards are summed
    inside: Tensor  # [..., n] int64, the rows of the rewards; those after the first h are not summed
    next_row: Tensor  # [...] int64, the row of the action logged at the state after them
    ends: Tensor  # [...] bool, whether the world ends with the last of them


def n_steps(row: Tensor, task: Tensor, left: Tensor, terminated: Tensor, n: int) -> Steps:
    """The n rows from `row` on, fewer where the episode or the task that uses them ends.

    Where the world ends, nothing follows. Where the clock ends an episode, the value of its last state is not known
    from logged actions: the sum is cut so that the last row is the one whose action follows it. That last row itself
    gives way to the row before it (in an episode of a single row it is followed by its own action).

    Args:
        row: [...] int64, rows of D.
        task: [...] int64, the tasks that use them.
        left: [N] int64, rows of the same episode after each row of D.
        terminated: [N, M] bool, as data of each task.
        n: most rewards summed.
    """
    cut = (left[row] == 0) & ~terminated[row, task]
    before = (row - 1).clamp(min=0)
    row = torch.where(cut & (left[before] == 1), before, row)
    last = row + left[row]
    length = (left[row] + terminated[last, task]).clamp(min=1, max=n)
    inside = torch.minimum(row[..., None] + torch.arange(n, device=row.device), last[..., None])
    ended = terminated[inside, task[..., None]]
    length = torch.where(ended.any(-1), torch.minimum(length, ended.int().argmax(-1) + 1), length)
    return Steps(row, length, inside, torch.minimum(row + length, last), terminated[row + length - 1, task])


def discounted_sum(reward: Tensor, length: Tensor, discount: float) -> Tensor:
    """sum_{k < h} gamma^k r_k (Sutton & Barto 2018, equation 7.1): reward [..., n], length h [...] -> [...]."""
    n = reward.shape[-1]
    powers = discount ** torch.arange(n, device=reward.device, dtype=reward.dtype)
    return (reward * powers * (torch.arange(n, device=reward.device) < length[..., None])).sum(-1)
