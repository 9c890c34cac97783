"""The behavioural cloning term: mean squared distance from the logged actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from hcsac.losses.weighting import weighted_mean

if TYPE_CHECKING:
    from jaxtyping import Float


def imitation_loss(
    action: Float[Tensor, "R B A"], data_action: Float[Tensor, "R B A"], weight: Float[Tensor, "R B"] | None = None
) -> Float[Tensor, "R"]:
    """E[ w ||pi(s) - a||^2 / A ]: action pi(s) and logged action a [R, B, A], weight [R, B] or None for 1 -> [R]."""
    return weighted_mean((action - data_action).square().mean(-1), weight)
