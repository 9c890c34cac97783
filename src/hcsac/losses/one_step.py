"""The equations of one-step policy improvement (Brandfonbrener et al. 2021, arXiv 2106.08909)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hcsac.losses.scale import mean_size_by_task
from hcsac.losses.weighting import weighted_mean

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def n_step_target(
    reward: Float[Tensor, "R B"], discount: Float[Tensor, "R B"], next_q: Float[Tensor, "R E B"]
) -> Float[Tensor, "R E B"]:
    """n-step target (Sutton & Barto 2018, equation 7.4), one for each critic: G + gamma^h Q'_e(s_h, a_h).

    reward [R, B] is the discounted sum G of h rewards, discount [R, B] is gamma^h, or 0 where the world ended;
    next_q [R, E, B] -> [R, E, B]. With the logged a_h it is n-step SARSA: the value of the behaviour policy.
    """
    return reward[:, None] + discount[:, None] * next_q


def improvement_loss(
    q: Float[Tensor, "R B"],
    task: Int[Tensor, "R B"],
    tasks: int,
    imitation: Float[Tensor, "R"],
    imitation_weight: Float[Tensor, "R"],
    weight: Float[Tensor, "R B"] | None = None,
) -> Float[Tensor, "R"]:
    """DDPG+BC (Fujimoto & Gu 2021, equation 5), every task on its own scale: w_BC E||pi(s) - a||^2 - E[w Q / E_i|Q|].

    q [R, B] at the actor's actions; its scale E_i|Q|, the weighted mean over the rows of the same task i, carries no
    gradient.
    imitation [R] of `imitation_loss`, imitation_weight [R], weight [R, B] or None for 1 -> [R]. An infinite
    imitation_weight is imitation alone.
    """
    size = mean_size_by_task(q.detach(), task, tasks, weight)
    alone = torch.isinf(imitation_weight)
    climb = weighted_mean(q / size, weight)
    return torch.where(alone, imitation, torch.where(alone, 0.0, imitation_weight) * imitation - climb)
