"""What follows a transition, against sums written out."""

import numpy as np
import pytest

from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.sharing.outcome import better_outcomes, outcome
from hcsac.tasks import Task
from hcsac.tasks.registry import TASKS
from tests.conftest import slide_episodes


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setattr(TASKS, "_items", dict(TASKS._items))
    TASKS.add("ahead", Task("ahead", reward=lambda reached, action: reached[:, 0]))
    TASKS.add("aside", Task("aside", reward=lambda reached, action: reached[:, 1] ** 2))
    lengths = (130, 60, 90, 40)
    episodes = [slide_episodes("slide-left", 1, seed=n, length=length)[0] for n, length in enumerate(lengths)]
    return Dataset.from_episodes({"ahead": episodes[:2], "aside": episodes[2:]})


def test_the_sum_stays_in_the_episode(data):
    reward = np.random.default_rng(0).normal(size=len(data))
    found = outcome(data, reward)
    for episode in range(4):
        first, last = data.episode_start[episode : episode + 2]
        for row in range(first, last):
            wanted = sum(0.99**k * reward[row + k] for k in range(min(100, last - row)))
            assert found[row] == pytest.approx(wanted)


@pytest.mark.parametrize(("task", "source"), [(0, 1), (1, 0)])
def test_the_gain_is_over_own_episodes_at_that_step(data, task, source):
    reached = data.next_observation
    reward = reached[:, 0] if task == 0 else reached[:, 1] ** 2
    reward = np.where(data.task == task, data.reward, reward)
    value = outcome(data, reward)
    step = np.concatenate([np.arange(n) for n in np.diff(data.episode_start)])
    counts = data.rows_left >= 50
    own = (data.task == task) & counts
    gain, known = better_outcomes(data, task, [source])
    assert known.any()
    assert not known.all()
    for n, row in enumerate(data.rows_of(source)):
        near = own & (np.abs(step - step[row]) <= 10)
        assert known[n] == (counts[row] and near.any())
        if known[n]:
            assert gain[n] == pytest.approx(value[row] - value[near].mean(), rel=1e-5, abs=1e-5)


def test_it_needs_the_rewards_of_the_task():
    data = Dataset.from_episodes({name: slide_episodes(name) for name in ("slide-left", "slide-right")})
    with pytest.raises(UserError, match="cannot be recomputed"):
        better_outcomes(data, 0, [1])
