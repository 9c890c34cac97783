"""Whole tasks that are shared, against their pairs written out."""

import numpy as np
import pytest
import torch

from hcsac.algorithms.algorithm import generators
from hcsac.data.dataset import Dataset
from hcsac.settings import Sharing
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.pairs import Pairs, SharedPairs, SharedTasks
from hcsac.sharing.selection import Sharer, shared_pairs
from tests.conftest import slide_episodes

CPU = torch.device("cpu")
COUNTS = (3, 1, 4)  # episodes of three tasks


@pytest.fixture(scope="module")
def data():
    episodes = [slide_episodes("slide-left", count, seed=n, length=5) for n, count in enumerate(COUNTS)]
    return Dataset.from_episodes({f"job-{n}": of_task for n, of_task in enumerate(episodes)})


def shared(data, share=None):
    sharer = Sharer(Sharing(sharing="all", share=share), data.task, data.task_names, 1, 0)
    (directions,) = sharer(None)
    return directions, shared_pairs(directions)


def written_out(directions):
    return SharedPairs(
        np.concatenate([one.row for one in directions]),
        np.concatenate([np.full(len(one.row), one.target, np.int16) for one in directions]),
    )


def active(data, pairs, **changes):
    d = ActiveDataset(data, 0.99, "keep", generators([3], 2), CPU, **changes)
    d.set_shared([pairs])
    return d


WEIGHT = np.array([1.0, 2.0, 4.0, 8.0] * 10)


@pytest.mark.parametrize("share", [None, "job-0:job-2,job-2:job-1"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("own_fraction", [None, 0.25])
def test_minibatches_are_those_of_the_pairs(share, weight, own_fraction, data):
    directions, pairs = shared(data, share)
    assert isinstance(pairs, SharedTasks)
    changes = {"own_fraction": own_fraction, "row_weight": weight}
    ours, theirs = active(data, pairs, **changes), active(data, written_out(directions), **changes)
    for draw in ({}, {"n": 3}, {"own": True}, {"uniform": True}):
        for one, other in zip(ours.sample(500, **draw), theirs.sample(500, **draw), strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other, rtol=0, atol=0)
    batch = ours.sample(2000)
    assert not batch.own.all()


def test_a_checkpoint_has_tasks_not_pairs(data):
    directions, pairs = shared(data)
    d = active(data, pairs)
    state = d.state()
    assert sum(tensor.numel() for name, tensor in state.items() if name.startswith("borrowed")) == 3 * len(directions)
    d.sample(8)
    again = ActiveDataset(data, 0.99, "keep", generators([7], 2), CPU)
    again.load_state(state)
    d.load_state(state)
    for one, other in zip(d.sample(64), again.sample(64), strict=True):
        if one is not None:
            torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_checkpoint_with_pairs_is_still_read(data):
    directions, pairs = shared(data)
    before = active(data, written_out(directions))
    now = active(data, pairs)
    now.load_state(before.state())
    assert isinstance(now.shared[0], Pairs)
    for one, other in zip(before.sample(64), now.sample(64), strict=True):
        if one is not None:
            torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_part_of_a_task_is_shared_in_pairs(data):
    directions, _ = shared(data)
    parts = [one._replace(row=one.row[1:]) for one in directions]
    pairs = shared_pairs(parts)
    assert isinstance(pairs, SharedPairs)
    assert len(pairs.row) == sum(len(one.row) for one in parts)


def test_what_is_shared_as_a_whole_takes_no_memory_for_a_pair(data):
    directions, pairs = shared(data)
    rows = [one.row for one in directions if one.source == 0]
    assert all(np.shares_memory(rows[0], row) for row in rows)
    assert all(one.value.strides == (0,) for one in directions)
    assert sum(part.nbytes for part in pairs) == 24 * len(directions)
