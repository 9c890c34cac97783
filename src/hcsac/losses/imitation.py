"""Imitation of the logged actions."""

from torch import Tensor

from hcsac.losses.weighting import weighted_mean


def imitation_loss(action: Tensor, data_action: Tensor, weight: Tensor | None = None) -> Tensor:
    """E[ w ||pi(s) - a||^2 / A ]: both [R, B, A], weight [R, B] or None for 1 -> [R]."""
    return weighted_mean((action - data_action).square().mean(-1), weight)
