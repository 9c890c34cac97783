"""The equations of TD3 (Fujimoto et al. 2018, arXiv 1802.09477)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


def smoothed_action(
    action: Float[Tensor, "R B A"], noise: Float[Tensor, "R B A"], std: float, clip: float
) -> Float[Tensor, "R B A"]:
    """Target policy smoothing (section 5.3): clamp(pi'(s') + clamp(std * noise, -c, c), -1, 1).

    action, noise [R, B, A] -> [R, B, A].
    """
    return (action + (std * noise).clamp(-clip, clip)).clamp(-1, 1)


def td3_target(
    reward: Float[Tensor, "R B"], discount: Float[Tensor, "R B"], next_q: Float[Tensor, "R E B"]
) -> Float[Tensor, "R B"]:
    """Clipped double-Q target (equation 10): r + gamma min_E Q'(s', a').

    reward, discount [R, B], next_q [R, E, B] -> [R, B].
    """
    return reward + discount * next_q.amin(1)


def policy_loss(q: Float[Tensor, "R E B"]) -> Float[Tensor, "R"]:
    """Deterministic policy gradient (equation 3) through the first critic: -E[Q_1(s, pi(s))]; q [R, E, B] -> [R]."""
    return -torch.mean(q[:, 0], dim=-1)
