"""Networks against NumPy, for each replica and critic by itself."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from hcsac.algorithms import settings_of
from hcsac.algorithms.algorithm import generators
from hcsac.networks.actors import DeterministicActor, GaussianActor, squashed_sample
from hcsac.networks.critics import Critic
from hcsac.networks.values import StateValue

R, E, B, K, S, A, M, H = 3, 2, 4, 5, 7, 2, 3, 16


def settings(**changes):
    return settings_of("mtcsac")(hidden_size=H, hidden_layers=3).replace(changes)


def inputs(seed=0):
    g = torch.Generator().manual_seed(seed)
    observation = torch.randn(R, B, S, generator=g)
    task = torch.randint(0, M, (R, B), generator=g)
    return observation, task, torch.rand(R, B, K, A, generator=g) * 2 - 1


def task_state(embedding, table, observation, task):
    """z of one observation [S], from the table [M, S] of one network."""
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

    def hidden(x, norm):
        return np.maximum((x - x.mean()) / np.sqrt(x.var() + 1e-5) if norm else x, 0)

    x = hidden(x @ first[0] + first[1][0], norm in ("first", "all"))
    for weight, bias in layers[:-1]:
        x = hidden(x @ weight + bias[0], norm == "all")
    return x @ layers[-1][0] + layers[-1][1][0]


@pytest.mark.parametrize("embedding", ["add", "concat", "onehot", "none"])
@pytest.mark.parametrize("norm", ["none", "first", "all"])
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


@pytest.mark.parametrize("embedding", ["add", "concat", "onehot", "none"])
@pytest.mark.parametrize("norm", ["none", "first", "all"])
def test_state_value_equals_plain_networks(embedding, norm):
    value = StateValue(S, M, settings(embedding=embedding, critic_layer_norm=norm), generators(range(R), 0))
    observation, task, _ = inputs()
    found = value(observation, task)
    assert found.shape == (R, B)
    (weight, bias), *hidden = layers_of([value.first, *value.trunk.hidden, value.trunk.output])
    for r in range(R):
        table = value.embedding.table[r].double().detach().numpy() if embedding in ("add", "concat") else None
        for b in range(B):
            z = task_state(embedding, table, observation[r, b].double().numpy(), int(task[r, b]))
            expected = plain_mlp(z, (weight[r], bias[r]), [(w[r], c[r]) for w, c in hidden], norm)
            np.testing.assert_allclose(found[r, b].item(), expected[0], rtol=1e-4, atol=1e-5)


def test_each_critic_may_have_its_own_actions():
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


@pytest.mark.parametrize("kind", [Critic, GaussianActor, DeterministicActor, StateValue])
def test_a_replica_has_the_weights_of_a_training_with_its_seed_alone(kind):
    sizes = (S, M) if kind is StateValue else (S, A, M)
    together, alone = (kind(*sizes, settings(), generators(seeds, 0)) for seeds in ([4, 5, 6], [5]))
    weights = together.state_dict()
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(weights[name][1:2], tensor, rtol=0, atol=0)
    observation, task, actions = inputs()
    args = (observation, task, actions) if kind is Critic else (observation, task)
    out, one = together(*args), alone(*(x[1:2] for x in args))
    torch.testing.assert_close(
        out[1:2] if torch.is_tensor(out) else out[0][1:2], one if torch.is_tensor(one) else one[0]
    )


def test_weights_are_initialised_as_in_torch_linear_and_tables_as_standard_normal():
    critic = Critic(64, A, 50, settings(embedding="add", hidden_size=200), generators([0], 0))
    for layer, size_in in [(critic.first, 64 + A), (critic.trunk.hidden[0], 200), (critic.trunk.output, 200)]:
        plain = torch.nn.Linear(size_in, 200)
        for ours, theirs in [(layer.weight, plain.weight), (layer.bias, plain.bias)]:
            assert ours.abs().max() <= size_in**-0.5
            assert ours.abs().max() > 0.9 * theirs.abs().max() or ours.numel() < 50
    assert abs(critic.trunk.hidden[0].weight.std() - 200**-0.5 / 3**0.5) < 0.001
    assert abs(critic.embedding.table.std() - 1) < 0.05
    assert isinstance(critic.embedding.table, torch.nn.Parameter)
    # Critics have different initial weights.
    assert not torch.isclose(critic.first.weight[0, 0], critic.first.weight[0, 1]).float().mean() > 0.01


@pytest.mark.parametrize(("bias", "bound"), [(1000.0, 2.0), (-1000.0, -20.0)])
def test_log_std_is_clamped(bias, bound):
    actor = GaussianActor(S, A, M, settings(), generators(range(R), 0))
    with torch.no_grad():
        actor.body.trunk.output.bias += bias
    observation, task, _ = inputs()
    assert (actor(observation, task)[1] == bound).all()


def test_log_std_has_a_learned_scale_and_shift_for_each_replica():
    actor = GaussianActor(S, A, M, settings(), generators(range(R), 0))
    observation, task, _ = inputs()
    before = actor(observation, task)[1]
    with torch.no_grad():
        actor.log_std_scale[1] = 2.0
        actor.log_std_shift[2] = 0.5
    after = actor(observation, task)[1]
    torch.testing.assert_close(after[0], before[0])
    torch.testing.assert_close(after[1], 2 * (before[1] + 1) - 1)
    torch.testing.assert_close(after[2], before[2] + 1.5)


def test_gradients_of_replicas_and_critics_do_not_mix():
    critic = Critic(S, A, M, settings(), generators(range(R), 0))
    q = critic(*inputs())
    for name, gradient in zip(
        dict(critic.named_parameters()), torch.autograd.grad(q[1, 0].sum(), list(critic.parameters())), strict=True
    ):
        assert gradient[1, 0].abs().sum() > 0, name
        gradient[1, 0] = 0
        assert gradient.abs().sum() == 0, name


def test_the_output_layer_is_float32_with_bf16():
    """Near 66, neighbouring bf16 values are 0.5 apart; those of the output layer must not be."""
    critic = Critic(S, A, M, settings(precision="bf16"), generators(range(R), 0))
    with torch.no_grad():
        critic.trunk.output.bias += 66
    q = critic(*inputs())
    assert (q - q.bfloat16().float()).abs().median() > 0.01
    actor = GaussianActor(S, A, M, settings(precision="bf16"), generators(range(R), 0))
    observation, task, _ = inputs()
    assert {x.dtype for x in actor(observation, task)} == {torch.float32}


def test_bf16_approximates_float32():
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


def test_squashed_density_is_the_change_of_variables():
    """log N(u) - log |da/du|, the determinant taken numerically of a = tanh(u)."""
    random = np.random.default_rng(0)
    mean, log_std, noise = random.normal(size=(2, 3, 4)), random.normal(size=(2, 3, 4)), random.normal(size=(2, 3, 4))
    action, log_prob = squashed_sample(*map(torch.tensor, (mean, log_std, noise)))
    u = mean + np.exp(log_std) * noise
    slope = (np.tanh(u + 1e-5) - np.tanh(u - 1e-5)) / 2e-5
    np.testing.assert_allclose(action, np.tanh(u))
    np.testing.assert_allclose(log_prob, (norm.logpdf(u, mean, np.exp(log_std)) - np.log(slope)).sum(-1), atol=1e-4)


def test_squashed_density_stays_finite_at_the_bounds():
    action, log_prob = squashed_sample(torch.full((6,), 30.0), torch.zeros(6), torch.zeros(6))
    assert torch.isfinite(log_prob)
    assert action.abs().max() <= 1
