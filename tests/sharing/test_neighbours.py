"""Nearest transitions against distances written out one by one."""

from types import SimpleNamespace

import numpy as np
import pytest

from hcsac.data.dataset import Dataset
from hcsac.data.episode import Episode
from hcsac.sharing.neighbours import REFERENCE, nearest_own_states, share_of_own, some_of
from tests.conftest import slide_episodes

SETTINGS = SimpleNamespace(nearby_count=3, common_count=5)


@pytest.fixture
def data():
    tasks = ("slide-left", "slide-right")
    return Dataset.from_episodes({name: slide_episodes(name, 3, length=7) for name in tasks})


def scaled(x, of):
    return (x - of.mean(0)) / of.std(0)


def test_nearest_own_states(data):
    own, theirs = data.rows_of(1), data.rows_of(0)
    found = nearest_own_states(data, 1, [0], SETTINGS)
    states = data.observation
    here, there = scaled(states[own], states[own]), scaled(states[theirs], states[own])
    for n, x in enumerate(there):
        wanted = np.argsort(np.linalg.norm(here - x, axis=1))[:3]
        assert set(found[n]) == set(wanted)


def test_no_more_than_there_are(data):
    assert nearest_own_states(data, 1, [0], SimpleNamespace(nearby_count=1000)).shape == (21, 21)


def test_share_of_own(data):
    own, theirs = data.rows_of(1), data.rows_of(0)
    episode = np.repeat(np.arange(6), 7)
    pairs = np.column_stack([data.observation, data.action])
    compared = np.concatenate([own, theirs])
    x = scaled(pairs, pairs[compared])
    found = share_of_own(data, 1, [0], SETTINGS)
    for n, row in enumerate(theirs):
        distance = np.linalg.norm(x[compared] - x[row], axis=1)
        distance[episode[compared] == episode[row]] = np.inf
        assert found[n] == pytest.approx(np.isin(compared[np.argsort(distance)[:5]], own).mean())


def test_what_both_do_alike_and_what_one_does():
    """Half of the source's episodes do what the task's do, the others something else."""
    random = np.random.default_rng(0)

    def episode(action):
        states = random.normal(size=(41, 3)).astype(np.float32)
        actions = np.full((40, 2), action, np.float32) + 0.05 * random.normal(size=(40, 2)).astype(np.float32)
        ends = np.zeros(40, bool)
        return Episode(states, actions, np.zeros(40, np.float32), ends, ends)

    data = Dataset.from_episodes({
        "slide-left": [episode(0.5) for _ in range(4)] + [episode(-0.5) for _ in range(4)],
        "slide-right": [episode(0.5) for _ in range(8)],
    })  # fmt: skip
    share = share_of_own(data, 1, [0], SimpleNamespace(common_count=20))
    alike, other = share[:160], share[160:]
    assert alike.mean() > 0.5
    assert other.mean() < 0.05


def test_references_are_few_and_the_same_every_time():
    rows = np.arange(2 * REFERENCE)
    some = some_of(rows)
    assert len(some) == REFERENCE == len(set(some))
    assert (np.diff(some) > 0).all()
    np.testing.assert_array_equal(some, some_of(rows))
    np.testing.assert_array_equal(some_of(rows[:5]), np.arange(5))
