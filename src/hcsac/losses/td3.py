"""The equations of TD3 (Fujimoto et al. 2018, arXiv 1802.09477) and of its offline variants.

TD3+BC: Fujimoto & Gu 2021, arXiv 2106.06860. ReBRAC: Tarasov et al. 2023, arXiv 2305.09836.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hcsac.losses.weighting import weighted_mean

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


def rebrac_target(
    reward: Float[Tensor, "R B"],
    discount: Float[Tensor, "R B"],
    next_q: Float[Tensor, "R E B"],
    next_distance: Float[Tensor, "R B"],
    critic_bc_weight: float,
) -> Float[Tensor, "R B"]:
    """ReBRAC's target, with a penalty of its own: r + gamma (min_E Q'(s', a') - w_c ||a' - a'_logged||^2 / A).

    reward, discount [R, B], next_q [R, E, B], next_distance [R, B] of `squared_distance` -> [R, B]. The penalty, and so
    w_c, has the unit of the rewards.
    """
    return reward + discount * (next_q.amin(1) - critic_bc_weight * next_distance)


def policy_loss(q: Float[Tensor, "R E B"]) -> Float[Tensor, "R"]:
    """Deterministic policy gradient (equation 3) through the first critic: -E[Q_1(s, pi(s))]; q [R, E, B] -> [R]."""
    return -torch.mean(q[:, 0], dim=-1)


def td3_bc_loss(
    q: Float[Tensor, "R B"],
    scale: Float[Tensor, "R B"],
    imitation: Float[Tensor, "R"],
    alpha: float,
    weight: Float[Tensor, "R B"] | None = None,
) -> Float[Tensor, "R"]:
    """TD3+BC's actor (equations 4 and 5): E||pi(s) - a||^2 - alpha E[w Q(s, pi(s)) / E|Q|].

    q [R, B] of the first critic; scale [R, B], no gradient: E|Q| over the rows of the same task (`mean_size_by_task`),
    as tasks may differ in the size of their rewards; imitation [R], weight [R, B] or None for 1 -> [R].
    """
    return imitation - alpha * weighted_mean(q / scale, weight)
