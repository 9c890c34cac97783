"""ReBRAC against its equations written out in NumPy, one replica at a time, in float64."""

import numpy as np
import pytest

from hcsac.algorithms import preset
from tests.algorithms.test_algorithms import advance, build
from tests.algorithms.test_one_step import arrays
from tests.algorithms.test_td3_bc import actor, compare, gradients, shift, weights_of

SEEDS, B = (2, 9), 8
SETTINGS = {"actor_bc_weight": 0.7, "critic_bc_weight": 1.3, "target_noise": 0.3, "target_noise_clip": 0.2,
            "embedding": "onehot", "batch_size": B}  # fmt: skip


def normalised(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def q(weights, s, task, a):
    """With both hidden layers normalised: s [B, S], task [B], a [B, A] -> [B]."""
    x = np.concatenate([s, np.eye(2)[task], a], 1)
    for layer in ("first", "trunk.hidden.0"):
        x = np.maximum(normalised(x @ weights[f"{layer}.weight"] + weights[f"{layer}.bias"]), 0)
    return (x @ weights["trunk.output.weight"] + weights["trunk.output.bias"])[:, 0]


@pytest.mark.parametrize("actors", [1, 2])
@pytest.mark.parametrize("r", range(len(SEEDS)))
def test_an_update_is_the_paper_written_out(r, actors, slides):
    agent, active = build("rebrac", slides, SEEDS, **SETTINGS, actors=actors)
    agent.updates = 1  # a second update: the actor moves, too
    shift(agent.target, agent.target_actor)
    assert agent.next_draw() == (B * actors, 1, False, False)
    batch = active.sample(*agent.next_draw())
    noise = agent.noise(agent.random, B * actors)
    x, n = arrays(agent, batch, r), noise[r].double().numpy()
    pick = np.arange(B) % actors * B + np.arange(B)  # rows of the critics: of every actor's minibatch a part
    rows = {name: value[pick] for name, value in x.items()}
    members = range(r * actors, (r + 1) * actors)

    s2, task = rows["next_observation"], rows["task"]
    a2 = np.mean([actor(weights_of(agent.target_actor, g), s2, task) for g in members], 0)
    a2 = np.clip(a2 + np.clip(0.3 * n, -0.2, 0.2), -1, 1)
    next_q = np.min([q(weights_of(agent.target, r, e), s2, task, a2) for e in range(2)], 0)
    penalty = 1.3 * np.mean((a2 - rows["next_action"]) ** 2, -1)
    y = rows["reward"] + rows["discount"] * (next_q - penalty)

    def critic_loss(w):
        return np.mean((q(w, rows["observation"], task, rows["action"]) - y) ** 2)

    critics, old_actors = (
        [weights_of(agent.critic, r, e) for e in range(2)],
        [weights_of(agent.actor, g) for g in members],
    )
    info = agent.advance(batch, noise)
    assert info["target"][r].item() == pytest.approx(y.mean(), rel=1e-4, abs=1e-5)
    assert info["bellman_loss"][r].item() == pytest.approx(sum(map(critic_loss, critics)), rel=1e-4)
    random = np.random.default_rng(0)
    for e, weights in enumerate(critics):
        compare(gradients(agent.critic, agent.adam_critic, r, e), weights, critic_loss, random)

    moved = [weights_of(agent.critic, r, e) for e in range(2)]  # which the actor sees already
    losses = []
    for p, old in enumerate(old_actors):
        own = {name: value[p * B : (p + 1) * B] for name, value in x.items()}

        def values(w, own=own):
            action = actor(w, own["observation"], own["task"])
            return np.min([q(c, own["observation"], own["task"], action) for c in moved], 0), action

        size = np.abs(values(old)[0])
        scale = np.array([size[own["task"] == task].mean() for task in own["task"]])

        def actor_loss(w, own=own, scale=scale, values=values):
            value, action = values(w)
            return 0.7 * np.mean((action - own["action"]) ** 2) - np.mean(value / scale)

        losses.append(actor_loss(old))
        compare(gradients(agent.actor, agent.adam_actor, members[p]), old, actor_loss, random)
    assert info["actor_loss"][r].item() == pytest.approx(np.mean(losses), rel=1e-3, abs=1e-5)


def test_without_the_penalty_and_in_its_units_it_is_td3_bc(slides):
    """With critic_bc_weight 0 the two differ by the critic that the actor climbs, and by the unit of its loss."""
    shared = {"embedding": "onehot", "critics": 1, "policy_delay": 2}
    rebrac, active = build("rebrac", slides, SEEDS, critic_bc_weight=0, actor_bc_weight=0.4, **shared)
    td3_bc, _ = build("td3_bc", slides, SEEDS, td3_alpha=2.5, critic_layer_norm="all", **shared)
    for _ in range(2):
        batch = active.sample(*rebrac.next_draw())
        infos = [agent.advance(batch) for agent in (rebrac, td3_bc)]
    for name in ("bellman_loss", "q", "target", "imitation_loss"):
        np.testing.assert_allclose(infos[0][name], infos[1][name], rtol=1e-5)
    np.testing.assert_allclose(2.5 * infos[0]["actor_loss"], infos[1]["actor_loss"], rtol=1e-4)


def test_actors_and_targets_wait_for_their_turn(slides):
    agent, active = build("rebrac", slides, SEEDS, policy_delay=3)
    assert ["actor_loss" in advance(agent, active) for _ in range(6)] == [False, False, True] * 2


def test_its_presets():
    quick, d4rl = preset("quick", "rebrac"), preset("d4rl", "rebrac")
    assert quick.updates == preset("quick", "td3_bc").updates
    assert (quick.critic_layer_norm, d4rl.critic_layer_norm) == ("all", "all")
    assert (d4rl.hidden_layers, d4rl.hidden_size, d4rl.batch_size, d4rl.actor_learning_rate) == (3, 256, 1024, 1e-3)
