"""The behavioural cloning term: mean squared distance from the logged actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from hcsac.losses.weighting import weighted_mean

if TYPE_CHECKING:
    from jaxtyping import Float


def squared_distance(action: Float[Tensor, "R B A"], data_action: Float[Tensor, "R B A"]) -> Float[Tensor, "R B"]:
    """||pi(s) - a||^2 / A of every row: [R, B, A], [R, B, A] -> [R, B]."""
    return (action - data_action).square().mean(-1)


def imitation_loss(
    action: Float[Tensor, "R B A"], data_action: Float[Tensor, "R B A"], weight: Float[Tensor, "R B"] | None = None
) -> Float[Tensor, "R"]:
    """E[ w ||pi(s) - a||^2 / A ]: action pi(s) and logged action a [R, B, A], weight [R, B] or None for 1 -> [R]."""
    return weighted_mean(squared_distance(action, data_action), weight)
