"""The mean over a minibatch in which rows may count differently."""

from torch import Tensor


def weighted_mean(loss: Tensor, weight: Tensor | None) -> Tensor:
    """E[w l]: loss [R, B] or [R, E, B], weight [R, B] -> [R] or [R, E]; None counts every row 1.

    Divided by B, not by the sum of the weights: a row of weight w adds w times what it would add whole (Yu et al.
    2021, arXiv 2109.08128, the objectives with w_CDS).
    """
    if weight is not None:
        loss = loss * (weight if loss.dim() == 2 else weight[:, None])
    return loss.mean(-1)
