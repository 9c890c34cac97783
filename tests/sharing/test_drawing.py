"""How often rows are drawn: the weights against loops over the definition, and the draws against the weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import chisquare

from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.settings import Drawing
from hcsac.sharing import neighbours
from hcsac.sharing.drawing import (
    BlockEdges,
    Edges,
    distance_to_episodes,
    draw_between,
    edges,
    row_weights,
    sparse_rows,
    start_rows,
)


def dataset(lengths, states=None, seed=0, size=4):
    """Episodes of these lengths in each task, task after task; normal observations unless `states` are given."""
    every = [length for of_task in lengths for length in of_task]
    count = sum(every)
    if states is None:
        states = np.random.default_rng(seed).normal(size=(count + len(every), size)) * [1, 10, 0.1, 1][:size]
    return Dataset(
        observations=np.asarray(states, np.float32),
        action=np.zeros((count, 1), np.float32),
        reward=np.zeros(count, np.float32),
        terminated=np.zeros(count, bool),
        task=np.repeat(np.arange(len(lengths)), [sum(of_task) for of_task in lengths]),
        physics=None,
        episode_start=np.cumsum([0, *every]),
        episode_return=np.zeros(len(every)),
        task_names=tuple(f"slide-{i}" for i in range(len(lengths))),
    )


LENGTHS = st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=7), min_size=1, max_size=3)


def places(data):
    """Task, episode and step of every row, in order."""
    return [
        (int(data.task[start]), e, t)
        for e, (start, end) in enumerate(zip(data.episode_start[:-1], data.episode_start[1:], strict=True))
        for t in range(end - start)
    ]


def distances(data, task):
    """By the definition, one row at a time."""
    rows = [n for n, place in enumerate(places(data)) if place[0] == task]
    x = data.observation[rows].astype(np.float64)
    std = x.std(0)
    usual = np.median(std[std > 0]) if std.any() else 1  # what nearly constant columns are divided by
    x = (x - x.mean(0)) / np.where(std < usual / 1000, usual, std)
    between = cdist(x, x)
    episode = np.array([places(data)[n][1] for n in rows])
    others = np.array([[between[n, episode == e].min() for e in sorted({*episode} - {of})]
                       for n, of in enumerate(episode)])  # fmt: skip
    return np.sort(others, axis=1)[:, min(5, others.shape[1]) - 1]


@settings(deadline=None, max_examples=30)
@given(LENGTHS, st.integers(0, 99))
def test_distances_are_those_to_the_5th_nearest_other_episode(lengths, seed):
    data = dataset(lengths, seed=seed)
    for task in range(len(lengths)):
        np.testing.assert_allclose(distance_to_episodes(data, task), distances(data, task), rtol=1e-3, atol=2e-3)


@settings(deadline=None, max_examples=30)
@given(LENGTHS, st.floats(1, 1000), st.integers(1, 10), st.floats(1, 1000), st.integers(0, 99))
def test_weights_are_the_products_over_their_mean(lengths, start_weight, start_steps, sparse_weight, seed):
    data = dataset(lengths, seed=seed)
    weight = row_weights(data, Drawing(start_weight, start_steps, sparse_weight))
    if start_weight == sparse_weight == 1:
        assert weight is None
        return
    for task in range(len(lengths)):
        far = distance_to_episodes(data, task)
        limit = np.quantile(far, 0.9)
        product = [
            (start_weight if t < start_steps else 1) * (sparse_weight if d > limit else 1)
            for (_, _, t), d in zip((p for p in places(data) if p[0] == task), far, strict=True)
        ]
        of_task = weight[data.task == task]
        np.testing.assert_allclose(of_task, np.array(product) / np.mean(product), rtol=1e-12)
        assert of_task.mean() == pytest.approx(1)  # a task keeps its part of D


def test_no_weights_without_settings():
    assert row_weights(dataset([[3, 4]]), Drawing(start_steps=2)) is None


def test_a_task_of_short_episodes_keeps_its_part():
    """All rows of one task are starts, and a tenth of the other's."""
    data = dataset([[5] * 4, [50] * 4])
    weight = row_weights(data, Drawing(start_weight=8.0, start_steps=5))
    np.testing.assert_allclose(weight[:20], 1)
    np.testing.assert_allclose(weight[20:][start_rows(data, 5)[20:]], 8 * weight[-1])
    assert weight[20:].sum() == pytest.approx(200)


def test_sparse_is_where_no_other_episode_comes_by():
    """Nine episodes pass the same places, and one stays elsewhere, where it is near to itself."""
    near = np.tile(np.arange(11.0)[:, None], (9, 1)) + np.random.default_rng(0).normal(size=(99, 1)) * 0.01
    data = dataset([[10] * 10], np.concatenate([near, 30 + np.arange(11)[:, None] * 0.001]))
    assert np.flatnonzero(sparse_rows(data)).tolist() == list(range(90, 100))


def test_every_task_has_its_sparse_tenth():
    """The states of the second task are far more spread; they do not take the tenth of the first."""
    spread = np.random.default_rng(0).normal(size=(2 * 51 * 4, 3)) * np.repeat([1, 100], 51 * 4)[:, None]
    sparse = sparse_rows(dataset([[50] * 4, [50] * 4], spread))
    assert sparse[:200].sum() == sparse[200:].sum() == 20


def test_equal_distances_are_not_sparse():
    assert not sparse_rows(dataset([[5, 5, 5]], np.ones((18, 2)))).any()


def test_a_constant_column_counts_nothing():
    data = dataset([[6] * 4])
    flat = np.column_stack([data.observations, np.full(len(data.observations), 7)])
    np.testing.assert_allclose(
        distance_to_episodes(dataset([[6] * 4], flat), 0), distance_to_episodes(data, 0), atol=1e-5
    )


def test_a_single_episode_has_none_to_compare_with():
    with pytest.raises(UserError, match="sparse_weight compares episodes of a task, and 'slide-1' has only one"):
        row_weights(dataset([[4, 4], [9]]), Drawing(sparse_weight=2.0))
    assert row_weights(dataset([[4, 4], [9]]), Drawing(start_weight=2.0)) is not None


def test_large_data_are_compared_with_a_fixed_sample(monkeypatch):
    """Distances to a tenth of the rows find the same region, in any blocks, and each time the same rows."""
    states = np.random.default_rng(0).normal(size=(41 * 50, 2))
    states[::41] += 12  # every episode starts somewhere else
    states[::41] *= np.random.default_rng(1).uniform(0.5, 2, size=(50, 1))
    data = dataset([[40] * 50], states)
    every = distance_to_episodes(data, 0)
    monkeypatch.setattr(neighbours, "REFERENCE", 200)
    some = distance_to_episodes(data, 0)
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    np.testing.assert_allclose(distance_to_episodes(data, 0), some, rtol=1e-4, atol=1e-3)
    assert (some >= every * 0.9).all()  # fewer rows are near; mean and std are the sample's
    assert sparse_rows(data)[start_rows(data, 1)].mean() > 0.9
    np.testing.assert_array_equal(sparse_rows(data), sparse_rows(data))


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12), st.integers(0, 2**32 - 1), st.data())
def test_draws_follow_the_weights(weight, seed, data):
    first = data.draw(st.integers(0, len(weight) - 1))
    end = data.draw(st.integers(first + 1, len(weight)))
    edge = torch.tensor(edges(np.array(weight)))
    assert edge.diff().numpy() == pytest.approx(weight)
    drawn = draw_between(Edges(edge), edge[first], edge[end], 4000, torch.Generator().manual_seed(seed))
    part = np.array(weight[first:end])
    expected = part / part.sum() * 4000
    counts = np.bincount(drawn - first, minlength=len(part))
    assert len(counts) == len(part)  # none before the first place or behind the last
    common = expected > 5
    if common.sum() > 1:
        scale = counts[common].sum() / expected[common].sum()
        assert chisquare(counts[common], expected[common] * scale).pvalue > 1e-6


def test_a_sum_that_rounds_up_stays_in_its_part():
    """Between 2^53 and 2^53 + 2 there is no number: half of all sums round up to the next place."""
    edge = torch.tensor([0.0, 2.0**53, 2.0**53 + 2, 2.0**53 + 4], dtype=torch.float64)
    drawn = draw_between(Edges(edge), edge[1], edge[2], 1000, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == {1}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 64), min_size=2, max_size=9),
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 9)), min_size=1, max_size=5),
)
def test_edges_of_blocks_are_those_written_out(weight, chosen):
    """Weights that float64 sums without rounding, so that every place has its interval exactly."""
    blocks = [(first, min(size, len(weight) - first)) for first, size in chosen if first < len(weight)]
    if not blocks:
        return
    rows = [*range(len(weight)), *(row for first, size in blocks for row in range(first, first + size))]
    written = Edges(torch.tensor(edges(np.array(weight, float)[rows])))
    ours = BlockEdges(torch.tensor(edges(np.array(weight, float))), *map(torch.tensor, zip(*blocks, strict=True)))
    places = torch.arange(len(rows) + 1)
    assert ours.at(places).tolist() == written.at(places).tolist()
    assert ours.total == written.total
    for inside in (0.0, 0.5):
        position = written.edge[:-1] + inside
        assert ours.place(position).tolist() == written.place(position).tolist() == places[:-1].tolist()
