"""What acts: the mean of several actors, the running mean of their weights; and whose rows are whose."""

import numpy as np
import pytest
import torch

from hcsac.algorithms.policy import joint_action
from tests.algorithms.test_algorithms import advance, build


@pytest.mark.parametrize("decay", [0.5, 0.9, 1.0])
def test_the_average_is_the_mean_of_all_weights_at_first_and_then_decays(decay, slides):
    agent, active = build("bc", slides, (0, 1), policy_average=decay)
    seen = []
    for _ in range(12):
        advance(agent, active)
        seen.append([p.detach().double().numpy().copy() for p in agent.actor.parameters()])
    for i, average in enumerate(agent.average.parameters()):
        expected = seen[0][i]
        for n, weights in enumerate(seen[1:], 2):
            rate = max(1 / n, 1 - decay)
            expected = expected + rate * (weights[i] - expected)
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-6)
        if decay == 1.0:
            np.testing.assert_allclose(average, np.mean([weights[i] for weights in seen], 0), rtol=1e-4, atol=1e-6)


def test_the_average_acts(slides):
    agent, active = build("bc", slides, (0, 1), policy_average=0.9)
    for _ in range(5):
        advance(agent, active)
    s, task = torch.randn(2, 4, 3), torch.zeros(2, 4, dtype=torch.int64)
    action = agent.act(s, task)
    assert torch.equal(action, agent.average.act(agent.scaling(s), task))
    assert not torch.equal(action, agent.actor.act(agent.scaling(s), task))


def test_the_average_leaves_the_training_alone(slides):
    agents = [build("mtcsac", slides, (0,), policy_average=decay) for decay in (0.0, 0.9)]
    for agent, active in agents:
        for _ in range(4):
            advance(agent, active)
    (plain, _), (averaged, _) = agents
    for name, tensor in plain.state().items():
        assert torch.equal(tensor, averaged.state()[name]), name


@pytest.mark.parametrize("name", ["bc", "td3_bc", "mtcsac"])
def test_the_policy_is_the_mean_action_of_its_actors(name, slides):
    agent, active = build(name, slides, (0, 1), actors=3)
    for _ in range(2):
        advance(agent, active)
    s, task = torch.randn(2, 5, 3), torch.tensor([[0, 1, 1, 0, 1]] * 2)
    action = agent.act(s, task)
    scaled = agent.scaling(s)
    for r in range(2):
        of_all = agent.actor.act(scaled[r].expand(6, -1, -1), task[r].expand(6, -1))
        torch.testing.assert_close(action[r], of_all[3 * r : 3 * r + 3].mean(0))
        assert not torch.allclose(of_all[3 * r], of_all[3 * r + 1]), "two actors are the same"


@pytest.mark.parametrize("name", ["bc", "td3_bc", "mtcsac", "one_step"])
def test_the_first_actor_begins_as_the_only_one_of_a_single_actor(name, slides):
    (one, _), (many, _) = build(name, slides, (0, 1)), build(name, slides, (0, 1), actors=3)
    candidates = one.candidates
    for p, q in zip(one.actor.parameters(), many.actor.parameters(), strict=True):
        if candidates == 1:
            assert torch.equal(p, q.unflatten(0, (2, 3))[:, 0])
    for p, q in zip(getattr(one, "critic", one).parameters(), getattr(many, "critic", one).parameters(), strict=True):
        assert torch.equal(p, q)


def test_bc_actors_learn_as_runs_of_their_own(slides):
    """Each from its own minibatch: with the weights and rows of one of three, a single actor does the same."""
    many, active = build("bc", slides, (0, 1), actors=3)
    single, _ = build("bc", slides, (0, 1))
    with torch.no_grad():
        for p, q in zip(single.actor.parameters(), many.actor.parameters(), strict=True):
            p.copy_(q.unflatten(0, (2, 3))[:, 1])
    for _ in range(3):
        batch = active.sample(*many.next_draw())
        many.advance(batch)
        single.advance(type(batch)(*(None if x is None else x[:, 16:32] for x in batch)))
    for p, q in zip(single.actor.parameters(), many.actor.parameters(), strict=True):
        torch.testing.assert_close(p, q.unflatten(0, (2, 3))[:, 1])


def test_rows_of_the_critics_are_taken_from_all_minibatches_in_turn(slides):
    agent, active = build("td3_bc", slides, (0, 1), actors=3)
    batch = active.sample(*agent.next_draw())
    rows = agent.of_critics(batch)
    for b in range(16):
        assert torch.equal(rows.action[:, b], batch.action[:, (b % 3) * 16 + b])
    assert torch.equal(agent.unfold(agent.fold(batch.action)), batch.action)
    assert agent.of_actors(batch).reward.shape == (6, 16)


def test_joint_action_of_chosen_candidates():
    """Two replicas, two candidates of two actors; an actor here is a number that it adds."""

    class Actor(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.number = torch.nn.Parameter(torch.arange(8.0))

        def act(self, observation, task):
            return observation + self.number[:, None, None] + 100 * task[..., None]

    observation, task = torch.zeros(2, 3, 1), torch.tensor([[0, 1, 0], [1, 0, 1]])
    choice = torch.tensor([[0, 1], [1, 0]])
    action = joint_action(Actor(), observation, task, 2, choice)[..., 0]
    # Means of the actors of a candidate: 0.5 and 2.5 in the first replica, 4.5 and 6.5 in the second.
    assert action.tolist() == [[0.5, 102.5, 0.5], [104.5, 6.5, 104.5]]
    # Standard deviations of two numbers that differ by one: sqrt(1/2). Actions stay in [-1, 1].
    noise = torch.full((2, 3, 1), -2.0)
    observation -= torch.tensor([[[0.0], [102.0], [0.0]], [[104.0], [6.0], [104.0]]])
    noisy = joint_action(Actor(), observation, task, 2, choice, noise)[..., 0]
    torch.testing.assert_close(noisy, torch.full((2, 3), 0.5 - 2 * 0.5**0.5))
    assert (joint_action(Actor(), observation, task, 2, choice, 10 * noise) == -1).all()
