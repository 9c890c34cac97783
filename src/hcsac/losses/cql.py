"""The equations of conservative Q-learning (slides, "Conservative Q-Learning"; Kumar et al. 2020)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hcsac.losses.weighting import weighted_mean

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def log_sum_exp(q: Float[Tensor, "R E B K"], log_density: Float[Tensor, "R B K"]) -> Float[Tensor, "R E B"]:
    """Importance-sampled log of the integral of exp Q(s, a) da.

    q [R, E, B, K'] at K' actions drawn in equal numbers from each proposal, log_density [R, B, K'] of the proposal
    each was drawn from -> [R, E, B]:  log( 1/K' sum_k exp(Q(s, a_k)) / p(a_k) ).
    With two proposals this is the slides' log(1/2 E_U[exp Q / U] + 1/2 E_pi[exp Q / pi]).
    """
    return torch.logsumexp(q - log_density[:, None], dim=-1) - math.log(q.shape[-1])


def conservative_loss(
    log_sum_exp_q: Float[Tensor, "R E B"], data_q: Float[Tensor, "R E B"], weight: Float[Tensor, "R B"] | None = None
) -> Float[Tensor, "R"]:
    """sum_E E_s[ w (log sum_a exp Q_e(s, a) - Q_e(s, a_data)) ]: both [R, E, B], weight [R, B] or None for 1 -> [R]."""
    return weighted_mean(log_sum_exp_q - data_q, weight).sum(1)


def uniform_log_density(action_size: int) -> float:
    """log U(a) on the box [-1, 1]^A."""
    return -action_size * math.log(2)


def softmax_pick(
    q: Float[Tensor, "R E B K"], log_density: Float[Tensor, "R B K"], uniform: Float[Tensor, "R E B m"]
) -> Int[Tensor, "R E B m"]:
    """Indices of proposals sampled from the softmax whose expectation is the gradient of `log_sum_exp`.

    grad log_sum_exp = E_{k ~ softmax(Q(s, a_k) - log p(a_k))}[grad Q(s, a_k)], so the mean of Q over the sampled
    proposals has the same gradient in expectation, and only these need a backward pass.
    q [R, E, B, K'], log_density [R, B, K'], uniform [R, E, B, m] in [0, 1) -> indices [R, E, B, m] int64.
    """
    cumulative = torch.softmax(q - log_density[:, None], dim=-1).cumsum(-1)
    return torch.searchsorted(cumulative, uniform * cumulative[..., -1:], right=True).clamp(max=q.shape[-1] - 1)
