"""Shared transitions end where the task that uses them ends."""

import numpy as np
import pytest
import torch

from hcsac.algorithms.algorithm import generators
from hcsac.data import Episode
from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.ends import end_table
from hcsac.sharing.pairs import SharedPairs
from hcsac.tasks import Task, register_task, registry
from tests.conftest import arm_episodes, slide_episodes


@pytest.fixture(autouse=True)
def _own_tasks(monkeypatch):
    for table in ("_items", "_origins"):
        monkeypatch.setattr(registry.TASKS, table, dict(getattr(registry.TASKS, table)))


@pytest.fixture
def data():
    """A task with ends of its own, which were logged for its own episodes, and one that only has the logged ones."""
    register_task(Task("careful", terminated=lambda seen, action, reached: reached[:, 0] > 0.2))
    register_task(Task("careless"))
    own = slide_episodes("slide-left", count=3)
    stops = [np.append(np.flatnonzero(e.observation[1:, 0] > 0.2), 11)[0] for e in own]
    careful = [
        Episode(e.observation[: stop + 2], e.action[: stop + 1], e.reward[: stop + 1],
                e.observation[1 : stop + 2, 0] > 0.2, np.zeros(stop + 1, bool))
        for e, stop in zip(own, stops, strict=True)
    ]  # fmt: skip
    return Dataset.from_episodes({"careful": careful, "careless": slide_episodes("slide-right", count=3)})


def test_own_transitions_keep_their_ends_and_others_take_those_of_the_task(data):
    table = end_table(data)
    for m in range(2):
        np.testing.assert_array_equal(table[data.task == m, m], data.terminated[data.task == m])
    others = data.task == 1
    np.testing.assert_array_equal(table[others, 0], data.next_observation[others, 0] > 0.2)
    np.testing.assert_array_equal(table[~others, 1], data.terminated[~others])  # careless has no function
    assert 0 < table[others, 0].sum() < others.sum()
    assert table[~others, 1].any()


def test_values_end_there(data):
    active = ActiveDataset(data, 0.9, "keep", generators([0], 2), torch.device("cpu"))
    rows = np.flatnonzero(data.task == 1)
    active.set_shared([SharedPairs(rows, np.zeros(len(rows), np.int16))])
    batch = active.sample(500)
    shared = ~batch.own[0]
    ends = batch.next_observation[0, :, 0] > 0.2
    np.testing.assert_array_equal(batch.discount[0, shared] == 0, ends[shared])
    assert (batch.discount[0, batch.own[0] & (batch.task[0] == 1)] > 0).all()


def test_without_any_function_it_is_a_view(slides):
    assert end_table(slides).strides[1] == 0


def test_the_function_is_given_the_units_of_the_robot():
    seen = []
    register_task(Task("end", terminated=lambda at, action, to: seen.append(action) or action[:, 1] > 0.5,
                       action_bounds=((-0.4, 0), (0.4, 1))))  # fmt: skip
    data = Dataset.from_episodes({"end": arm_episodes(count=1), "arm": arm_episodes(count=2)})
    table = end_table(data)
    (actions,) = seen
    logged = np.concatenate([episode.action for episode in arm_episodes(count=2)])
    np.testing.assert_allclose(actions, logged, atol=1e-6)
    np.testing.assert_array_equal(table[data.task == 1, 0], actions[:, 1] > 0.5)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda *_: 1 / 0, r"`terminated` of task 'end' failed on 12 transitions \(ZeroDivisionError"),
        (
            lambda at, action, to: to[:, 0],
            r"returned shape \[12\] and type float32 for 12 transitions; it must return \[12\]",
        ),
        (lambda *_: True, r"returned shape \[\] and type bool"),
    ],
)
def test_a_function_that_fails_is_one_sentence(function, message):
    register_task(Task("end", terminated=function))
    register_task(Task("other"))
    data = Dataset.from_episodes({name: slide_episodes("slide-left", count=1) for name in ("end", "other")})
    with pytest.raises(UserError, match=message):
        end_table(data)
