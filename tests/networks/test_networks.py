"""Networks against a plain NumPy computation per replica and critic."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from hcsac.agents.base import generators
from hcsac.networks.actors import DeterministicActor, GaussianActor, squashed_sample
from hcsac.networks.critics import Critic
from hcsac.settings import Settings

R, E, B, K, S, A, M, H = 3, 2, 4, 5, 7, 2, 3, 16


def settings(**changes):
    return Settings(hidden_size=H, hidden_layers=3).replace(changes)


def inputs(seed=0):
    g = torch.Generator().manual_seed(seed)
    observation = torch.randn(R, B, S, generator=g)
    task = torch.randint(0, M, (R, B), generator=g)
    return observation, task, torch.rand(R, B, K, A, generator=g) * 2 - 1


def task_state(embedding, table, observation, task):
    """z of one row, from the table [M, S] of one network."""
    if embedding == "add":
        return observation + table[task]
    if embedding == "concat":
        return np.concatenate([observation, table[task]])
    if embedding == "onehot":
        return np.concatenate([observation, np.eye(M)[task]])
    return observation


def layers_of(trunk):
    return [(layer.weight.double().detach().numpy(), layer.bias.double().detach().numpy()) for layer in trunk]


def plain_mlp(x, first, layers, norm):
    """A textbook MLP in float64."""
    x = x @ first[0] + first[1][0]
    if norm:
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    x = np.maximum(x, 0)
    for weight, bias in layers[:-1]:
        x = np.maximum(x @ weight + bias[0], 0)
    return x @ layers[-1][0] + layers[-1][1][0]


@pytest.mark.parametrize("embedding", ["add", "concat", "onehot", "none"])
@pytest.mark.parametrize("norm", [False, True])
def test_critic_equals_plain_networks(embedding, norm):
    critic = Critic(S, A, M, settings(embedding=embedding, critic_layer_norm=norm), generators(range(R), 0))
    observation, task, actions = inputs()
    q = critic(observation, task, actions)
    assert q.shape == (R, E, B, K)
    (weight, bias), *hidden = layers_of([critic.first, *critic.trunk.hidden, critic.trunk.output])
    table = critic.embedding.table.double().detach().numpy() if embedding in ("add", "concat") else None
    for r in range(R):
        for e in range(E):
            for b in range(B):
                own = None if table is None else table[r, e]
                z = task_state(embedding, own, observation[r, b].double().numpy(), int(task[r, b]))
                for k in range(K):
                    x = np.concatenate([z, actions[r, b, k].double().numpy()])
                    parts = [(w[r, e], c[r, e]) for w, c in hidden]
                    expected = plain_mlp(x, (weight[r, e], bias[r, e]), parts, norm)
                    np.testing.assert_allclose(q[r, e, b, k].item(), expected[0], rtol=1e-4, atol=1e-5)


def test_critic_takes_actions_of_its_own():
    critic = Critic(S, A, M, settings(), generators(range(R), 0))
    observation, task, actions = inputs()
    own = torch.rand(R, E, B, K, A)
    own[:, 1] = actions
    torch.testing.assert_close(critic(observation, task, own)[:, 1], critic(observation, task, actions)[:, 1])


@pytest.mark.parametrize("embedding", ["add", "concat", "onehot", "none"])
def test_actors_equal_plain_networks(embedding):
    observation, task, _ = inputs()
    gaussian = GaussianActor(S, A, M, settings(embedding=embedding), generators(range(R), 0))
    mean, log_std = gaussian(observation, task)
    body = gaussian.body
    (weight, bias), *hidden = layers_of([body.first, *body.trunk.hidden, body.trunk.output])
    for r in range(R):
        for b in range(B):
            table = body.embedding.table[r].double().detach().numpy() if embedding in ("add", "concat") else None
            z = task_state(embedding, table, observation[r, b].double().numpy(), int(task[r, b]))
            out = plain_mlp(z, (weight[r], bias[r]), [(w[r], c[r]) for w, c in hidden], False)
            np.testing.assert_allclose(mean[r, b].detach(), out[:A], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(log_std[r, b].detach(), np.clip(out[A:] - 1, -20, 2), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gaussian.act(observation, task), torch.tanh(mean))


def test_a_replica_has_the_weights_of_its_seed_alone():
    together = Critic(S, A, M, settings(), generators([4, 5, 6], 0)).state_dict()
    alone = Critic(S, A, M, settings(), generators([5], 0)).state_dict()
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name][1:2], tensor, rtol=0, atol=0)


def test_bf16_is_near_and_ends_in_float32():
    observation, task, actions = inputs()
    full = Critic(S, A, M, settings(), generators(range(R), 0))
    low = Critic(S, A, M, settings(precision="bf16"), generators(range(R), 0))
    low.load_state_dict(full.state_dict())
    q = low(observation, task, actions)
    assert q.dtype == torch.float32
    torch.testing.assert_close(q, full(observation, task, actions), rtol=0.05, atol=0.02)


def test_deterministic_actor_is_bounded():
    actor = DeterministicActor(S, A, M, settings(), generators(range(R), 0))
    observation, task, _ = inputs()
    assert actor(100 * observation, task).abs().max() <= 1


def test_squashed_density_is_a_density():
    mean, log_std = torch.tensor([0.4], dtype=torch.float64), torch.tensor([-0.7], dtype=torch.float64)

    def density(action):
        u = np.arctanh(action)
        noise = torch.tensor([(u - 0.4) / np.exp(-0.7)], dtype=torch.float64)
        sampled, log_prob = squashed_sample(mean, log_std, noise)
        assert abs(sampled.item() - action) < 1e-9
        return np.exp(log_prob.item())

    assert abs(quad(density, -1 + 1e-9, 1 - 1e-9)[0] - 1) < 1e-6


def test_squashed_density_stays_finite_at_the_bounds():
    action, log_prob = squashed_sample(torch.full((6,), 30.0), torch.zeros(6), torch.zeros(6))
    assert torch.isfinite(log_prob)
    assert action.abs().max() <= 1
