"""Imitation of the logged actions."""

from torch import Tensor


def imitation_loss(action: Tensor, data_action: Tensor) -> Tensor:
    """E[ ||pi(s) - a||^2 / A ]: both [R, B, A] -> [R]."""
    return (action - data_action).square().mean((-2, -1))
