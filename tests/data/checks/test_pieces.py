"""Values of all episodes some rows at a time: what is computed of them is that of all at once, in memory that stays."""

import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcsac.data import Episode
from hcsac.data.checks import columns, coverage, examine, pieces
from hcsac.data.checks.pieces import moments
from hcsac.data.checks.repeats import check_repeats
from hcsac.data.checks.steps import choose
from hcsac.tasks import ActionBounds, Task, register_task, registry

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=8)


def episode(length: int, seed: int) -> Episode:
    rng = np.random.default_rng(seed)
    observation = rng.normal(3, [1, 100, 0], (length + 1, 3)).astype(np.float32)
    none, last = np.zeros(length, bool), np.arange(length) == length - 1
    action = rng.uniform(-1, 1, (length, 2)).astype(np.float32)
    return Episode(observation, action, rng.normal(size=length).astype(np.float32), none, last)


@given(LENGTHS, st.integers(1, 40))
def test_pieces_are_all_rows_in_order(lengths: list[int], rows: int) -> None:
    data = [episode(length, n) for n, length in enumerate(lengths)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "ROWS", rows)
        parts = list(pieces.pieces(data, lambda e: e.action))
        rewards = list(pieces.pieces(data, lambda e: e.reward))
        mean, covariance = moments(data)
    assert max(map(len, parts)) <= rows
    assert [len(part) for part in rewards] == [len(part) for part in parts]
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate([e.action for e in data]))
    every = np.concatenate([e.observation for e in data]).astype(np.float64)
    np.testing.assert_allclose(mean, every.mean(0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(every.T, bias=True), rtol=1e-9, atol=1e-9)
    assert covariance[2, 2] == 0


@given(LENGTHS, st.integers(1, 200), st.integers(0, 2))
def test_chosen_steps(lengths: list[int], count: int, reach: int) -> None:
    data = [episode(length, n) for n, length in enumerate(lengths)]
    inner = [(n, t) for n, length in enumerate(lengths) for t in range(reach, length - reach)]
    steps = choose(data, count, 0, reach)
    pairs = list(zip(steps.episode.tolist(), steps.step.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    assert set(pairs) <= set(inner)
    assert len(pairs) == min(count, len(inner))
    if pairs:
        wanted = [data[n].observation[t + 1] for n, t in pairs]
        np.testing.assert_array_equal(steps.take(lambda e: e.observation, 1), wanted)


def test_what_is_computed_in_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = [episode(200, seed) for seed in range(4)]
    data[2] = replace(data[2], observation=data[0].observation, action=data[0].action)

    def measured() -> list[object]:
        checks = [check_repeats(data), columns.check_actions(data), columns.check_observations(data, None)]
        checks += [columns.check_precision(data), coverage.check_coverage(data, ActionBounds.unit(2))]
        return [(check.message, check.findings) for check in checks]

    at_once = measured()
    monkeypatch.setattr("hcsac.data.checks.pieces.ROWS", 37)
    monkeypatch.setattr("hcsac.data.checks.repeats.ROWS", 37)
    monkeypatch.setattr("hcsac.data.checks.repeats._TOGETHER", 100)
    assert measured() == at_once


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 1), min_size=8, max_size=40), st.integers(3, 12), st.integers(3, 20))
def test_copies_are_those_of_a_search(values: list[int], cut: int, together: int) -> None:
    """Of very few values, so that many stretches occur again; against comparing all pairs of windows."""
    cut = min(cut, len(values) - 3)
    data = []
    for part in (values[:cut], values[cut:]):
        steps = np.array(part, np.float32)
        none = np.zeros(len(steps), bool)
        data.append(Episode(np.append(steps, 0)[:, None], steps[:, None], steps, none, none))
    window = max(2, min(20, min(map(len, data))))
    rows = [(n, t) for n, e in enumerate(data) for t in range(len(e) - window + 1)]
    seen = {at: data[at[0]].action[at[1] : at[1] + window].tobytes() for at in rows}
    moving = {at for at in rows if np.ptp(data[at[0]].observation[at[1] : at[1] + window]) > 0}
    kinds: dict[bytes, list[tuple[int, int]]] = {}
    for at in rows:
        if at in moving:
            kinds.setdefault(seen[at], []).append(at)
    pairs = {(a[0], b[0], b[1] - a[1], a[1]) for same in kinds.values() for a, b in pairwise(same)}
    starts = [p for p in pairs if (*p[:3], p[3] - 1) not in pairs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hcsac.data.checks.repeats._TOGETHER", together)
        check = check_repeats(data)
    assert check.numbers == {"copied_steps": len(pairs) + len(starts) * (window - 1)}


def test_memory_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    monkeypatch.setattr("hcsac.data.checks.repeats._TOGETHER", 10_000)
    register_task(Task("logged"))
    some = [episode(1000, seed) for seed in range(20)]

    def peak(data: list[Episode]) -> int:
        tracemalloc.start()
        try:
            examine("log", "logged", data, bounds_of=ActionBounds.unit)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    other = [replace(e, observation=e.observation + np.float32(1)) for e in some * 3]  # no copies
    for n, e in enumerate(other):
        e.observation[:] += n // 20
    assert peak([*some, *other]) < 1.2 * peak(some)
