"""The mean over a minibatch whose transitions may have weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


def weighted_mean(loss: Float[Tensor, "R *E B"], weight: Float[Tensor, "R B"] | None) -> Float[Tensor, "R *E"]:
    """E[w l]: loss [R, B] or [R, E, B], weight [R, B] or None for 1 -> [R] or [R, E].

    Divided by B, not by the sum of the weights: a transition of weight w adds w times what it would add with weight 1
    (Yu et al. 2021, arXiv 2109.08128, the objectives with w_CDS).
    """
    if weight is not None:
        loss = loss * (weight if loss.dim() == 2 else weight[:, None])
    return loss.mean(-1)
