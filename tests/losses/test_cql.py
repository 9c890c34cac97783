"""The conservative term against NumPy and numerical integration, and its sampled gradient against the full one."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from hcsac.losses.cql import conservative_loss, log_sum_exp, softmax_pick, uniform_log_density
from hcsac.networks.actors import squashed_sample

R, E, B, K = 2, 2, 3, 6


def t(array):
    return torch.tensor(array, dtype=torch.float64)


def test_log_sum_exp_is_the_slides_equation():
    random = np.random.default_rng(1)
    q_uniform, q_policy = random.normal(scale=5, size=(2, R, E, B, K))
    log_pi = random.normal(size=(R, B, K))
    density = 0.5**4
    half_uniform = np.exp(q_uniform) / density
    half_policy = np.exp(q_policy) / np.exp(log_pi)[:, None]
    expected = np.log(0.5 * half_uniform.mean(-1) + 0.5 * half_policy.mean(-1))
    log_density = np.concatenate([np.full((R, B, K), uniform_log_density(4)), log_pi], axis=-1)
    result = log_sum_exp(t(np.concatenate([q_uniform, q_policy], axis=-1)), t(log_density))
    assert result.shape == (R, E, B)
    np.testing.assert_allclose(result, expected)


@pytest.mark.parametrize("proposals", ["uniform", "policy", "both", "both and another"])
def test_log_sum_exp_approaches_the_integral(proposals):
    """On one action dimension the sum over all actions is the integral of exp Q over [-1, 1]."""

    def q(action):
        return 3 * torch.sin(4 * torch.as_tensor(action)) - torch.as_tensor(action) ** 2

    exact = np.log(quad(lambda a: np.exp(q(a).item()), -1, 1)[0])
    generator = torch.Generator().manual_seed(0)
    n = 200_000
    uniform = torch.rand(1, 1, n, 1, generator=generator, dtype=torch.float64) * 2 - 1
    drawn = {"uniform": (uniform, torch.full((1, 1, n), uniform_log_density(1), dtype=torch.float64))}
    for name, mean, log_std in [("policy", 0.3, 0.1), ("another", -0.5, 0.3)]:
        noise = torch.randn(1, 1, n, 1, generator=generator, dtype=torch.float64)
        drawn[name] = squashed_sample(t([[[[mean]]]]), t([[[[log_std]]]]), noise)
    names = {"both": ["uniform", "policy"], "both and another": list(drawn)}.get(proposals, [proposals])
    actions, log_density = (torch.cat([drawn[name][part] for name in names], dim=2) for part in (0, 1))
    estimate = log_sum_exp(q(actions[..., 0])[:, None], log_density)
    assert abs(estimate.item() - exact) < 0.01


def test_log_sum_exp_of_large_values_is_finite():
    result = log_sum_exp(t([[[[1000.0, 1000.0]], [[-1000.0, -1000.0]]]]), t([[[0.0, 0.0]]]))
    np.testing.assert_allclose(result, [[[1000.0], [-1000.0]]])


def test_conservative_loss():
    random = np.random.default_rng(2)
    lse, data_q = random.normal(size=(2, R, E, B))
    expected = [sum(np.mean(lse[r, e] - data_q[r, e]) for e in range(E)) for r in range(R)]
    np.testing.assert_allclose(conservative_loss(t(lse), t(data_q)), expected)


def test_sampled_gradient_is_unbiased():
    """The mean gradient over sampled proposals is that of the log-sum-exp, for every replica, critic and state."""
    random = np.random.default_rng(3)
    q = t(random.normal(scale=2, size=(R, E, B, K))).requires_grad_()
    log_density = t(random.normal(size=(R, B, K)))
    (exact,) = torch.autograd.grad(log_sum_exp(q, log_density).sum(), q)
    weight = np.exp(q.detach().numpy() - log_density.numpy()[:, None])
    np.testing.assert_allclose(exact, weight / weight.sum(-1, keepdims=True))  # its softmax
    draws = 100_000
    uniform = torch.rand(R, E, B, draws, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    index = softmax_pick(q.detach(), log_density, uniform)
    assert index.shape == (R, E, B, draws)
    (estimate,) = torch.autograd.grad(q.gather(-1, index).mean(-1).sum(), q)
    np.testing.assert_allclose(estimate, exact, atol=0.01)


def test_sampled_indices_are_in_range_and_have_positive_probability():
    q = t([[[[0.0, -1e9, 0.0, -1e9]]]])
    uniform = t([[[[0.0, 0.25, 0.499999, 0.500001, 0.75, 1 - 1e-16]]]])
    index = softmax_pick(q, t([[[0.0] * 4]]), uniform)
    assert index.flatten().tolist() == [0, 0, 0, 2, 2, 2]
