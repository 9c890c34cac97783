"""One-step improvement against its equations written out in NumPy, and its candidates."""

import numpy as np
import pytest
import torch

from hcsac.algorithms import preset
from hcsac.algorithms.candidates import candidates_of
from hcsac.algorithms.one_step import MEASURED
from hcsac.errors import UserError
from hcsac.sharing.pairs import SharedPairs
from tests.algorithms.test_algorithms import advance, build
from tests.algorithms.test_td3_bc import actor, compare, gradients, weights_of

SEEDS, B, E = (2, 9), 8, 3
SETTINGS = {
    "embedding": "onehot", "critics": E, "n_step": 3, "critic_layer_norm": "none", "batch_size": B, "updates": 10,
    "candidates": "0.1:own,2:own", "critic_part": 0.5, "judge_part": 0.3, "choice_margin": 0.0,
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
    assert agent.stages(5) == ("actors", "actors", "spread", "judges", "judges")
    assert agent.next_draw() == (B * actors, 0, True, False)  # nothing is shared
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


@pytest.mark.parametrize("parts", ["actors", "all"])
def test_row_weights_count_for_the_actors_or_for_every_part(parts, slides):
    agent, _ = build("one_step", slides, SEEDS, **SETTINGS, weighted_draws=parts)
    uniform = {agent.stage(u): agent.draw(agent.stage(u)).uniform for u in range(agent.settings.updates)}
    assert uniform == {"critics": parts != "all", "actors": False, "spread": True, "judges": parts != "all"}


def test_good_rows_are_imitated_by_the_advantage_of_their_action(slides):
    agent, active = build("one_step", slides, SEEDS, **SETTINGS | {"candidates": "0.5:good,inf:good"})
    agent.updates = 5
    assert agent.next_draw() == (B, 0, False, False)
    batch = active.sample(*agent.next_draw())
    noise = torch.tensor([[0.4, 0.9], [0.7, 0.1]])
    before = [weights_of(agent.actor, g) for g in range(len(SEEDS) * 2)]
    agent.advance(batch, noise)
    random, largest = np.random.default_rng(0), 0
    for g, old in enumerate(before):
        r, candidate = divmod(g, 2)
        x = arrays(agent, batch, r)
        pair = [weights_of(agent.critic, r, e) for e in [(1, 0), (2, 0)][r]]

        def smaller(action, x=x, pair=pair):
            return np.minimum(*(q(c, x["observation"], x["task"], action) for c in pair))

        value = smaller(actor(old, x["observation"], x["task"]))
        advantage = smaller(x["action"]) - value

        def size(y, x=x):
            return np.array([np.abs(y)[x["task"] == task].mean() for task in x["task"]])

        factor, scale = np.minimum(np.exp(3 * advantage / size(advantage)), 20), size(value)
        largest = max(largest, factor.max())

        def loss(w, x=x, factor=factor, scale=scale, weight=(0.5, None)[candidate], smaller=smaller):
            action = actor(w, x["observation"], x["task"])
            imitation = np.mean(factor * np.mean((action - x["action"]) ** 2, 1))
            return imitation if weight is None else weight * imitation - np.mean(smaller(action) / scale)

        compare(gradients(agent.actor, agent.adam_actor, g), old, loss, random)
    assert largest == 20


def test_a_candidate_is_what_a_run_with_its_weight_alone_gives(slides):
    both, one = (
        build("one_step", slides, SEEDS, **SETTINGS | {"candidates": candidates})
        for candidates in ("0.1:own,2:own", "0.1:own")
    )
    for agent, active in (both, one):
        for _ in range(7):  # then the judges begin, where there are any
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
    [({"candidates": "a"}, "WEIGHT:own"), ({"candidates": "-1:own"}, "at least 0"),
     ({"candidates": "1"}, "WEIGHT:own"), ({"candidates": "nan:own"}, "at least 0"),
     ({"candidates": "1:own,1.0:own"}, "names one twice"), ({"critics": 1}, "critics 2"),
     ({"candidate": "0.5:own", "choose": "given"}, "none of"), ({"candidate": "0.3:own"}, "both or neither"),
     ({"choose": "given"}, "both or neither"), ({"judges": 3}, "begin as so many"),
     ({"critic_part": 0.8, "judge_part": 0.2}, "no updates to the actors"),
     ({"choose": "behaviour-safe", "candidates": "0.1:own,1:own"}, "add inf:own")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(changes, word, slides):
    with pytest.raises(UserError, match=word):
        build("one_step", slides, **changes)


@pytest.mark.parametrize("actors", [1, 2])
def test_judges_begin_at_the_critics_and_learn_the_value_of_their_candidate(actors, slides):
    agent, active = build("one_step", slides, SEEDS, **SETTINGS, actors=actors, policy_average=0.5)
    for _ in range(7):
        advance(agent, active)
    assert agent.stages(3) == ("spread", "judges", "judges")
    critics = [[weights_of(agent.critic, r, e) for e in range(2)] for r in range(2)]
    members = [weights_of(agent.average, g) for g in range(2 * 2 * actors)]
    still = [p.clone() for p in (*agent.actor.parameters(), *agent.critic.parameters())]
    assert agent.next_draw() == (MEASURED * B, 0, False, True)
    batch = active.sample(*agent.next_draw())
    agent.advance(batch)
    for r in range(2):
        x = arrays(agent, batch, r)
        of_critics = [weights_of(agent.critic, r, e) for e in range(E)]
        value = np.mean([q(w, x["observation"], x["task"], x["action"]) for w in of_critics], 0)
        for m in range(2):
            of_task = value[x["task"] == m]
            assert agent.spread[r, m].item() == pytest.approx(of_task.std() / np.abs(of_task).mean(), rel=1e-3)
    batch = active.sample(*agent.next_draw())
    info = agent.advance(batch)
    total, random = np.zeros((2, 2)), np.random.default_rng(0)
    for g in range(4):
        r, c = divmod(g, 2)
        x = arrays(agent, batch, r)
        own = members[g * actors : (g + 1) * actors]
        action = np.mean([actor(w, x["next_observation"], x["task"]) for w in own], 0)
        for j in range(2):
            y = x["reward"] + x["discount"] * q(critics[r][j], x["next_observation"], x["task"], action)

            def loss(w, x=x, y=y):
                return np.mean((q(w, x["observation"], x["task"], x["action"]) - y) ** 2)

            total[r, c] += loss(critics[r][j])
            compare(gradients(agent.judge, agent.adam_judge, g, j), critics[r][j], loss, random)
    np.testing.assert_allclose(info["judge_loss"], total.mean(1), rtol=1e-4)
    for old, p in zip(still, (*agent.actor.parameters(), *agent.critic.parameters()), strict=True):
        assert torch.equal(old, p)


def test_finish_chooses_by_the_judges_values_at_first_states(slides):
    agent, active = build("one_step", slides, SEEDS, **SETTINGS)
    for _ in range(10):
        advance(agent, active)
    start, task = active.first_states()
    assert start.shape == (8, 3)
    first = slides.episode_start[:-1]
    np.testing.assert_array_equal(start, slides.observation[first])
    np.testing.assert_array_equal(task, slides.task[first])
    agent.spread.fill_(1)
    agent.finish(start, task)
    for r in range(2):
        for m in range(2):
            s = agent.scaling(start[task == m]).double().numpy()
            tasks = np.full(len(s), m)
            values = []
            for c in range(2):
                g = r * 2 + c
                action = actor(weights_of(agent.actor, g), s, tasks)
                values.append(np.mean([q(weights_of(agent.judge, g, j), s, tasks, action) for j in range(2)]))
            assert agent.choice[r, m] == np.argmax(values)
    assert agent.choice.any()
    agent.settings = agent.settings.replace({"choice_margin": 1.0})  # whatever the estimates
    agent.finish(start, task)
    assert not agent.choice.any()


def test_a_candidate_of_a_small_weight_is_not_chosen_where_logs_are_narrow(slides):
    agent, active = build("one_step", slides, SEEDS, **SETTINGS, narrow_spread=0.2, narrow_weight=0.3)
    for _ in range(10):
        advance(agent, active)
    start, task = active.first_states()
    agent.spread.fill_(0.5)
    agent.finish(start, task)
    by_value = agent.choice.tolist()
    agent.spread[0, 1] = agent.spread[1, 0] = 0.1
    notes = agent.finish(start, task)
    assert agent.choice.tolist() == [[by_value[0][0], 1], [1, by_value[1][1]]]
    assert ["narrow logs (their values vary by 10%;" in note for note in notes] == [False, True, True, False]
    assert 0 in (by_value[0][1], by_value[1][0])  # otherwise nothing is shown
    agent.settings = agent.settings.replace({"narrow_weight": 5.0})  # the largest weight there is stays allowed
    agent.finish(start, task)
    assert agent.choice[0, 1] == agent.choice[1, 0] == 1


@pytest.mark.parametrize(
    ("candidates", "pays", "expected"),
    [
        ("0.1:all,0.5:all,0.5:own,inf:own", False, [False, False, True, True]),
        ("0.1:all,0.5:all,0.5:own,inf:own", True, [False, True, True, True]),
        ("0.5:good,inf:good,2:own", False, [False, False, True]),
        ("0.1:all,0.5:all", False, [False, True]),  # no own rows to choose
        ("0.1:own,0.5:all", False, [False, True]),
    ],
)
def test_rows_of_others_are_for_narrow_logs_only_where_they_earn_more(candidates, pays, expected, slides):
    chosen = SETTINGS | {"candidates": candidates, "sharing": "all", "narrow_weight": 0.3}
    agent, _ = build("one_step", slides, SEEDS, **chosen)
    agent.shared_pay[1, 0] = pays
    careful = agent.careful(candidates_of(agent.settings))
    assert careful.shape == (2, 2, len(expected))
    assert careful[1, 0].tolist() == expected


def test_what_shared_rows_earn_is_measured_before_the_judges(slides):
    """The shared rows are those with the highest reward of the task, or the lowest."""
    agent, active = build("one_step", slides, SEEDS, **SETTINGS | {"sharing": "all", "candidates": "0.1:all,2:own"})
    reward = active.reward.numpy()
    shared = []
    for part in (slice(-4, None), slice(0, 4)):
        rows = [np.flatnonzero(slides.task != m) for m in (0, 1)]
        rows = [of_others[np.argsort(reward[of_others, m])[part]] for m, of_others in enumerate(rows)]
        shared.append(SharedPairs(np.concatenate(rows), np.repeat(np.arange(2, dtype=np.int16), 4)))
    active.set_shared(shared)
    for _ in range(8):
        advance(agent, active)
    assert agent.shared_pay.tolist() == [[True, True], [False, False]]


def test_a_weight_that_is_given_acts_from_the_start(slides):
    agent, _ = build("one_step", slides, SEEDS, **SETTINGS, choose="given", candidate="2:own")
    assert agent.choice.tolist() == [[1, 1], [1, 1]]
    assert set(agent.stages(10)) == {"critics", "actors"}


def test_without_sharing_all_rows_are_own_and_candidates_that_become_equal_are_one():
    settings = preset("best", "one_step")
    alone, shared = (
        candidates_of(settings.replace({"candidates": "0.1:all,0.1:own,inf:own", "sharing": rule}))
        for rule in ("none", "all")
    )
    assert [str(one) for one in alone] == ["0.1:own", "inf:own"]
    assert [str(one) for one in shared] == ["0.1:all", "0.1:own", "inf:own"]


def test_rows_of_other_tasks_count_nothing_for_a_candidate_of_own_rows(slides):
    """Its actors move as if there were other rows in their place; those of a candidate of all rows do not."""
    changes = {"candidates": "0.1:own,0.1:all", "sharing": "all", "reward_rule": "recompute"}
    agents = [build("one_step", slides, SEEDS, **SETTINGS | changes) for _ in range(2)]
    _, active = agents[0]
    every = np.arange(len(slides))
    active.set_shared([SharedPairs(every, (1 - slides.task).astype(np.int16)) for _ in SEEDS])
    agents[0][0].updates = 5
    batch = active.sample(*agents[0][0].next_draw())
    assert batch.own.any()
    assert not batch.own.all()
    other = batch._replace(
        observation=torch.where(batch.own[..., None], batch.observation, batch.observation + 1),
        action=torch.where(batch.own[..., None], batch.action, -batch.action),
    )
    noise = torch.tensor([[0.4, 0.9], [0.7, 0.1]])
    for (agent, _), rows in zip(agents, (batch, other), strict=True):
        agent.updates = 5
        agent.advance(rows, noise)
    moved = []
    for p, q in zip(agents[0][0].actor.parameters(), agents[1][0].actor.parameters(), strict=True):
        (own, of_all), (same, others) = (x.unflatten(0, (2, 2)).unbind(1) for x in (p, q))
        assert torch.equal(own, same)
        moved.append(not torch.equal(of_all, others))
    assert any(moved)


def test_its_presets_exist():
    assert preset("quick", "one_step").updates == preset("quick", "bc").updates
