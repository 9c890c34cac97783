"""The replay buffer and its files."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from hcsac.collection.buffer import ReplayBuffer, load_episode, save_episode
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.tasks import ActionBounds


def ending_episode() -> Episode:
    """Three steps, each number telling where it comes from; the world ends."""
    return Episode(
        observation=np.arange(8, dtype=np.float32).reshape(4, 2),
        action=np.array([[0.1], [0.2], [0.3]], np.float32),
        reward=np.array([1, 2, 3], np.float32),
        terminated=np.array([False, False, True]),
        truncated=np.zeros(3, bool),
        physics=np.arange(12, dtype=np.float32).reshape(4, 3),
    )


def test_minibatches_hold_whole_transitions():
    buffer = ReplayBuffer(capacity=10, observation_size=2, action_size=1, discount=0.9)
    buffer.restore(ending_episode(), ActionBounds.unit(1))
    assert buffer.size == 3
    batch = buffer.sample(200, torch.Generator().manual_seed(0))
    assert batch.observation.shape == (1, 200, 2)
    assert batch.reward.shape == batch.discount.shape == batch.task.shape == (1, 200)
    reward = batch.reward[0]
    assert set(reward.tolist()) == {1.0, 2.0, 3.0}  # every row, and none that was never written
    torch.testing.assert_close(batch.observation[0, :, 0], 2 * (reward - 1))
    torch.testing.assert_close(batch.next_observation[0, :, 0], 2 * reward)
    torch.testing.assert_close(batch.action[0, :, 0], reward / 10)
    torch.testing.assert_close(batch.discount[0], torch.where(reward == 3, 0.0, 0.9))


def test_an_episode_survives_its_file(tmp_path):
    episode = ending_episode()
    save_episode(tmp_path / "replay" / "000000.npz", episode)
    assert [path.name for path in (tmp_path / "replay").iterdir()] == ["000000.npz"]
    for name, value in asdict(load_episode(tmp_path / "replay" / "000000.npz")).items():
        np.testing.assert_array_equal(value, getattr(episode, name))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"no archive at all"])
def test_a_corrupt_file_is_named(tmp_path, content):
    (tmp_path / "000003.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"000003\.npz cannot be read"):
        load_episode(tmp_path / "000003.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"000004\.npz cannot be read"):
        load_episode(tmp_path / "000004.npz")
