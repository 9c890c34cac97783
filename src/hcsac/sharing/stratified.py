"""Minibatches with a fixed share for every task, and in it for the task's own transitions (`own_fraction`)."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hcsac.sharing.drawing import Edges, draw_between

_LARGE = 2**62  # so many more than any stratum has transitions that the remainder of a draw is uniform


class Strata(NamedTuple):
    """The parts of a minibatch that are not empty: for each task its own transitions and those shared with it."""

    end: Tensor  # [strata] float64, cumulative share of the minibatch
    first: Tensor  # [strata] int64, place of the stratum's first pair in D followed by the shared pairs
    size: Tensor  # [strata] int64, pairs


def strata(own: np.ndarray, shared: np.ndarray, own_fraction: float, device: torch.device) -> Strata:
    """Shares of a minibatch: |D_i| / |D| for task i, of which `own_fraction` for D_i where anything is shared with it.

    Args:
        own, shared: number of transitions of each task [M], its own and those shared with it; both lie task after task.
    """
    fraction = np.where(shared > 0, own_fraction, 1.0)
    share = own / own.sum() * np.stack([fraction, 1 - fraction])  # [2, M]
    size = np.stack([own, shared])
    first = np.concatenate([[0], np.cumsum(size.ravel())[:-1]]).reshape(size.shape)
    kept = share > 0
    return Strata(*(torch.as_tensor(x, device=device) for x in (np.cumsum(share[kept]), first[kept], size[kept])))


def draw_from_strata(parts: Strata, batch_size: int, generator: torch.Generator, edge: Edges | None = None) -> Tensor:
    """Places [B]: with replacement within each stratum, by systematic sampling of the strata.

    A stratum with share p gets p B places, rounded up or down at random, so that p B is met exactly on average.

    Args:
        edge: of the weights by which places are drawn within a stratum; None to draw uniformly.
    """
    device = parts.end.device
    offset = torch.rand(1, dtype=torch.float64, generator=generator, device=device)
    position = (torch.arange(batch_size, dtype=torch.float64, device=device) + offset) / batch_size
    stratum = torch.searchsorted(parts.end, position, right=True).clamp(max=len(parts.end) - 1)
    if edge is not None:
        first, end = parts.first[stratum], parts.first[stratum] + parts.size[stratum]
        return draw_between(edge, edge.at(first), edge.at(end), batch_size, generator)
    inside = torch.randint(_LARGE, (batch_size,), generator=generator, device=device) % parts.size[stratum]
    return parts.first[stratum] + inside
