"""Every equation of SAC against an independent computation in float64, written as sums over the batch."""

import numpy as np
import torch

from hcsac.losses.cql import conservative_loss
from hcsac.losses.imitation import imitation_loss
from hcsac.losses.sac import (
    actor_loss,
    bellman_loss,
    lower_confidence_bound,
    regularised_actor_loss,
    td_target,
    temperature_loss,
)

R, E, B, A = 3, 2, 5, 4
random = np.random.default_rng(0)
q = random.normal(size=(R, E, B))
log_prob = random.normal(size=(R, B))
reward = random.normal(size=(R, B))
discount = random.choice([0.0, 0.99], size=(R, B))
temperature = random.uniform(0.1, 2, size=R)


def t(array):
    return torch.tensor(array, dtype=torch.float64)


def test_temperature_loss():
    expected = [np.mean([-np.log(temperature[r]) * (log_prob[r, b] + -4.0) for b in range(B)]) for r in range(R)]
    np.testing.assert_allclose(temperature_loss(t(np.log(temperature)), t(log_prob), -4.0), expected)


def test_gradients_stop_where_the_equations_say():
    """Of the temperature loss to alpha alone, of the actor loss not to alpha, of the scale by E|Q| to nothing."""
    log_alpha, log_pi, values = (t(x).requires_grad_() for x in (np.log(temperature), log_prob, q))

    def gradient(loss, of):
        return torch.autograd.grad(loss.sum(), of, allow_unused=True, retain_graph=True)[0]

    assert gradient(temperature_loss(log_alpha, log_pi, -4.0), log_pi) is None
    expected = [-np.mean(log_prob[r] - 4.0) for r in range(R)]
    np.testing.assert_allclose(gradient(temperature_loss(log_alpha, log_pi, -4.0), log_alpha), expected)

    loss = actor_loss(log_alpha.exp(), log_pi, values)
    assert gradient(loss, log_alpha) is None
    np.testing.assert_allclose(gradient(loss, log_pi), np.tile(temperature[:, None] / B, (1, B)))
    least = np.zeros_like(q)
    for r in range(R):
        for b in range(B):
            least[r, np.argmin(q[r, :, b]), b] = -1 / B  # the gradient reaches the minimum alone
    np.testing.assert_allclose(gradient(loss, values), least)

    regularised = regularised_actor_loss(loss, values, torch.zeros(R), 1.0)
    size = np.abs(q.min(1)).mean(-1)
    np.testing.assert_allclose(gradient(regularised, values), least / size[:, None, None])


def test_every_loss_has_one_value_a_replica_for_all_sizes():
    """Sizes of 1 and equal sizes hide a (B,) that is broadcast against a (B, 1)."""
    for R, E, B, A in [(1, 1, 1, 1), (1, 2, 3, 1), (2, 2, 2, 2), (3, 1, 1, 2), (4, 4, 4, 4)]:
        values, y, log_pi = random.normal(size=(R, E, B)), random.normal(size=(R, B)), random.normal(size=(R, B))
        alpha = random.uniform(0.5, 2, size=R)
        action, data = random.normal(size=(2, R, B, A))
        least = values.min(1)
        target = td_target(t(y), t(y), t(values), t(log_pi), t(alpha), True)
        np.testing.assert_allclose(target, y + y * (least - np.stack([alpha[r] * log_pi[r] for r in range(R)])))
        for result, expected in [
            (bellman_loss(t(values), t(y)), [np.sum((values[r] - y[r]) ** 2) / B for r in range(R)]),
            (actor_loss(t(alpha), t(log_pi), t(values)),
             [np.sum(alpha[r] * log_pi[r] - least[r]) / B for r in range(R)]),
            (temperature_loss(t(alpha), t(log_pi), 1.0), [-alpha[r] * np.sum(log_pi[r] + 1) / B for r in range(R)]),
            (imitation_loss(t(action), t(data)), [np.sum((action[r] - data[r]) ** 2) / (A * B) for r in range(R)]),
        ]:  # fmt: skip
            assert result.shape == (R,)
            np.testing.assert_allclose(result, expected)


def test_temperature_rises_when_entropy_is_too_low():
    log_temperature = torch.zeros(1, requires_grad=True)
    low_entropy = torch.full((1, 8), 10.0)  # entropy -10, below the target -4
    (gradient,) = torch.autograd.grad(temperature_loss(log_temperature, low_entropy, -4.0).sum(), log_temperature)
    assert gradient < 0  # descent raises log alpha


def test_actor_loss():
    expected = [
        np.mean([temperature[r] * log_prob[r, b] - min(q[r, e, b] for e in range(E)) for b in range(B)])
        for r in range(R)
    ]
    np.testing.assert_allclose(actor_loss(t(temperature), t(log_prob), t(q)), expected)


def test_regularised_actor_loss():
    loss, imitation = random.normal(size=R), random.uniform(size=R)
    expected = [loss[r] / np.mean([abs(min(q[r, :, b])) for b in range(B)]) + 3.0 * imitation[r] for r in range(R)]
    np.testing.assert_allclose(regularised_actor_loss(t(loss), t(q), t(imitation), 3.0), expected)


def test_td_target():
    for entropy in (True, False):
        expected = np.empty((R, B))
        for r in range(R):
            for b in range(B):
                value = min(q[r, 0, b], q[r, 1, b]) - (temperature[r] * log_prob[r, b] if entropy else 0.0)
                expected[r, b] = reward[r, b] + discount[r, b] * value
        result = td_target(t(reward), t(discount), t(q), t(log_prob), t(temperature), entropy)
        assert result.shape == (R, B)
        np.testing.assert_allclose(result, expected)


def test_lower_confidence_bound_replaces_the_minimum():
    five = random.normal(size=(R, 5, B))
    bound = np.array([[np.mean(five[r, :, b]) - 1.5 * np.sqrt(sum((five[r, :, b] - np.mean(five[r, :, b])) ** 2) / 4)
                       for b in range(B)] for r in range(R)])  # fmt: skip
    np.testing.assert_allclose(lower_confidence_bound(t(five), 1.5), bound)
    result = td_target(t(reward), t(discount), t(five), t(log_prob), t(temperature), False, 1.5)
    np.testing.assert_allclose(result, reward + discount * bound)
    np.testing.assert_allclose(lower_confidence_bound(t(five), 0.0), five.mean(1))


def test_a_transition_of_weight_w_adds_w_times_its_loss():
    """Divided by the size of the batch, not by the sum of the weights; a transition of weight 0 has no gradient."""
    weight = random.uniform(size=(R, B))
    weight[:, 2] = 0
    y, lse = random.normal(size=(R, B)), random.normal(size=(R, E, B))
    action, data = random.uniform(-1, 1, (2, R, B, A))
    values = t(q).requires_grad_()
    w = t(weight)
    for loss, expected in [
        (bellman_loss(values, t(y), w),
         [sum(weight[r, b] * (q[r, e, b] - y[r, b]) ** 2 for e in range(E) for b in range(B)) / B for r in range(R)]),
        (conservative_loss(t(lse), values, w),
         [sum(weight[r, b] * (lse[r, e, b] - q[r, e, b]) for e in range(E) for b in range(B)) / B for r in range(R)]),
        (actor_loss(t(temperature), t(log_prob), values, w),
         [sum(weight[r, b] * (temperature[r] * log_prob[r, b] - min(q[r, :, b])) for b in range(B)) / B
          for r in range(R)]),
    ]:  # fmt: skip
        assert loss.shape == (R,)
        np.testing.assert_allclose(loss.detach(), expected)
        assert (torch.autograd.grad(loss.sum(), values)[0][:, :, 2] == 0).all()
    expected = [
        sum(weight[r, b] * np.sum((action[r, b] - data[r, b]) ** 2) / A for b in range(B)) / B for r in range(R)
    ]
    np.testing.assert_allclose(imitation_loss(t(action), t(data), w), expected)


def test_bellman_loss_sums_critics_and_never_broadcasts_a_batch_against_a_batch():
    target = random.normal(size=(R, B))
    expected = [sum(np.mean((q[r, e] - target[r]) ** 2) for e in range(E)) for r in range(R)]
    result = bellman_loss(t(q), t(target))
    assert result.shape == (R,)
    np.testing.assert_allclose(result, expected)


def test_bellman_loss_has_no_gradient_to_the_target():
    target = torch.zeros(R, B, requires_grad=True)
    loss = bellman_loss(t(q).float().requires_grad_(), target).sum()
    assert torch.autograd.grad(loss, target, allow_unused=True) == (None,)


def test_imitation_loss():
    action, data = random.uniform(-1, 1, (2, R, B, A))
    expected = [np.mean([np.sum((action[r, b] - data[r, b]) ** 2) / A for b in range(B)]) for r in range(R)]
    np.testing.assert_allclose(imitation_loss(t(action), t(data)), expected)
