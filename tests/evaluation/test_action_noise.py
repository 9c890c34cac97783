"""The noise in logged actions, where it is known."""

import numpy as np
import pytest

from hcsac.evaluation import action_noise

STD = 0.2


def linear(columns, episodes=20, steps=100, seed=0):
    """Observations, means of actions and logged actions of a linear-Gaussian behaviour, and the episode of each."""
    random = np.random.default_rng(seed)
    observation = random.normal(size=(episodes * steps, columns)).astype(np.float32) * [1, *[50] * (columns - 1)]
    mean = np.stack([np.tanh(observation[:, 0]), observation[:, -1] / 100], 1)
    action = mean + STD * random.normal(size=mean.shape)
    return observation, mean, action.astype(np.float32), np.repeat(np.arange(episodes), steps)


@pytest.mark.parametrize("columns", [2, 12])
def test_the_noise_of_a_gaussian_behaviour(columns):
    """Of a policy that is right, near it, and wrong by a constant: what neighbours share is no noise."""
    observation, mean, action, episode = linear(columns)
    residual = np.stack([action - mean, action - 0.8 * mean, action - mean - 0.7])
    assert action_noise(observation, residual, episode) == pytest.approx(STD**2, rel=0.15)


def test_it_is_too_high_where_neighbours_are_far():
    observation, mean, action, episode = linear(12)
    assert action_noise(observation, (action - 0 * mean)[None], episode)[0] > 1.2 * STD**2


def test_pairs_are_those_of_a_plain_search():
    observation, _, action, episode = linear(3, episodes=4, steps=9)
    x = (observation - observation.mean(0)) / observation.std(0)
    halves = []
    for i in range(len(x)):
        others = [j for j in range(len(x)) if episode[j] != episode[i]]
        near = min(others, key=lambda j: np.linalg.norm(x[i] - x[j]))
        halves.append(np.mean((action[i] - action[near]) ** 2) / 2)
    assert action_noise(observation, action[None], episode) == pytest.approx(np.mean(halves))


def test_a_single_episode_has_no_pairs():
    observation, _, action, _ = linear(2, episodes=1)
    assert np.isnan(action_noise(observation, action[None], np.zeros(100))).all()
