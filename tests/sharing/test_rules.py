"""Heuristic relabelling against Algorithm 1 written out row by row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hcsac.sharing.rules import share, threshold


def algorithm_1(task, tasks, q, quantile):
    """The double loop of the slides: the set of (row, task) pairs in D* beyond D."""
    pairs = set()
    for i in range(tasks):
        own = sorted(q[i][n] for n in range(len(task)) if task[n] == i)
        place = quantile * (len(own) - 1)  # NumPy's linear interpolation, by hand
        low = int(place)
        high = min(low + 1, len(own) - 1)
        tau = own[low] + (place - low) * (own[high] - own[low])
        for n in range(len(task)):
            if task[n] != i and q[i][n] >= tau:
                pairs.add((n, i))
    return pairs


@st.composite
def problems(draw):
    tasks = draw(st.integers(1, 4))
    rows = draw(st.integers(tasks, 25))
    task = [*range(tasks), *draw(st.lists(st.integers(0, tasks - 1), min_size=rows - tasks, max_size=rows - tasks))]
    # Whole numbers, so that ties with the threshold happen and interpolation between them is exact enough.
    q = draw(st.lists(st.lists(st.integers(-5, 5), min_size=rows, max_size=rows), min_size=tasks, max_size=tasks))
    return (
        np.array(task),
        tasks,
        np.array(q, dtype=np.float64),
        draw(st.sampled_from([0.0, 0.05, 0.25, 0.5, 0.95, 1.0])),
    )


@given(problems())
def test_quantile_is_algorithm_1(problem):
    task, tasks, q, quantile = problem
    ((borrowed, flows),) = share("quantile", task, tasks, lambda i: q[i][None], quantile, replicas=1)
    expected = algorithm_1(task, tasks, q, quantile)
    got = list(zip(borrowed.row.tolist(), borrowed.task.tolist(), strict=True))
    assert len(got) == len(set(got))
    disagree = set(got) ^ expected
    for row, i in disagree:  # only rows that sit on the threshold within rounding may differ
        assert abs(q[i][row] - threshold(q[i][task == i], quantile)) < 1e-9
    for flow in flows:
        assert flow.offered == np.sum(task == flow.source)
        count = sum(1 for row, i in got if i == flow.target and task[row] == flow.source)
        assert flow.borrowed == count
    assert len(flows) == tasks * (tasks - 1)


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.floats(0, 1))
def test_real_values_in_float32_as_the_critics_give_them(seed, tasks, quantile):
    """By counting: a borrowed value is one that at most the worst `quantile` of the own values exceed or equal."""
    random = np.random.default_rng(seed)
    task = np.concatenate([np.arange(tasks), random.integers(tasks, size=40)])
    q = random.normal(scale=50, size=(tasks, 1, len(task))).astype(np.float32)
    ((borrowed, _),) = share("quantile", task, tasks, lambda i: q[i], quantile, replicas=1)
    lent = set(zip(borrowed.row.tolist(), borrowed.task.tolist(), strict=True))
    assert all(task[n] != i for n, i in lent)
    for i in range(tasks):
        own = np.sort(q[i, 0, task == i])
        place = quantile * (len(own) - 1)
        low, high = own[int(np.floor(place - 1e-6))] if place >= 1 else own[0], own[int(np.ceil(place))]
        for n in np.flatnonzero(task != i):
            if q[i, 0, n] >= high:
                assert (n, i) in lent
            elif q[i, 0, n] < low:
                assert (n, i) not in lent


def test_quantile_0_takes_all_above_the_worst_and_1_all_above_the_best():
    task = np.array([0, 0, 0, 1, 1, 1, 1])
    values = np.array([[1.0, 2.0, 3.0, 0.999, 1.0, 2.5, 3.0]])

    def rows(quantile):
        ((borrowed, _),) = share("quantile", task, 2, lambda i: values if i == 0 else -values, quantile, 1)
        return borrowed.row[borrowed.task == 0].tolist()

    assert rows(0.0) == [4, 5, 6]
    assert rows(0.5) == [5, 6]
    assert rows(1.0) == [6]


def test_values_are_asked_once_a_task():
    asked = []

    def score(i):
        asked.append(i)
        return np.zeros((2, 6))

    share("quantile", np.array([0, 1, 2, 0, 1, 2]), 3, score, 0.5, replicas=2)
    assert asked == [0, 1, 2]


def test_values_that_are_no_numbers_lend_nothing():
    ((borrowed, flows),) = share("quantile", np.array([0, 1]), 2, lambda i: np.full((1, 2), np.nan), 0.5, 1)
    assert len(borrowed.row) == 0
    assert [flow.borrowed for flow in flows] == [0, 0]


def test_a_row_on_the_threshold_is_borrowed():
    task = np.array([0, 0, 0, 1, 1])
    values = np.array([[1.0, 2.0, 3.0, 3.0, 2.999]])
    ((borrowed, flows),) = share(
        "quantile", task, 2, lambda i: values if i == 0 else np.array([[9.0, 9, 9, 10, 10]]), 1.0, 1
    )
    assert borrowed.row[borrowed.task == 0].tolist() == [3]
    assert flows[0].threshold == 3.0


def test_all_and_none():
    task = np.array([0, 1, 1, 2])

    def unused(i):
        raise AssertionError("these rules need no values")

    ((borrowed, _),) = share("all", task, 3, unused, 0.5, 1)
    assert sorted(zip(borrowed.row.tolist(), borrowed.task.tolist(), strict=True)) == [
        (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 2), (3, 0), (3, 1),
    ]  # fmt: skip
    ((borrowed, flows),) = share("none", task, 3, unused, 0.5, 1)
    assert len(borrowed.row) == 0
    assert flows == []


def test_replicas_share_by_their_own_values():
    task = np.array([0, 0, 1, 1])
    values = {0: np.array([[0.0, 0, 1, -1], [0.0, 0, -1, 1]]), 1: np.full((2, 4), -9.0) + np.array([0, 0, 9, 9])}
    result = share("quantile", task, 2, values.__getitem__, 0.95, replicas=2)
    assert [b.row.tolist() for b, _ in result] == [[2], [3]]


def test_index_is_small():
    task = np.repeat([0, 1], 1000)
    ((borrowed, _),) = share("all", task, 2, lambda i: np.zeros((1, 2000)), 0.5, 1)
    assert (borrowed.row.nbytes + borrowed.task.nbytes) / len(borrowed.row) <= 16
