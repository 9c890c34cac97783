"""Vectorised returns against one environment at a time."""

import numpy as np
import pytest

from hcsac.evaluation import Evaluator, mean_std, random_policy, returns_table, rollout, score
from hcsac.tasks import get_task, make_env


def linear(observation, task, noise=None):
    """A deterministic policy that depends on observation and task."""
    return np.tanh(observation[..., :2] * (1 + task[..., None])).astype(np.float32)


def one_return(name, m, policy, seed):
    """The return of one episode and its length, in a plain loop."""
    env = make_env(name)
    observation, _ = env.reset(seed=seed)
    total, steps, done = 0.0, 0, False
    while not done:
        action = policy(observation[None, None], np.array([[m]]))[0, 0]
        observation, reward, terminated, truncated, _ = env.step(action)
        total, steps = total + reward, steps + 1
        done = terminated or truncated
    env.close()
    return total, steps


@pytest.mark.parametrize("workers", [1, 2, 50])
def test_equals_one_environment_at_a_time(workers):
    """Episodes of different lengths, each replica its own policy, and any number of processes."""
    names = ("slide-left", "goal", "slide-right")

    def mirrored(observation, task, noise=None):
        return -linear(observation, task)

    def replicas(observation, task, noise):
        return np.concatenate([linear(observation[:1], task[:1]), mirrored(observation[1:], task[1:])])

    evaluator = Evaluator(names, episodes=6, replicas=2, seed=50, workers=workers)
    returns = evaluator(replicas)
    lengths = set()
    assert returns.shape == (2, 3, 6)
    for r, policy in enumerate((linear, mirrored)):
        for m, name in enumerate(names):
            for e in range(6):
                total, steps = one_return(name, m, policy, 50 + e)
                lengths.add(steps)
                assert returns[r, m, e] == pytest.approx(total, abs=1e-6)
    assert len(lengths) > 2
    assert not np.allclose(returns[0], returns[1])
    np.testing.assert_array_equal(evaluator(replicas), returns)
    evaluator.close()


def test_another_first_seed_needs_no_other_environments():
    evaluator = Evaluator(("slide-left", "goal"), episodes=3, seed=50)
    moved = evaluator(linear, 70)
    np.testing.assert_array_equal(moved, Evaluator(("slide-left", "goal"), episodes=3, seed=70)(linear))
    assert not np.array_equal(moved, evaluator(linear))


def test_replicas_and_tasks_have_the_same_initial_states_and_episodes_do_not():
    seen = []

    def act(observation, task, noise):
        seen.append(observation.copy())
        return linear(observation, task)

    Evaluator(("slide-left", "slide-right"), episodes=3, replicas=2)(act)
    first = seen[0].reshape(2, 2, 3, 3)
    assert first.dtype == np.float32
    for r in range(2):
        for m in range(2):
            np.testing.assert_array_equal(first[r, m], first[0, 0])
    assert len(np.unique(first[0, 0], axis=0)) == 3


def test_noise_is_of_an_episode_whatever_runs_beside_it():
    """The same for every task and replica, other for every step and episode, and not a matter of blocks."""
    seen = []

    def act(observation, task, noise):
        seen.append(noise(2))
        return seen[-1]

    both = ("slide-left", "slide-right")
    returns = Evaluator(both, episodes=3, replicas=2, seed=50)(act)
    drawn = np.stack(seen).reshape(12, 2, 2, 3, 2)
    assert drawn.dtype == np.float32
    assert (drawn == drawn[:, :1, :1]).all()
    assert len(np.unique(drawn[:, 0, 0])) == 12 * 3 * 2
    assert abs(drawn[:, 0, 0].mean()) < 0.4
    assert 0.7 < drawn[:, 0, 0].std() < 1.3
    seen.clear()
    np.testing.assert_array_equal(Evaluator(both, episodes=1, seed=51)(act)[0, :, 0], returns[1, :, 1])


def test_no_more_environments_than_fit_into_memory(monkeypatch):
    """Episodes in blocks, the last one shorter, have the returns and the noise of all at once."""

    def act(observation, task, noise):
        return linear(observation, task) + noise(2)

    both = ("slide-left", "slide-right")
    expected = Evaluator(both, episodes=7, replicas=2, seed=50)(act)
    made = []
    make_envs = rollout.make_envs
    monkeypatch.setattr(rollout, "make_envs", lambda names, workers: made.append(names) or make_envs(names, workers))
    for most, at_once in ((14, 3), (4, 1), (1, 1)):
        monkeypatch.setattr(rollout, "ENVIRONMENTS", most)
        evaluator = Evaluator(both, episodes=7, replicas=2, seed=50)
        np.testing.assert_allclose(evaluator(act), expected, atol=1e-6)
        assert len(made[-1]) == 4 * at_once
        evaluator.close()


def test_is_called_once_a_vector_step_and_repeats():
    calls = []

    def act(observation, task, noise):
        calls.append(observation.shape)
        return linear(observation, task)

    evaluator = Evaluator(("slide-left",), episodes=4)
    first = evaluator(act)
    assert calls == [(1, 4, 3)] * 12
    np.testing.assert_array_equal(first, evaluator(act))


def test_random_policy_has_a_score_of_zero():
    """In the walker's simulator, compared with the random returns of the registry."""
    names = ("walker-walk", "walker-run")
    evaluator = Evaluator(names, episodes=2)
    returns = evaluator(random_policy(6)).mean((0, 2))
    evaluator.close()
    for name, value in zip(names, returns, strict=True):
        assert value == pytest.approx(get_task(name).random_return, abs=15)
        assert abs(score(name, value)) < 3


def test_random_policy_is_uniform_and_repeats():
    one, two = (random_policy(2, seed=3)(np.zeros((4, 500, 9)), np.zeros((4, 500))) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (4, 500, 2)
    assert -1 <= one.min() < -0.99
    assert 0.99 < one.max() <= 1
    assert abs(one.mean()) < 0.05
    assert len(np.unique(one)) == one.size


def test_statistics():
    mean, std = mean_std(np.array([1.0, 2.0, 6.0]))
    assert (mean, std) == (3.0, pytest.approx(np.sqrt(7)))
    assert np.isnan(mean_std(np.array([1.0]))[1])
    assert score("slide-left", 5.0) == 50.0
    assert score("walker-stand", 5.0) is None


def test_table_of_returns():
    returns = np.array([[[1.0, 3.0]], [[5.0, 7.0]]])  # seeds' means 2 and 6
    line = returns_table(returns, ["slide-left"], {"slide-left": 9.0}).splitlines()[1].split()
    assert line == ["slide-left", "4.0", "2.8", "1.0", "7.0", "40.0", "9.0"]
