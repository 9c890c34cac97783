"""One-step improvement against its equations written out in NumPy, and its candidates."""

import numpy as np
import pytest
import torch

from hcsac.algorithms import preset
from hcsac.errors import UserError
from tests.algorithms.test_algorithms import advance, build
from tests.algorithms.test_td3_bc import actor, compare, gradients, weights_of

SEEDS, B, E = (2, 9), 8, 3
SETTINGS = {
    "embedding": "onehot", "critics": E, "n_step": 3, "critic_layer_norm": "none", "batch_size": B, "updates": 10,
    "imitation_weights": "0.1,2", "critic_part": 0.5,
}  # fmt: skip


def network(weights, x):
    h = np.maximum(x @ weights["first.weight"] + weights["first.bias"], 0)
    h = np.maximum(h @ weights["trunk.hidden.0.weight"] + weights["trunk.hidden.0.bias"], 0)
    return (h @ weights["trunk.output.weight"] + weights["trunk.output.bias"])[:, 0]


def q(weights, s, task, a):
    return network(weights, np.concatenate([s, np.eye(2)[task], a], 1))


def arrays(agent, batch, r):
    scaled = agent.normalized(batch)
    return {name: x[r].double().numpy() for name, x in scaled._asdict().items() if x is not None} | {
        "task": batch.task[r].numpy()
    }


@pytest.mark.parametrize("r", range(len(SEEDS)))
def test_critics_are_fitted_to_the_value_of_the_logged_behaviour(r, slides):
    agent, active = build("one_step", slides, SEEDS, **SETTINGS)
    batch = active.sample(*agent.next_draw())
    x = arrays(agent, batch, r)
    old = [weights_of(agent.target, r, e) for e in range(E)]
    critics = [weights_of(agent.critic, r, e) for e in range(E)]
    info = agent.advance(batch)
    random, total = np.random.default_rng(0), 0
    for e in range(E):
        y = x["reward"] + x["discount"] * q(old[e], x["next_observation"], x["task"], x["next_action"])

        def loss(w, y=y):
            return np.mean((q(w, x["observation"], x["task"], x["action"]) - y) ** 2)

        total += loss(critics[e])
        compare(gradients(agent.critic, agent.adam_critic, r, e), critics[e], loss, random)
        for name, weight in weights_of(agent.target, r, e).items():
            new = weights_of(agent.critic, r, e)[name]
            np.testing.assert_allclose(weight, 0.995 * old[e][name] + 0.005 * new, rtol=1e-4, atol=1e-6)
    assert info["bellman_loss"][r].item() == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("actors", [1, 2])
def test_every_actor_climbs_two_critics_and_imitates_by_its_weight(actors, slides):
    agent, active = build("one_step", slides, SEEDS, **SETTINGS, actors=actors)
    agent.updates = 5
    assert agent.next_draw() == (B * actors, 0, True)
    batch = active.sample(*agent.next_draw())
    noise = torch.tensor([[0.4, 0.9], [0.7, 0.1]])  # critics 1 and 0 of the first replica, 2 and 0 of the second
    before = [weights_of(agent.actor, g) for g in range(len(SEEDS) * 2 * actors)]
    critics = {name: tensor.clone() for name, tensor in agent.critic.state_dict().items()}
    agent.advance(batch, noise)
    random = np.random.default_rng(0)
    for g, old in enumerate(before):
        r, candidate, p = np.unravel_index(g, (len(SEEDS), 2, actors))
        x = {name: value[p * B : (p + 1) * B] for name, value in arrays(agent, batch, r).items()}
        pair = [weights_of(agent.critic, r, e) for e in [(1, 0), (2, 0)][r]]

        def values(w, x=x, pair=pair):
            action = actor(w, x["observation"], x["task"])
            return np.minimum(*(q(c, x["observation"], x["task"], action) for c in pair)), action

        size = np.abs(values(old)[0])
        scale = np.array([size[x["task"] == task].mean() for task in x["task"]])

        def loss(w, x=x, scale=scale, weight=(0.1, 2.0)[candidate], values=values):
            value, action = values(w)
            return weight * np.mean((action - x["action"]) ** 2) - np.mean(value / scale)

        compare(gradients(agent.actor, agent.adam_actor, g), old, loss, random)
    for name, tensor in agent.critic.state_dict().items():
        assert torch.equal(tensor, critics[name]), name


def test_a_candidate_is_what_a_run_with_its_weight_alone_gives(slides):
    both, one = (build("one_step", slides, SEEDS, **SETTINGS | {"imitation_weights": w}) for w in ("0.1,2", "0.1"))
    for agent, active in (both, one):
        for _ in range(10):
            advance(agent, active)
    for p, single in zip(both[0].actor.parameters(), one[0].actor.parameters(), strict=True):
        torch.testing.assert_close(p.unflatten(0, (2, 2))[:, 0], single)


def test_acts_by_the_candidate_chosen_for_the_task(slides):
    agent, _ = build("one_step", slides, SEEDS, **SETTINGS, actors=2)
    agent.choice.copy_(torch.tensor([[0, 1], [1, 1]]))
    s, task = torch.randn(2, 6, 3), torch.tensor([[0, 0, 1, 1, 0, 1]] * 2)
    action = agent.act(s, task)
    scaled = agent.scaling(s).double().numpy()
    for r in range(2):
        for b in range(6):
            c = agent.choice[r, task[r, b]]
            members = [
                actor(weights_of(agent.actor, r * 4 + int(c) * 2 + p), scaled[r, b : b + 1], task[r, b : b + 1].numpy())
                for p in range(2)
            ]
            np.testing.assert_allclose(action[r, b], np.mean(members, 0)[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"imitation_weights": "a"}, "imitation_weights"), ({"imitation_weights": "-1"}, "at least 0"),
     ({"imitation_weights": "1,1"}, "different"), ({"critics": 1}, "critics 2"),
     ({"imitation_weight": 0.5}, "none of")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(changes, word, slides):
    with pytest.raises(UserError, match=word):
        build("one_step", slides, **changes)


def test_its_presets_exist():
    assert preset("quick", "one_step").updates == preset("quick", "bc").updates
