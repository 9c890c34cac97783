"""Implicit Q-learning against its equations written out in NumPy, one replica at a time, in float64."""

import numpy as np
import pytest
import torch

from hcsac.algorithms import preset
from tests.algorithms.test_algorithms import advance, build
from tests.algorithms.test_one_step import arrays, q
from tests.algorithms.test_td3_bc import actor, compare, gradients, network, shift, weights_of

SEEDS, B = (2, 9), 8
SETTINGS = {"expectile": 0.8, "inverse_temperature": 1.5, "actor_bc_weight": 0.7, "embedding": "onehot",
            "batch_size": B}  # fmt: skip


def value(weights, s, task):
    """V: s [B, S], task [B] -> [B]."""
    return network(weights, np.concatenate([s, np.eye(2)[task]], 1))[:, 0]


def by_task(size, task):
    return np.array([np.abs(size[task == t]).mean() for t in task])


class Update:
    """One update of an agent, and what the equations say of it for one replica."""

    def __init__(self, slides, r, actors=1, **changes):
        self.agent, active = build("iql", slides, SEEDS, **SETTINGS | changes, actors=actors)
        agent, self.r = self.agent, r
        shift(agent.target)
        batch = active.sample(*agent.next_draw())
        self.x = arrays(agent, batch, r)
        pick = np.arange(B) % actors * B + np.arange(B)  # rows of the critics: of every actor's minibatch a part
        self.rows = {name: x[pick] for name, x in self.x.items()}
        self.members = range(r * actors, (r + 1) * actors)
        self.old_value = weights_of(agent.value, r)
        self.old_critics = [weights_of(agent.critic, r, e) for e in range(2)]
        self.old_targets = [weights_of(agent.target, r, e) for e in range(2)]
        self.old_actors = [weights_of(agent.actor, g) for g in self.members]
        self.info = {name: x[r].item() for name, x in agent.advance(batch).items()}
        self.new_value = weights_of(agent.value, r)
        self.new_critics = [weights_of(agent.critic, r, e) for e in range(2)]
        self.random = np.random.default_rng(0)

    def advantage(self, weights, x):
        """min_E Q'(s, a) - V(s), with the targets of before."""
        values = [q(w, x["observation"], x["task"], x["action"]) for w in self.old_targets]
        return np.min(values, 0) - value(weights, x["observation"], x["task"])

    def value_loss(self, weights):
        u = self.advantage(weights, self.rows)
        return np.mean(np.where(u < 0, 0.2, 0.8) * u**2)

    def critic_loss(self, weights):
        x = self.rows
        y = x["reward"] + x["discount"] * value(self.new_value, x["next_observation"], x["task"])
        return np.mean((q(weights, x["observation"], x["task"], x["action"]) - y) ** 2)

    def own(self, p):
        """The rows of actor p."""
        return {name: x[p * B : (p + 1) * B] for name, x in self.x.items()}

    def climbed(self, weights, x):
        """The least value of the actor's action, by the critics that have moved."""
        action = actor(weights, x["observation"], x["task"])
        return np.min([q(w, x["observation"], x["task"], action) for w in self.new_critics], 0)

    def check_actors(self, loss_of):
        """Their gradients against those of `loss_of(rows, old weights)`, itself a function of weights."""
        losses = []
        for p, g in enumerate(self.members):
            loss = loss_of(self.own(p), self.old_actors[p])
            losses.append(loss(self.old_actors[p]))
            compare(gradients(self.agent.actor, self.agent.adam_actor, g), self.old_actors[p], loss, self.random)
        assert self.info["actor_loss"] == pytest.approx(np.mean(losses), rel=1e-3, abs=1e-5)


def distance(weights, x):
    return np.mean((actor(weights, x["observation"], x["task"]) - x["action"]) ** 2, -1)


@pytest.mark.parametrize("actors", [1, 2])
@pytest.mark.parametrize("r", range(len(SEEDS)))
def test_values_are_fitted_as_the_paper_says(r, actors, slides):
    update = Update(slides, r, actors)
    agent, info = update.agent, update.info
    assert info["value_loss"] == pytest.approx(update.value_loss(update.old_value), rel=1e-4)
    assert info["bellman_loss"] == pytest.approx(sum(map(update.critic_loss, update.old_critics)), rel=1e-4)
    assert info["advantage_size"] == pytest.approx(np.abs(update.advantage(update.old_value, update.rows)).mean(), 1e-4)
    compare(gradients(agent.value, agent.adam_value, r), update.old_value, update.value_loss, update.random)
    for e, weights in enumerate(update.old_critics):
        compare(gradients(agent.critic, agent.adam_critic, r, e), weights, update.critic_loss, update.random)
        for name, weight in weights_of(agent.target, r, e).items():
            expected = 0.995 * update.old_targets[e][name] + 0.005 * update.new_critics[e][name]
            np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("actors", [1, 2])
@pytest.mark.parametrize("scale", ["task", "none"])
@pytest.mark.parametrize("r", range(len(SEEDS)))
def test_awr_imitates_by_the_advantage(r, scale, actors, slides):
    update = Update(slides, r, actors, advantage_scale=scale)

    def loss_of(x, old):
        u = update.advantage(update.new_value, x)
        size = by_task(u, x["task"]) if scale == "task" else 1
        weight = np.minimum(np.exp(1.5 * u / size), 100)
        return lambda w: np.mean(weight * distance(w, x))

    update.check_actors(loss_of)


@pytest.mark.parametrize("actors", [1, 2])
@pytest.mark.parametrize("r", range(len(SEEDS)))
def test_ddpg_bc_climbs_the_least_critic(r, actors, slides):
    update = Update(slides, r, actors, extraction="ddpg_bc")

    def loss_of(x, old):
        scale = by_task(update.climbed(old, x), x["task"])  # it carries no gradient
        return lambda w: 0.7 * np.mean(distance(w, x)) - np.mean(update.climbed(w, x) / scale)

    update.check_actors(loss_of)


def test_weights_scale_what_a_transition_adds(slides):
    pair = [build("iql", slides, SEEDS, **SETTINGS)[0] for _ in range(2)]
    batch = build("iql", slides, SEEDS, **SETTINGS)[1].sample(B)
    whole = pair[0].advance(batch)
    half = pair[1].advance(batch._replace(weight=torch.full((2, B), 0.5)))
    for name in ("value_loss", "bellman_loss", "imitation_loss"):
        torch.testing.assert_close(half[name], whole[name] / 2, rtol=1e-3, atol=1e-6, msg=name)
    torch.testing.assert_close(half["actor_loss"], whole["actor_loss"] / 2, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("extraction", ["awr", "ddpg_bc"])
def test_actors_move_on_when_the_values_are_frozen(extraction, slides):
    agent, active = build("iql", slides, SEEDS, critic_freeze=0.5, updates=4, extraction=extraction)
    moved = []
    for _ in range(4):
        parts = agent.actor, agent.critic, agent.value, agent.target
        before = [weights_of(part, 0) for part in parts]
        info = advance(agent, active)
        after = [weights_of(part, 0) for part in parts]
        moved.append([any((b[k] != a[k]).any() for k in b) for b, a in zip(before, after, strict=True)])
        assert ("value_loss" in info) == moved[-1][2]
    assert moved == [[True] * 4] * 2 + [[True, False, False, False]] * 2


def test_its_presets():
    assert preset("quick", "iql").advantage_scale == "task"
    d4rl = preset("d4rl", "iql")
    assert (d4rl.hidden_layers, d4rl.actor_decay, d4rl.advantage_scale) == (2, "cosine", "none")
    assert (d4rl.expectile, d4rl.inverse_temperature) == (0.7, 3.0)
