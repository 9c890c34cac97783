"""Fitted Q evaluation of policies: values that are known, and the choice made by them."""

from dataclasses import replace

import numpy as np
import pytest

from hcsac.data.dataset import Dataset
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.policy.fitted_q import (
    Choice,
    FittedQSettings,
    choice_table,
    choose,
    first_state_values,
    fitted_q_evaluation,
)
from hcsac.tasks.simulate import random_rollout

FAST = FittedQSettings(behaviour_updates=300, updates=200, hidden_size=16, critics=2, target_rate=0.05, discount=0.8)


class Constant:
    """A policy of two seeds that always takes one action each, whatever it sees."""

    seeds = (0, 1)

    def __init__(self, data, actions):
        self.tasks, self.observation_size, self.actions = list(data.task_names), data.observation_size, actions

    def act_all(self, observation, task):
        return np.stack(
            [np.full((*one.shape[:1], 2), a, np.float32) for one, a in zip(observation, self.actions, strict=True)]
        )


def rollouts(count=8):
    """Random episodes of the two tasks of a point that is pushed."""
    episodes = {
        name: [Episode(**random_rollout(name, seed)) for seed in range(count)] for name in ("slide-left", "slide-right")
    }
    return Dataset.from_episodes(episodes)


def test_ranks_policies_by_what_they_earn():
    """Pushing left pays in one task and costs in the other."""
    data = rollouts()
    value = fitted_q_evaluation([Constant(data, (-1.0, 1.0))], data, FAST, progress=False)
    assert value.shape == (2, 2, 16)
    left, right = choose(value, data)
    assert {left.task, right.task} == {"slide-left", "slide-right"}
    assert (left.best, right.best) == (0, 1)
    assert left.safe is None


def test_values_are_in_the_units_of_the_rewards(slides):
    """A reward of 1 in every step is worth 1 / (1 - gamma) = 5, whatever the unit and the policy."""
    found = []
    for size in (1e-3, 1e3):
        data = replace(slides, reward=np.full_like(slides.reward, size))
        value = first_state_values([Constant(data, (-1.0, 1.0))], data, FAST, progress=False)
        found.append([value.policies / size, value.behaviour / size, value.logged / size, value.spread])
    for small, large in zip(*found, strict=True):
        np.testing.assert_allclose(small, large, rtol=1e-2)
    assert [float(values.mean()) for values in found[0][:3]] == pytest.approx([5, 5, 5], rel=0.25)


def test_policies_do_not_influence_each_other(slides):
    both = fitted_q_evaluation([Constant(slides, (-1.0, 1.0))], slides, FAST, progress=False)
    again = fitted_q_evaluation([Constant(slides, (0.5, 1.0))], slides, FAST, progress=False)
    np.testing.assert_allclose(both[1], again[1], rtol=1e-4, atol=1e-4)
    assert not np.allclose(both[0], again[0])


def test_a_baseline_is_left_only_for_a_surely_better_policy(slides):
    random = np.random.default_rng(0)
    base = random.normal(size=(1, 3, 8))
    value = np.concatenate([base, base + 1, base + random.normal(0.1, 9, size=base.shape)])
    for choice in choose(value, slides, baseline=0):
        assert choice.safe == (choice.best if choice.low[choice.best] > 0 else 0)
        assert choice.low[1] == pytest.approx(1)
        assert choice.low[2] < 0
    for choice in choose(value[[0, 2]], slides, baseline=0):
        assert choice.safe == 0


def test_the_table_says_how_good_the_choice_was():
    choice = Choice("walk", np.array([1.0, 3.0, 2.0]), np.array([0.0, 0.5, -0.1]), 1, 1)
    text = choice_table(choice, ["a", "b", "c"], np.array([10.0, 30.0, 50.0]))
    assert text.index("\n  b") < text.index("\n  c") < text.index("\n  a")
    assert "highest estimate: b" in text
    assert "surely better than the baseline" in text
    assert "regret: highest estimate 20.0, safe 20.0; a random choice 20.0" in text
    assert "rank correlation of estimates and returns: 0.50" in text


def test_a_policy_of_other_tasks_is_refused(slides):
    with pytest.raises(UserError, match="cannot be evaluated on data of slide-left"):
        fitted_q_evaluation([Constant(slides, (0.0, 0.0))], slides.select(["slide-left"]), FAST, progress=False)
