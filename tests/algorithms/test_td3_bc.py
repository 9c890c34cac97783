"""TD3+BC against its equations written out in NumPy, one replica at a time, in float64."""

import numpy as np
import pytest
import torch

from tests.algorithms.test_algorithms import build

SEEDS, B = (2, 9), 8
SETTINGS = {"td3_alpha": 1.5, "policy_delay": 2, "target_noise": 0.3, "target_noise_clip": 0.2, "embedding": "onehot"}


def network(weights, x):
    """One hidden ReLU layer after the first: x [B, in] -> [B, out]."""
    h = np.maximum(x @ weights["first.weight"] + weights["first.bias"], 0)
    h = np.maximum(h @ weights["trunk.hidden.0.weight"] + weights["trunk.hidden.0.bias"], 0)
    return h @ weights["trunk.output.weight"] + weights["trunk.output.bias"]


def weights_of(module, replica, critic=None):
    """Name -> float64 weights of a replica (and of one of its critics)."""
    held = {name.removeprefix("body."): p.detach().double().numpy()[replica] for name, p in module.named_parameters()}
    return held if critic is None else {name: weight[critic] for name, weight in held.items()}


def actor(weights, s, task):
    return np.tanh(network(weights, np.concatenate([s, np.eye(2)[task]], 1)))


def q(weights, s, task, a):
    return network(weights, np.concatenate([s, np.eye(2)[task], a], 1))[:, 0]


def shift(*modules):
    """Move targets away from what they are copies of, so that it matters which one is taken."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in (weight for module in modules for weight in module.parameters()):
            weight += 0.1 * torch.randn(weight.shape, generator=random)


class Replica:
    """What the equations say of one replica and one minibatch."""

    def __init__(self, agent, r, batch, noise):
        self.r, self.agent = r, agent
        scale = agent.normalized(batch)
        self.s, self.s2, self.a = (
            x[r].double().numpy() for x in (scale.observation, scale.next_observation, batch.action)
        )
        self.reward, self.discount = batch.reward[r].double().numpy(), batch.discount[r].double().numpy()
        self.task, self.noise = batch.task[r].numpy(), noise[r].double().numpy()

    def target(self):
        a2 = actor(weights_of(self.agent.target_actor, self.r), self.s2, self.task)
        a2 = np.clip(a2 + np.clip(0.3 * self.noise, -0.2, 0.2), -1, 1)
        values = [q(weights_of(self.agent.target, self.r, e), self.s2, self.task, a2) for e in range(2)]
        return self.reward + self.discount * np.minimum(*values)

    def critic_loss(self, weights, y):
        return np.mean((q(weights, self.s, self.task, self.a) - y) ** 2)

    def actor_loss(self, weights, critic, scale=None):
        a = actor(weights, self.s, self.task)
        values = q(critic, self.s, self.task, a)
        if scale is None:  # of each row's task; it carries no gradient
            scale = np.array([np.abs(values[self.task == task]).mean() for task in self.task])
        return -1.5 * np.mean(values / scale) + np.mean((a - self.a) ** 2), scale


def slope(function, weights, name, index):
    """The derivative by one weight, from both sides."""
    values = []
    for step in (1e-6, -1e-6):
        moved = {key: value.copy() for key, value in weights.items()}
        moved[name].flat[index] += step
        values.append(function(moved))
    return (values[0] - values[1]) / 2e-6


def gradients(module, adam, replica, critic=None):
    """Of the first step of Adam: its first moment is a tenth of the gradient."""
    named = {}
    for (name, _), moment in zip(module.named_parameters(), adam._first, strict=True):
        gradient = 10 * moment.double().numpy()[replica]
        named[name.removeprefix("body.")] = gradient if critic is None else gradient[critic]
    return named


@pytest.mark.parametrize("r", range(len(SEEDS)))
def test_an_update_is_the_paper_written_out(r, slides):
    agent, active = build("td3_bc", slides, SEEDS, **SETTINGS)
    agent.updates = 1  # a second update: the actor moves, too
    shift(agent.target, agent.target_actor)
    batch, noise = active.sample(B), agent.noise(agent.random, B)
    replica = Replica(agent, r, batch, noise)
    y, critics = replica.target(), [weights_of(agent.critic, r, e) for e in range(2)]
    losses = [replica.critic_loss(weights, y) for weights in critics]
    old_actor, old_target = weights_of(agent.actor, r), weights_of(agent.target, r)
    old_target_actor = weights_of(agent.target_actor, r)
    info = agent.advance(batch, noise)
    assert info["target"][r].item() == pytest.approx(y.mean(), rel=1e-4, abs=1e-5)
    assert info["bellman_loss"][r].item() == pytest.approx(sum(losses), rel=1e-4)
    new_critic = weights_of(agent.critic, r, 0)  # the actor already sees the critic that has moved
    loss, scale = replica.actor_loss(old_actor, new_critic)
    assert info["actor_loss"][r].item() == pytest.approx(loss, rel=1e-3, abs=1e-5)

    random = np.random.default_rng(0)
    for e, weights in enumerate(critics):
        compare(gradients(agent.critic, agent.adam_critic, r, e), weights, lambda w: replica.critic_loss(w, y), random)
    compare(
        gradients(agent.actor, agent.adam_actor, r),
        old_actor,
        lambda w: replica.actor_loss(w, new_critic, scale)[0],
        random,
    )
    for old, new, target in (
        (old_target, weights_of(agent.critic, r), weights_of(agent.target, r)),
        (old_target_actor, weights_of(agent.actor, r), weights_of(agent.target_actor, r)),
    ):
        for name, weight in target.items():
            np.testing.assert_allclose(weight, 0.995 * old[name] + 0.005 * new[name], rtol=1e-4, atol=1e-6)


def compare(found, weights, function, random):
    for name, gradient in found.items():
        for index in random.integers(0, gradient.size, 4):
            expected = slope(function, weights, name, index)
            assert gradient.flat[index] == pytest.approx(expected, rel=2e-3, abs=1e-4), name


def test_actor_and_targets_wait_for_their_turn(slides):
    agent, active = build("td3_bc", slides, SEEDS, policy_delay=3)
    moved = []
    for _ in range(6):
        before = [weights_of(part, 0) for part in (agent.actor, agent.target, agent.target_actor, agent.critic)]
        info = agent.advance(active.sample(B))
        after = [weights_of(part, 0) for part in (agent.actor, agent.target, agent.target_actor, agent.critic)]
        moved.append([any((b[k] != a[k]).any() for k in b) for b, a in zip(before, after, strict=True)])
        assert ("actor_loss" in info) == moved[-1][0]
    assert moved == [[False, False, False, True], [False, False, False, True], [True, True, True, True]] * 2


def test_weights_scale_what_a_transition_adds(slides):
    agent, active = build("td3_bc", slides, SEEDS)
    other, _ = build("td3_bc", slides, SEEDS)
    batch, noise = active.sample(B), agent.noise(agent.random, B)
    whole = agent.advance(batch, noise)["bellman_loss"]
    half = other.advance(batch._replace(weight=torch.full((2, B), 0.5)), noise)["bellman_loss"]
    torch.testing.assert_close(half, whole / 2)
