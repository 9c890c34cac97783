"""Vectorised returns against one environment at a time."""

import numpy as np
import pytest

from hcsac.evaluation import Evaluator, mean_std, random_policy, returns_table, score
from hcsac.tasks import get_task, make_env


def linear(observation, task):
    """A deterministic policy that depends on observation and task."""
    return np.tanh(observation[..., :2] * (1 + task[..., None])).astype(np.float32)


def test_equals_one_environment_at_a_time():
    names = ("slide-left", "slide-right")
    returns = Evaluator(names, episodes=3, replicas=2, seed=50)(linear)
    assert returns.shape == (2, 2, 3)
    np.testing.assert_array_equal(returns[0], returns[1])  # every replica meets the same initial states
    for m, name in enumerate(names):
        for e in range(3):
            env = make_env(name)
            observation, _ = env.reset(seed=50 + e)
            total, over = 0.0, False
            while not over:
                action = linear(observation[None, None], np.array([[m]]))[0, 0]
                observation, reward, terminated, truncated, _ = env.step(action)
                total += reward
                over = terminated or truncated
            assert returns[0, m, e] == pytest.approx(total, abs=1e-6)


def test_is_called_once_a_vector_step_and_repeats():
    calls = []

    def act(observation, task):
        calls.append(observation.shape)
        return linear(observation, task)

    evaluator = Evaluator(("slide-left",), episodes=4)
    first = evaluator(act)
    assert calls == [(1, 4, 3)] * 12
    np.testing.assert_array_equal(first, evaluator(act))


def test_random_walker_is_as_bad_as_its_registered_return():
    returns = Evaluator(("walker-run",), episodes=3)(random_policy(6))
    assert returns.mean() == pytest.approx(get_task("walker-run").random_return, abs=8)


def test_statistics():
    mean, std = mean_std(np.array([1.0, 2.0, 6.0]))
    assert (mean, std) == (3.0, pytest.approx(np.sqrt(7)))
    assert np.isnan(mean_std(np.array([1.0]))[1])
    assert score("slide-left", 5.0) == 50.0
    assert score("walker-stand", 5.0) is None


def test_table_names_spread_and_behaviour():
    returns = np.array([[[1.0, 3.0]], [[5.0, 7.0]]])  # seeds' means 2 and 6
    line = returns_table(returns, ["slide-left"], {"slide-left": 9.0}).splitlines()[1].split()
    assert line == ["slide-left", "4.0", "2.8", "1.0", "7.0", "40.0", "9.0"]
