"""The equations of soft actor-critic (slides, "Soft Actor-Critic"; Haarnoja et al. 2018).

Every function returns one value per replica, [R], so that the gradients of replicas never mix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from hcsac.losses.weighting import weighted_mean

if TYPE_CHECKING:
    from jaxtyping import Float


def temperature_loss(
    log_temperature: Float[Tensor, "R"], log_prob: Float[Tensor, "R B"], target_entropy: float
) -> Float[Tensor, "R"]:
    """Dual of the entropy constraint: E[-log alpha (log pi(a|s) + H_0)] (the authors' form, log alpha for alpha).

    log_temperature [R], log_prob [R, B] (no gradient flows into it) -> [R].
    """
    return -(log_temperature[:, None] * (log_prob.detach() + target_entropy)).mean(-1)


def actor_loss(
    temperature: Float[Tensor, "R"],
    log_prob: Float[Tensor, "R B"],
    q: Float[Tensor, "R E B"],
    weight: Float[Tensor, "R B"] | None = None,
) -> Float[Tensor, "R"]:
    """KL to the softmax of Q, reparameterised: E[w (alpha log pi(a|s) - min_E Q(s, a))], a ~ pi.

    temperature [R] (no gradient), log_prob [R, B], q [R, E, B], weight [R, B] or None for 1 -> [R].
    """
    return weighted_mean(temperature.detach()[:, None] * log_prob - q.amin(1), weight)


def regularised_actor_loss(
    loss: Float[Tensor, "R"], q: Float[Tensor, "R E B"], imitation: Float[Tensor, "R"], bc_weight: float
) -> Float[Tensor, "R"]:
    """Behaviour-regularised actor (Fujimoto & Gu 2021, TD3+BC): loss / E|min_E Q| + w E||pi(s) - a||^2.

    loss [R] of `actor_loss` at values q [R, E, B], imitation [R] of `imitation_loss` -> [R]. The paper's alpha = 2.5
    is w = 0.4.
    """
    return loss / q.detach().amin(1).abs().mean(-1) + bc_weight * imitation


def lower_confidence_bound(q: Float[Tensor, "R E B"], weight: float) -> Float[Tensor, "R B"]:
    """Lower bound of an ensemble: mean_E Q - beta std_E Q, with the sample std (E - 1); q [R, E, B] -> [R, B].

    Bai et al. 2023 (UTDS, arXiv 2404.19346): Q - beta U, where the uncertainty U is the std of the critics.
    """
    return q.mean(1) - weight * q.std(1)


def td_target(
    reward: Float[Tensor, "R B"],
    discount: Float[Tensor, "R B"],
    next_q: Float[Tensor, "R E B"],
    next_log_prob: Float[Tensor, "R B"],
    temperature: Float[Tensor, "R"],
    backup_entropy: bool,
    lcb_weight: float | None = None,
) -> Float[Tensor, "R B"]:
    """Soft Bellman operator: R + gamma (min_E Q'(s', a') - alpha log pi(a'|s')), a' ~ pi(.|s').

    reward, discount, next_log_prob [R, B]; next_q [R, E, B] of the target critics; temperature [R] -> [R, B].
    Without `backup_entropy` the term alpha log pi is left out (the authors' report). With `lcb_weight` the minimum is
    replaced by `lower_confidence_bound`.
    """
    value = next_q.amin(1) if lcb_weight is None else lower_confidence_bound(next_q, lcb_weight)
    if backup_entropy:
        value = value - temperature[:, None] * next_log_prob
    return reward + discount * value


def bellman_loss(
    q: Float[Tensor, "R E B"],
    target: Float[Tensor, "R B"] | Float[Tensor, "R E B"],
    weight: Float[Tensor, "R B"] | None = None,
) -> Float[Tensor, "R"]:
    """Mean squared TD error, summed over the critics: sum_E E[w (Q_e(s, a) - y)^2].

    q [R, E, B], target [R, B] or one a critic [R, E, B] (no gradient), weight [R, B] or None for 1 -> [R]. The slides
    minimise 1/2 TD^2 + alpha CQL; here it is TD^2 + w CQL, so w = 2 alpha.
    """
    target = target if target.dim() == 3 else target[:, None]
    return weighted_mean((q - target.detach()).square(), weight).sum(1)
