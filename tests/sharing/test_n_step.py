"""Sums over several steps of one episode, against a loop over episodes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hcsac.algorithms.algorithm import generators
from hcsac.data.dataset import Dataset
from hcsac.data.episode import Episode
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.n_step import discounted_sum, n_steps

GAMMA = 0.9


def expected(lengths, ended, t, n):
    """(first row, rows of the rewards, next row or None, whether the world ends) of the n-step return from row t."""
    start = 0
    for length, end in zip(lengths, ended, strict=True):  # noqa: B007 (used below)
        if t < start + length:
            break
        start += length
    last = start + length - 1
    if t == last and not end:  # no action follows it
        if length == 1:
            return t, [t], t, False
        t = last - 1
    rows = [t]
    while len(rows) < n and rows[-1] + 1 <= (last if end else last - 1):
        rows.append(rows[-1] + 1)
    over = end and rows[-1] == last
    return t, rows, None if over else rows[-1] + 1, over


@given(
    st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=4),
    st.integers(1, 7),
)
def test_stays_inside_its_episode(episodes, n):
    lengths, ended = [length for length, _ in episodes], [end for _, end in episodes]
    N = sum(lengths)
    left = torch.tensor([length - 1 - t for length in lengths for t in range(length)])
    terminated = torch.tensor([end and t == length - 1 for length, end in episodes for t in range(length)])
    steps = n_steps(torch.arange(N), torch.zeros(N, dtype=torch.int64), left, terminated[:, None], n)
    for t in range(N):
        first, rows, following, over = expected(lengths, ended, t, n)
        h = int(steps.length[t])
        assert int(steps.row[t]) == first
        assert steps.inside[t, :h].tolist() == rows
        assert bool(steps.ends[t]) == over
        if following is not None:
            assert int(steps.next_row[t]) == following
        assert int(steps.inside[t].max()) < N


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=4), st.integers(1, 7))
def test_a_sum_ends_where_the_task_that_uses_it_ends(ends, n):
    """The ends of a task that did not log the episodes: anywhere in them, and in no last step or in it."""
    N = sum(map(len, ends))
    left = torch.tensor([len(of) - 1 - t for of in ends for t in range(len(of))])
    table = torch.tensor([[False, end] for of in ends for end in of])
    steps = n_steps(torch.arange(N), torch.ones(N, dtype=torch.int64), left, table, n)
    start = 0
    for of in ends:
        for t in range(len(of)):
            row = int(steps.row[start + t])
            cut = t == len(of) - 1 and not of[t] and len(of) > 1
            assert row == start + t - cut
            following = of[row - start :]
            until = following.index(True) + 1 if True in following else max(1, len(following) - 1)
            length = int(steps.length[start + t])
            assert length == min(n, until)
            assert bool(steps.ends[start + t]) == of[row - start + length - 1]
        start += len(of)


def test_discounted_sum():
    reward, count = np.random.default_rng(0).normal(size=(2, 3, 4)), np.array([[1, 2, 4], [3, 1, 2]])
    total = discounted_sum(torch.tensor(reward), torch.tensor(count), GAMMA)
    for r in range(2):
        for b in range(3):
            loop = sum(GAMMA**k * reward[r, b, k] for k in range(count[r, b]))
            assert total[r, b].item() == pytest.approx(loop)


def dataset():
    random = np.random.default_rng(0)

    def episode(length, end):
        flags = np.zeros(length, bool)
        ends, cut = flags.copy(), flags.copy()
        ends[-1], cut[-1] = end, not end
        action = random.uniform(-1, 1, (length, 2)).astype(np.float32)
        observation = random.normal(size=(length + 1, 3)).astype(np.float32)
        return Episode(observation, action, random.normal(size=length).astype(np.float32), ends, cut)

    return Dataset.from_episodes(
        {"slide-left": [episode(7, True), episode(1, False)], "slide-right": [episode(5, False)]}
    )


@pytest.mark.parametrize("n", [1, 3, 20])
def test_a_minibatch_is_what_a_loop_over_its_episodes_gives(n):
    data = dataset()
    active = ActiveDataset(data, GAMMA, "keep", generators([0], 2), torch.device("cpu"))
    batch = active.sample(200, n)
    row_of = {tuple(row): t for t, row in enumerate(data.observation.tolist())}
    lengths, ended = [7, 1, 5], [True, False, False]
    for b in range(200):
        t = row_of[tuple(batch.observation[0, b].tolist())]
        first, rows, following, over = expected(lengths, ended, t, n)
        assert first == t
        np.testing.assert_array_equal(batch.action[0, b], data.action[t])
        total = sum(GAMMA**k * data.reward[row] for k, row in enumerate(rows))
        assert batch.reward[0, b].item() == pytest.approx(total, rel=1e-5, abs=1e-6)
        assert batch.discount[0, b].item() == pytest.approx(0 if over else GAMMA ** len(rows))
        np.testing.assert_array_equal(batch.next_observation[0, b], data.next_observation[rows[-1]])
        if following is not None:
            np.testing.assert_array_equal(batch.next_action[0, b], data.action[following])


def test_own_rows_alone_where_they_are_asked_for(slides):
    from hcsac.sharing.pairs import SharedPairs

    active = ActiveDataset(slides, GAMMA, "keep", generators([0], 2), torch.device("cpu"))
    every = np.flatnonzero(slides.task == 0)
    active.set_shared([SharedPairs(every, np.ones(len(every), np.int16))])
    own = {tuple(row): int(task) for row, task in zip(slides.observation.tolist(), slides.task, strict=True)}

    def foreign(batch):
        rows = batch.observation[0].tolist()
        return sum(own[tuple(row)] != int(task) for row, task in zip(rows, batch.task[0], strict=True))

    assert foreign(active.sample(300)) > 50
    assert foreign(active.sample(300, own=True)) == 0
