"""Flat rows: HDF5 files as D4RL's, OGBench's archives."""

import tracemalloc

import h5py
import numpy as np
import pytest

from hcsac.data.formats import OpenedDataset
from hcsac.errors import UserError
from hcsac.tasks import Task, register_task, registry
from tests.conftest import slide_episodes


@pytest.fixture
def rows():
    """Two episodes: the arrays of a file without next observations, and those."""
    made = slide_episodes("slide-left", count=2)
    last = made[0].truncated
    stacked = {
        "observations": np.concatenate([e.observation[:-1] for e in made]),
        "actions": np.concatenate([e.action for e in made]),
        "rewards": np.concatenate([e.reward for e in made]),
        "terminals": np.concatenate([last, np.zeros(12, bool)]),
        "timeouts": np.concatenate([np.zeros(12, bool), last]),
    }
    return made, stacked, np.concatenate([e.observation[1:] for e in made])


def hdf5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return str(path)


def read(path, task="slide-left"):
    return list(OpenedDataset(str(path), task))


def test_with_next_observations_every_row_is_a_transition(rows, tmp_path):
    made, arrays, following = rows
    first, second = read(hdf5(tmp_path / "log.h5", {**arrays, "next_observations": following}))
    for one, other in ((first, made[0]), (second, made[1])):
        np.testing.assert_array_equal(one.observation, other.observation)
        np.testing.assert_array_equal(one.action, other.action)
        np.testing.assert_array_equal(one.reward, other.reward)
    assert first.terminated.nonzero()[0].tolist() == [11]
    assert not first.truncated.any()
    assert second.truncated.nonzero()[0].tolist() == [11]


def test_without_them_a_timeout_costs_its_last_row_and_a_terminal_state_does_not(rows, tmp_path):
    made, arrays, _ = rows
    path = hdf5(tmp_path / "log.hdf5", arrays)
    first, second = read(path)
    assert OpenedDataset(path, "slide-left").lengths == [len(first), len(second)] == [12, 11]
    np.testing.assert_array_equal(first.observation[:-1], made[0].observation[:-1])
    np.testing.assert_array_equal(first.observation[-1], first.observation[-2])
    assert first.terminated[-1]
    np.testing.assert_array_equal(second.observation, made[1].observation[:-1])
    assert second.truncated.nonzero()[0].tolist() == [10]


def test_states_where_all_are_known(rows, tmp_path):
    _, arrays, _ = rows
    states = {"infos/qpos": np.arange(24.0)[:, None], "infos/qvel": np.arange(48.0).reshape(24, 2)}
    first, second = read(hdf5(tmp_path / "log.hdf5", {**arrays, **states}))
    assert first.physics is None  # not that of the terminal state
    np.testing.assert_array_equal(second.physics[:, 0], np.arange(12, 24))
    np.testing.assert_array_equal(second.physics[:, 1:], states["infos/qvel"][12:])


def test_rows_after_the_last_end_are_an_episode(rows, tmp_path):
    _, arrays, _ = rows
    arrays["timeouts"] = np.zeros(24)
    assert [len(e) for e in read(hdf5(tmp_path / "log.hdf5", arrays))] == [12, 11]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"terminals": np.zeros(24), "timeouts": np.zeros(24)}, "no row ends an episode; add an array timeouts"),
        ({"rewards": np.zeros(23)}, r"rewards has shape \(23,\), but observations has 24 rows"),
        ({"is_done": np.zeros(24)}, "is_done may say where episodes end"),
        ({"actions": np.full((24, 2), b"x")}, "actions has shape .* of numbers"),
        ({"actions": np.zeros((24, 2, 2))}, "actions has shape .* of numbers"),
        (
            {"next_observations": np.ones((24, 3), np.float32)},
            "the next observation of row 0 is not the observation of",
        ),
    ],
)
def test_a_bad_file_is_one_sentence(changes, message, rows, tmp_path):
    with pytest.raises(UserError, match=message):
        read(hdf5(tmp_path / "log.hdf5", {**rows[1], **changes}))


def test_a_file_that_is_something_else(tmp_path):
    (tmp_path / "log.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(UserError, match="cannot be read as hdf5"):
        read(tmp_path / "log.hdf5")
    (tmp_path / "log.bin").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"has no known dataset format; known: .*ogbench"):
        read(tmp_path / "log.bin")


@pytest.fixture
def rewarded(monkeypatch):
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    monkeypatch.setattr(registry.TASKS, "_origins", dict(registry.TASKS._origins))
    register_task(Task("goal-reward", None, reward=lambda reached, action: reached[:, 0] + 10 * action[:, 1]))


def test_ogbench(rewarded, tmp_path):
    """The row that terminals marks is the last observation; rewards are those of the task."""
    made = slide_episodes("slide-left", count=2)
    arrays = {
        "observations": np.concatenate([e.observation for e in made]),
        "actions": np.concatenate([np.concatenate([e.action, np.ones((1, 2))]) for e in made]),
        "terminals": np.tile(np.arange(13) == 12, 2).astype(np.float32),
        "qpos": np.arange(26.0)[:, None], "qvel": np.arange(26.0)[:, None],
    }  # fmt: skip
    np.savez_compressed(tmp_path / "play.npz", **arrays)
    opened = OpenedDataset(str(tmp_path / "play.npz"), "goal-reward")
    assert opened.lengths == [12, 12]
    for one, other in zip(opened, made, strict=True):
        np.testing.assert_array_equal(one.observation, other.observation)
        np.testing.assert_array_equal(one.action, other.action)
        np.testing.assert_allclose(one.reward, other.observation[1:, 0] + 10 * other.action[:, 1], rtol=1e-6)
        assert one.truncated[-1]
        assert not one.terminated.any()
        assert one.physics.shape == (13, 2)
    with pytest.raises(UserError, match="has no rewards, and task 'slide-left' has no reward function"):
        read(tmp_path / "play.npz")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("compressed", [True, False])
def test_an_archive_is_read_as_far_as_it_is_needed(order, compressed, rewarded, tmp_path):
    random = np.random.default_rng(0)
    rows, size = 60_000, 20
    arrays = {
        "observations": np.asarray(random.normal(size=(rows, size)).astype(np.float32), order=order),
        "actions": random.uniform(-1, 1, (rows, 2)).astype(np.float32),
        "terminals": np.arange(rows) % 100 == 99,
    }
    (np.savez_compressed if compressed else np.savez)(tmp_path / "play.npz", **arrays)
    tracemalloc.start()
    count = 0
    for episode in OpenedDataset(str(tmp_path / "play.npz"), "goal-reward"):
        np.testing.assert_array_equal(episode.observation, arrays["observations"][100 * count : 100 * count + 100])
        count += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 600
    if order == "C":  # of columns one after the other all are needed for a row
        assert peak < 1.5e6  # the whole array has 4.8e6 bytes
