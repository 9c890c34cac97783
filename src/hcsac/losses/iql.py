"""The equations of implicit Q-learning (Kostrikov et al. 2021, arXiv 2110.06169)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hcsac.losses.weighting import weighted_mean

if TYPE_CHECKING:
    from jaxtyping import Float

LARGEST_WEIGHT = 100.0  # of one transition in the actor's loss, as in the authors' code


def expectile_loss(
    advantage: Float[Tensor, "R B"], expectile: float, weight: Float[Tensor, "R B"] | None = None
) -> Float[Tensor, "R"]:
    """V's loss (equation 5): E[w |tau - 1(u < 0)| u^2] of u = min_E Q'(s, a) - V(s).

    advantage u [R, B], weight [R, B] or None for 1 -> [R]. With tau = 1/2 it is half the squared error, so that V is
    the mean over the logged actions; towards 1 it nears their maximum.
    """
    side = torch.where(advantage < 0, 1 - expectile, expectile)
    return weighted_mean(side * advantage.square(), weight)


def implicit_target(
    reward: Float[Tensor, "R B"], discount: Float[Tensor, "R B"], next_value: Float[Tensor, "R B"]
) -> Float[Tensor, "R B"]:
    """Q's target (equation 6), which asks for no action at s': r + gamma V(s'); all [R, B]."""
    return reward + discount * next_value


def advantage_weight(
    advantage: Float[Tensor, "R B"],
    scale: Float[Tensor, "R B"] | None,
    inverse_temperature: float,
    largest: float = LARGEST_WEIGHT,
) -> Float[Tensor, "R B"]:
    """How much the actor imitates a transition (equation 7): min(exp(beta u / scale), largest).

    advantage u [R, B]; scale [R, B] is the size of the advantages in the row's task, None for 1 as in the paper; no
    gradient flows through either -> [R, B].
    """
    size = advantage if scale is None else advantage / scale
    return (inverse_temperature * size).exp().clamp(max=largest)
