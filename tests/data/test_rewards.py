"""D under the rewards of other tasks: the blocks of the table, and the cross-task matrix."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcsac.data import Dataset
from hcsac.data import rewards as data_rewards
from hcsac.data.formats import npz
from hcsac.data.rewards import cross_returns, reward_blocks
from hcsac.errors import UserError
from hcsac.tasks import Task, register_task, registry, replay
from tests.conftest import slide_episodes


@pytest.fixture
def priced(slides: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The light tasks with functions of their own that also read the action; logged rewards are others still."""
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    register_task(Task("slide-left", "tests/slide-left-v0", reward=lambda s, a: 10 * s[:, 0] + a[:, 1]))
    register_task(Task("slide-right", "tests/slide-right-v0", reward=lambda s, a: s[:, 2] * a[:, 0]))
    return slides


def expected(data: Dataset) -> np.ndarray:
    """The table row by row."""
    after, action = data.next_observation, data.action
    price = [10 * after[:, 0] + action[:, 1], after[:, 2] * action[:, 0]]
    return np.stack([np.where(data.task == m, data.reward, price[m]) for m in (0, 1)], axis=1)


@pytest.mark.parametrize("piece", [1, 7, 48, 4096])
def test_own_rewards_are_logged_and_foreign_ones_recomputed(
    piece: int, priced: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_rewards, "CHUNK", piece)
    blocks = list(reward_blocks(priced))
    assert max(len(block) for block in blocks) <= piece
    table = np.concatenate(blocks)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table, expected(priced), rtol=1e-5, atol=1e-6)


def test_rows_of_tasks_may_stand_in_any_order(priced: Dataset) -> None:
    mixed = replace(priced, task=np.repeat([1, 0, 0, 1, 0, 1, 1, 0], 12))
    np.testing.assert_allclose(np.concatenate(list(reward_blocks(mixed))), expected(mixed), rtol=1e-5, atol=1e-6)


def test_names_choose_the_columns(priced: Dataset) -> None:
    table = np.concatenate(list(reward_blocks(priced, ["slide-right"])))
    np.testing.assert_allclose(table, expected(priced)[:, [1]], rtol=1e-5, atol=1e-6)


def test_cross_returns(priced: Dataset) -> None:
    table, matrix = expected(priced), np.zeros((2, 2))
    for i, j in np.ndindex(2, 2):
        returns = [table[e : e + 12, j].sum() for e in range(0, 96, 12) if priced.task[e] == i]
        matrix[i, j] = np.mean(returns)
    np.testing.assert_allclose(cross_returns(priced), matrix, rtol=1e-5)
    assert cross_returns(priced)[0, 0] == pytest.approx(priced.mean_returns["slide-left"], rel=1e-5)


def test_what_cannot_be_recomputed_is_refused_before_any_work(slides: Dataset) -> None:
    with pytest.raises(UserError, match="rewards of task 'slide-left' cannot be recomputed"):
        reward_blocks(slides)
    alone = slides.select(["slide-left"])  # whose rows have all been paid by their own task
    np.testing.assert_array_equal(np.concatenate(list(reward_blocks(alone)))[:, 0], alone.reward)


def test_stored_physics_take_the_place_of_a_function(walk: list, run: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without their formulas, walker's tasks are simulated, and pay the same."""
    data = Dataset.from_episodes({"walker-walk": walk[:1], "walker-run": run[:1]})
    formula = np.concatenate(list(reward_blocks(data)))
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    for name in data.task_names:
        register_task(replace(registry.get_task(name), reward=None))
    simulated = np.concatenate(list(reward_blocks(data)))
    np.testing.assert_allclose(simulated, formula, atol=1e-5)
    assert data.physics is not None
    paid = replay("walker-run", data.physics[:50], data.action[:50])[1]
    np.testing.assert_array_equal(simulated[:50, 1], paid)
    with pytest.raises(UserError, match="the data have no simulator states"):
        reward_blocks(replace(data, physics=None))


def test_memory_mapped_data(priced: Dataset, tmp_path: Path) -> None:
    from hcsac.data import load, store

    for name in priced.task_names:
        store.write(f"lab/{name}-v0", name, slide_episodes(name))
    refs = [f"lab/{name}-v0" for name in priced.task_names]
    mapped = load(refs, folder=tmp_path / "mapped")
    np.testing.assert_allclose(np.concatenate(list(reward_blocks(mapped))), expected(priced), rtol=1e-5, atol=1e-6)


# What episodes of the authors' data return under the other task's reward.
KNOWN = {("walk", "medium"): 302.2, ("walk", "medium-replay"): 288.9,
         ("run", "medium"): 796.3, ("run", "medium-replay"): 738.8}  # fmt: skip


@pytest.mark.parametrize("level", ["medium", "medium-replay"])
def test_the_course_datas_cross_task_matrix(level: str, course: Path) -> None:
    data = Dataset.from_episodes(
        {f"walker-{task}": npz.read_directory(course / f"walker_{task}-td3-{level}") for task in ("walk", "run")}
    )
    matrix = cross_returns(data)
    assert matrix[0, 1] == pytest.approx(KNOWN["walk", level], abs=0.05)
    assert matrix[1, 0] == pytest.approx(KNOWN["run", level], abs=0.05)
    np.testing.assert_allclose(matrix.diagonal(), [data.mean_returns[name] for name in data.task_names], rtol=1e-6)
