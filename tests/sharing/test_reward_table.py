"""The table of rewards: its rules, and that what is kept between runs is never stale, partial or corrupt."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import hcsac.sharing.reward_table as module
from hcsac.data import Dataset, Episode
from hcsac.data.rewards import reward_blocks
from hcsac.errors import UserError
from hcsac.sharing.reward_table import RewardsAsDrawn, reward_table
from hcsac.tasks import Task, random_rollout, register_task, registry, rewards_of


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hcsac" / "rewards"


@pytest.fixture(scope="module")
def episodes():
    names = ("walker-walk", "walker-run")
    return Dataset.from_episodes({name: [Episode(**random_rollout(name, i))] for i, name in enumerate(names)})


@pytest.fixture
def walker(episodes, cache):
    return episodes


@pytest.fixture
def made(monkeypatch):
    """A list that grows with each block made."""
    blocks = []

    def counted(dataset, names=None):
        return (blocks.append(block) or block for block in reward_blocks(dataset, names))

    monkeypatch.setattr(module, "reward_blocks", counted)
    return blocks


@pytest.mark.parametrize(("rule", "worth"), [("keep", [1.0, 1.0]), ("zero", [1.0, 0.0])])
def test_reward_of_a_shared_transition(rule, worth, slides):
    data = replace(slides, reward=np.ones(96, np.float32))
    table = reward_table(data, rule)
    assert (table.shape, table.dtype) == ((96, 2), np.float32)
    assert table[0].tolist() == worth
    assert table[-1].tolist() == worth[::-1]


def test_keeping_rewards_takes_no_memory(slides):
    table = reward_table(slides, "keep")
    assert table.strides == (4, 0)
    assert np.shares_memory(table, slides.reward)


def test_recomputed_rewards_are_the_target_tasks_own(walker):
    table = reward_table(walker, "recompute")
    for m, name in enumerate(walker.task_names):
        told = rewards_of(name, walker.next_observation, walker.action)
        np.testing.assert_array_equal(table[:, m], np.where(walker.task == m, walker.reward, told))
    assert np.abs(table - reward_table(walker, "keep")).max() > 0.01


def test_is_made_once_and_mapped_from_then_on(walker, made, cache):
    first = np.array(reward_table(walker, "recompute"))
    count = len(made)
    again = reward_table(walker, "recompute")
    assert len(made) == count > 0
    assert isinstance(again, np.memmap)
    assert not again.flags.writeable
    np.testing.assert_array_equal(again, first)
    assert [path.suffix for path in cache.iterdir()] == [".npy"]
    np.testing.assert_array_equal(np.load(next(cache.iterdir()), allow_pickle=False), first)


def _cut(raw):
    return raw[:-100]


def _flip(raw):
    return raw[:5000] + bytes([raw[5000] ^ 1]) + raw[5001:]


@pytest.mark.parametrize("damage", [_cut, _flip, lambda raw: b"", lambda raw: b"rubbish" * 999, lambda raw: raw + b"x"])
def test_a_corrupt_file_is_made_again(damage, walker, made, cache):
    first = np.array(reward_table(walker, "recompute"))
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    count = len(made)
    np.testing.assert_array_equal(reward_table(walker, "recompute"), first)
    assert len(made) == 2 * count
    assert file.read_bytes() == whole


def test_other_data_and_other_tasks_have_files_of_their_own(walker, cache, monkeypatch):
    reward_table(walker, "recompute")
    other = replace(walker, reward=walker.reward + 1)
    np.testing.assert_array_equal(reward_table(other, "recompute")[:1000, 0], other.reward[:1000])
    slower = replace(walker, task_names=("walker-walk", "walker-speed:3"))
    assert (reward_table(slower, "recompute")[:1000, 1] != reward_table(walker, "recompute")[:1000, 1]).any()
    assert len(list(cache.iterdir())) == 3


def test_physics_count_only_where_they_are_simulated(walker, cache, monkeypatch):
    short = walker.select(["walker-walk", "walker-run"])
    reward_table(replace(short, physics=short.physics + 1), "recompute")
    reward_table(short, "recompute")
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    for name in short.task_names:
        register_task(replace(registry.get_task(name), reward=None))
    keys = {module._key(data) for data in (short, replace(short, physics=short.physics + 1))}
    assert len(keys) == 2
    assert None not in keys


def test_a_users_function_is_called_each_time(slides, cache, monkeypatch):
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    for worth in (1.0, 2.0):
        for name in slides.task_names:
            price = lambda state, action, worth=worth: np.full(len(state), worth)  # noqa: E731
            register_task(Task(name, f"tests/{name}-v0", reward=price))
        table = reward_table(slides, "recompute")
        assert (table[np.arange(96), 1 - slides.task] == worth).all()
        np.testing.assert_array_equal(table[np.arange(96), slides.task], slides.reward)
    assert not cache.exists()


def test_what_fails_midway_leaves_nothing(walker, cache, monkeypatch):
    def breaks(dataset, names=None):
        yield next(reward_blocks(dataset))
        raise UserError("no")

    monkeypatch.setattr(module, "reward_blocks", breaks)
    with pytest.raises(UserError, match="no"):
        reward_table(walker, "recompute")
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_costs_only_time(walker, cache):
    expected = np.array(reward_table(walker, "recompute"))
    for file in cache.iterdir():
        file.unlink()
    cache.rmdir()
    cache.write_text("a file where the folder should be")
    np.testing.assert_array_equal(reward_table(walker, "recompute"), expected)


def test_refuses_what_cannot_be_recomputed(slides, cache):
    with pytest.raises(UserError, match="use reward rule keep or zero"):
        reward_table(slides, "recompute")
    alone = slides.select(["slide-left"])  # shares nothing
    np.testing.assert_array_equal(reward_table(alone, "recompute")[:, 0], alone.reward)
    assert not cache.exists()


@pytest.mark.parametrize("rule", ["zero", "recompute"])
def test_rewards_as_they_are_drawn_are_those_of_the_table(rule, walker, monkeypatch):
    table = torch.tensor(np.array(reward_table(walker, rule)))
    cpu = torch.device("cpu")
    assert not RewardsAsDrawn.serves(walker, rule, cpu)
    monkeypatch.setattr(module, "LARGEST", 100)
    assert RewardsAsDrawn.serves(walker, rule, cpu)
    drawn = RewardsAsDrawn(walker, rule)
    random = np.random.default_rng(0)
    row, task = torch.tensor(random.integers(2000, size=(2, 50, 3))), torch.tensor(random.integers(2, size=(2, 50, 1)))
    found = drawn[row, task]
    assert (found.shape, found.dtype) == ((2, 50, 3), torch.float32)
    torch.testing.assert_close(found, table[row, task], rtol=0, atol=0)
    torch.testing.assert_close(drawn[row, 1], table[row, 1], rtol=0, atol=0)
    assert drawn.largest == table.abs().max().item()


def test_what_is_kept_or_replayed_or_on_a_gpu_has_a_table(slides, walker, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 100)
    cpu = torch.device("cpu")
    assert not RewardsAsDrawn.serves(walker, "keep", cpu)
    assert not RewardsAsDrawn.serves(slides, "recompute", cpu)  # its tasks have no functions
    assert RewardsAsDrawn.serves(slides, "zero", cpu)
    assert not RewardsAsDrawn.serves(walker, "recompute", torch.device("cuda"))
