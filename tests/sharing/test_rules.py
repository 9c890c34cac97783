"""Every sharing rule against its definition written out row by row."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac.algorithms import settings_of
from hcsac.errors import UserError
from hcsac.registry import SHARING_RULES
from hcsac.sharing.pairs import SharedPairs
from hcsac.sharing.rules import Memory, cds_weight, threshold
from hcsac.sharing.selection import LEVELS, Sharer, directions, shared_pairs


def share(rule, task, tasks, score, quantile=0.5, replicas=1, updates=1, **changes):
    """For every replica its pairs, and what each direction shares."""
    changes = {"sharing": rule, "share_quantile": quantile, "cds_quantile": quantile} | changes
    settings = settings_of("hcsac")().replace(changes)
    sharer = Sharer(settings, task, [f"t{i}" for i in range(tasks)], replicas, updates)
    return [(written_out(shared_pairs(shared)), shared) for shared in sharer(score)]


def written_out(pairs):
    """The pairs one by one, also of whole tasks."""
    if isinstance(pairs, SharedPairs):
        return pairs
    rows = [np.arange(first, first + size) for first, size in zip(pairs.first, pairs.size, strict=True)]
    return SharedPairs(np.concatenate(rows), np.repeat(pairs.task.astype(np.int16), pairs.size))


def pairs_of(pairs):
    return list(zip(pairs.row.tolist(), pairs.task.tolist(), strict=True))


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


@pytest.mark.parametrize("rule", ["quantile", "cds"])
@given(problem=problems())
def test_quantile_is_algorithm_1(rule, problem):
    task, tasks, q, quantile = problem
    other = {"quantile": "cds_quantile", "cds": "share_quantile"}[rule]  # each listens to its own setting alone
    ((pairs, flows),) = share(rule, task, tasks, lambda i: q[i][None], quantile, **{other: 0.123})
    assert pairs.weight is None
    expected = algorithm_1(task, tasks, q, quantile)
    got = pairs_of(pairs)
    assert len(got) == len(set(got))
    disagree = set(got) ^ expected
    for row, i in disagree:  # only rows that sit on the threshold within rounding may differ
        assert abs(q[i][row] - threshold(q[i][task == i], quantile)) < 1e-9
    for flow in flows:
        assert flow.candidates == np.sum(task == flow.source)
        count = sum(1 for row, i in got if i == flow.target and task[row] == flow.source)
        assert len(flow.row) == len(flow.value) == count
        assert list(flow.value) == [q[flow.target][n] for n in flow.row]
    assert len(flows) == tasks * (tasks - 1)


@given(problems())
def test_soft_cds_is_the_paper_written_out(problem):
    task, tasks, q, quantile = problem
    ((pairs, flows),) = share("cds", task, tasks, lambda i: q[i][None], quantile, cds_soft=True)
    if tasks == 1:
        assert len(pairs.row) == 0
        return
    weight = dict(zip(pairs_of(pairs), pairs.weight.tolist(), strict=True))
    assert set(weight) == {(n, i) for i in range(tasks) for n in range(len(task)) if task[n] != i}
    for i in range(tasks):
        tau = threshold(q[i][task == i], quantile)
        delta = {n: q[i][n] - tau for n in range(len(task)) if task[n] != i}
        temperature = sum(abs(d) for d in delta.values()) / max(len(delta), 1)
        for n, d in delta.items():
            expected = 1 / (1 + math.exp(-d / temperature)) if temperature else 0.5
            assert weight[n, i] == pytest.approx(expected, abs=1e-6)
        for flow in (flow for flow in flows if flow.target == i):
            assert (flow.threshold, flow.temperature) == (tau, pytest.approx(temperature))
    assert pairs.weight.dtype == np.float32
    assert sum(array.nbytes for array in pairs) <= 16 * len(pairs.row)


def test_the_temperature_of_soft_cds_is_a_running_average_over_the_updates_between():
    task, updates, decay = np.array([0, 0, 1, 1]), 3, 0.9
    sharer = Sharer(
        settings_of("hcsac")(sharing="cds", cds_soft=True, cds_decay=decay, cds_quantile=0.0), task, "ab", 1, updates
    )
    values = [np.array([[1.0, 5.0, 2.0, 4.0]]), np.array([[1.0, 5.0, 9.0, 11.0]])]  # |Delta| 2 on average, then 9
    first, second = (next(one for one in sharer(lambda i, v=v: v)[0] if one.target == 0) for v in values)
    assert first.temperature == 2.0
    expected = 2.0
    for _ in range(updates):  # as if it were averaged at every update
        expected = decay * expected + (1 - decay) * 9
    assert second.temperature == pytest.approx(expected)
    other = Sharer(settings_of("hcsac")(sharing="cds", cds_soft=True), task, "ab", 1, updates)
    other.load_state(sharer.state())
    np.testing.assert_array_equal(other.temperature, sharer.temperature)


def test_weights_of_extreme_values():
    np.testing.assert_allclose(cds_weight(np.array([-1e300, -1.0, 0.0, 1.0, 1e300]), 1e-3), [0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(cds_weight(np.array([-1.0, 0.0]), 0.0), [0.5, 0.5])
    assert np.isnan(cds_weight(np.array([np.nan]), 1.0)).all()
    ((pairs, _),) = share("cds", np.array([0, 1]), 2, lambda i: np.full((1, 2), np.nan), cds_soft=True)
    assert len(pairs.row) == 0


@given(problems(), st.data())
def test_only_the_named_directions_lend(problem, data):
    task, tasks, q, quantile = problem
    every = [(j, i) for i in range(tasks) for j in range(tasks) if j != i]
    if not every:
        return
    named = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=4))
    text = ",".join(f"t{j}:t{i}" for j, i in named)
    asked = []
    ((pairs, flows),) = share("quantile", task, tasks, lambda i: asked.append(i) or q[i][None], quantile, share=text)
    assert set(asked) == {i for _, i in named}  # a task that no other shares with is not scored
    ((unrestricted, _),) = share("quantile", task, tasks, lambda i: q[i][None], quantile)
    assert set(pairs_of(pairs)) == {(n, i) for n, i in pairs_of(unrestricted) if (task[n], i) in named}
    assert {(flow.source, flow.target) for flow in flows} == set(named)
    assert pairs.task.tolist() == sorted(pairs.task.tolist())  # task after task


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("walker-wolk:walker-run", "unknown task in setting share 'walker-wolk'; did you mean 'walker-walk'?"),
        ("walker-walk:walker-rum", "did you mean 'walker-run'?"),
        ("walker-walk", "'walker-walk' of setting share is not of the form from:to"),
        ("", "'' of setting share is not of the form"),
        ("walker-walk:alk", "unknown task in setting share 'alk'"),
        ("walker-walk:walker-run,", "'' of setting share is not of the form"),
        ("walker-run:walker-run", "is from a task to itself"),
    ],
)
def test_bad_directions(text, says):
    with pytest.raises(UserError) as caught:
        directions(text, ("walker-walk", "walker-run"))
    assert says in str(caught.value)


def test_directions():
    assert directions("a:b, b:a,a:b", ("a", "b", "c")) == [(0, 1), (1, 0)]
    assert directions(None, ("a", "b")) == [(1, 0), (0, 1)]
    assert directions(None, ("a",)) == []
    walkers = ("walker-walk", "walker-run", "cheetah-run", "walker-speed:-2")
    assert directions("walk:walker-run, walk:cheetah-run", walkers) == [(0, 1), (0, 2)]
    assert directions("speed:-2:walk,walk:speed:-2", walkers) == [(3, 0), (0, 3)]
    with pytest.raises(UserError, match="unknown task in setting share 'run'"):  # which one?
        directions("walk:run", walkers)
    assert directions("speed:2:b,b:speed:2", ("b", "speed:2")) == [(1, 0), (0, 1)]  # names with colons


@pytest.mark.parametrize("rule", ["quantile", "all", "cds"])
def test_the_quantiles_are_those_of_the_targets_own_values(rule):
    random = np.random.default_rng(0)
    task, q = np.repeat([0, 1, 2], 50), random.normal(size=(3, 2, 150)).astype(np.float32)
    for r, (_, flows) in enumerate(share(rule, task, 3, lambda i: q[i], replicas=2)):
        for flow in flows:
            own = np.sort(q[flow.target, r, task == flow.target].astype(np.float64))
            expected = [np.interp(level * 49, np.arange(50), own) for level in LEVELS]
            np.testing.assert_allclose(flow.own_quantiles, expected, rtol=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.floats(0, 1))
def test_real_values_in_float32_as_the_critics_give_them(seed, tasks, quantile):
    """By counting: a shared value is one that at most the worst `quantile` of the own values exceed or equal."""
    random = np.random.default_rng(seed)
    task = np.concatenate([np.arange(tasks), random.integers(tasks, size=40)])
    q = random.normal(scale=50, size=(tasks, 1, len(task))).astype(np.float32)
    ((pairs, _),) = share("quantile", task, tasks, lambda i: q[i], quantile)
    lent = set(pairs_of(pairs))
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
        ((pairs, _),) = share("quantile", task, 2, lambda i: values if i == 0 else -values, quantile, 1)
        return pairs.row[pairs.task == 0].tolist()

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
    ((pairs, flows),) = share("quantile", np.array([0, 1]), 2, lambda i: np.full((1, 2), np.nan), 0.5, 1)
    assert len(pairs.row) == 0
    assert [len(flow.row) for flow in flows] == [0, 0]


def test_a_transition_on_the_threshold_is_shared():
    task = np.array([0, 0, 0, 1, 1])
    values = np.array([[1.0, 2.0, 3.0, 3.0, 2.999]])
    ((pairs, flows),) = share(
        "quantile", task, 2, lambda i: values if i == 0 else np.array([[9.0, 9, 9, 10, 10]]), 1.0, 1
    )
    assert pairs.row[pairs.task == 0].tolist() == [3]
    assert flows[0].threshold == 3.0


@pytest.mark.parametrize("rule", ["all", "uds", "utds"])
def test_all(rule):
    ((pairs, flows),) = share(rule, np.array([0, 1, 1, 2]), 3, lambda i: np.zeros((1, 4)))
    assert sorted(pairs_of(pairs)) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 2), (3, 0), (3, 1)]
    assert pairs.weight is None
    assert all(np.isnan(flow.threshold) and len(flow.row) == flow.candidates for flow in flows)


def test_none():
    def unused(i):
        raise AssertionError("no rule, no values")

    ((pairs, flows),) = share("none", np.array([0, 1]), 2, unused)
    assert len(pairs.row) == 0
    assert flows == []


def test_replicas_share_by_their_own_values():
    task = np.array([0, 0, 1, 1])
    values = {0: np.array([[0.0, 0, 1, -1], [0.0, 0, -1, 1]]), 1: np.full((2, 4), -9.0) + np.array([0, 0, 9, 9])}
    result = share("quantile", task, 2, values.__getitem__, 0.95, replicas=2)
    assert [b.row.tolist() for b, _ in result] == [[2], [3]]


def test_index_is_small():
    task = np.repeat([0, 1], 1000)
    ((pairs, _),) = share("all", task, 2, lambda i: np.zeros((1, 2000)), 0.5, 1)
    assert (pairs.row.nbytes + pairs.task.nbytes) / len(pairs.row) <= 16


def rule_taken(name, own, candidates, of_data=None, **changes):
    rule = SHARING_RULES.get(name)
    settings = settings_of("hcsac")().replace(changes)
    return rule.choose(np.asarray(own), np.asarray(candidates), settings, Memory(math.nan, 1, of_data))


@given(problems(), st.integers(1, 4))
def test_nearby_compares_with_the_nearest_alone(problem, count):
    task, _, q, quantile = problem
    own, candidates = q[0][task == 0], q[0][task != 0]
    nearest = np.random.default_rng(0).integers(len(own), size=(len(candidates), count))
    selection = rule_taken("nearby", own, candidates, nearest, nearby_quantile=quantile)
    for taken, value, places in zip(selection.taken, candidates, nearest, strict=True):
        tau = threshold(own[places], quantile)
        assert taken == (value >= tau) or abs(value - tau) < 1e-9


def test_nearby_takes_better_actions_at_poor_states():
    own, nearest = [1.0, 1.0, 9.0, 9.0], np.array([[0, 1], [2, 3]])
    assert rule_taken("nearby", own, [2.0, 8.0], nearest).taken.tolist() == [True, False]
    assert rule_taken("quantile", own, [2.0, 8.0], share_quantile=0.75).taken.tolist() == [False, False]


def test_rules_of_the_data_alone():
    nothing = np.full(3, np.nan)
    assert rule_taken("common", nothing, nothing, np.array([0.5, 0.2, 0.25])).taken.tolist() == [True, False, True]
    gain, known = np.array([1.0, -1.0, 2.0]), np.array([True, True, False])
    assert rule_taken("outcome", nothing, nothing, (gain, known)).taken.tolist() == [True, False, False]


def test_advantages_are_given_to_the_rule_that_asks_for_them():
    assert [name for name, rule in SHARING_RULES.items() if rule.advantages] == ["advantage"]
    assert SHARING_RULES.get("advantage").needs_values
    assert rule_taken("advantage", [0.0, 1.0, 2.0], [1.0, 0.9]).taken.tolist() == [True, False]


def test_what_is_computed_of_the_data_is_computed_once():
    asked = []
    task, names = np.array([0, 0, 1, 1]), ["a", "b"]
    settings = settings_of("hcsac")(sharing="common")
    sharer = Sharer(settings, task, names, 2, 1, lambda i, sources: asked.append((i, sources)) or np.ones(2))
    for _ in range(3):
        assert [len(one.row) for one in sharer(None)[1]] == [2, 2]
    assert asked == [(0, (1,)), (1, (0,))]
