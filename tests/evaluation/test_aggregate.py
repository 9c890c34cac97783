"""Numbers of many runs of many tasks, held against their definitions written out in loops, and against SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import mannwhitneyu

from hcsac.evaluation import (
    iqm,
    pairwise_improvement,
    performance_profile,
    probability_of_improvement,
    rank_correlation,
)

VALUES = st.integers(-20, 20).map(float)  # whole numbers, so that ties are common
MATRICES = arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=VALUES)
SCORES = np.random.default_rng(11).normal(50, 20, (5, 3)).round(1)
OTHERS = np.random.default_rng(12).normal(60, 20, (7, 3)).round(1)


def test_iqm_by_hand():
    assert iqm(np.array([[1.0, 2.0], [3.0, 100.0]])).value == 2.5
    assert iqm(np.arange(8.0)[:, None]).value == 3.5
    assert iqm(np.array([[0.0], [3.0], [9.0]])).value == 4.0  # a quarter of three runs is none


def middle_mean(values):
    """rliable's definition: sort all runs of all tasks, cut a quarter (rounded down) off each end, average."""
    ordered = sorted(values)
    cut = int(0.25 * len(ordered))
    kept = ordered[cut : len(ordered) - cut]
    return sum(kept) / len(kept)


def pairwise_wins(x, y):
    """Mean over tasks of the share of pairs of runs that x wins, a tie being half a win."""
    tasks = []
    for m in range(len(x[0])):
        wins = [(a[m] > b[m]) + 0.5 * (a[m] == b[m]) for a in x for b in y]
        tasks.append(sum(wins) / len(wins))
    return sum(tasks) / len(tasks)


def redrawn(scores, generator):
    """A stratified bootstrap sample: in each task as many of its runs as there are, with replacement."""
    columns = [[column[i] for i in generator.integers(0, len(column), len(column))] for column in scores.T]
    return np.array(columns).T


def interval(statistic, count, seed):
    generator = np.random.default_rng(seed)
    return np.quantile([statistic(generator) for _ in range(count)], [0.025, 0.975])


def test_iqm_is_that_of_rliable():
    value, *ends = iqm(SCORES)
    assert value == pytest.approx(middle_mean(SCORES.ravel()))
    expected = interval(lambda g: middle_mean(redrawn(SCORES, g).ravel()), 3000, 1)
    np.testing.assert_allclose(ends, expected, atol=0.05 * np.diff(expected)[0])


def test_probability_of_improvement_is_that_of_rliable_and_of_scipy():
    value, *ends = probability_of_improvement(SCORES, OTHERS, draws=10_000)
    assert value == pytest.approx(pairwise_wins(SCORES, OTHERS))
    u = [mannwhitneyu(SCORES[:, m], OTHERS[:, m], alternative="greater").statistic for m in range(3)]
    assert value == pytest.approx(np.mean(u) / (5 * 7))
    expected = interval(lambda g: pairwise_wins(redrawn(SCORES, g), redrawn(OTHERS, g)), 1500, 2)
    np.testing.assert_allclose(ends, expected, atol=0.07 * np.diff(expected)[0])


def test_performance_profile_is_that_of_rliable():
    thresholds = np.array([20.0, 45.0, 50.0, 70.0])
    profile = performance_profile(SCORES, thresholds, draws=10_000)
    for t, threshold in enumerate(thresholds):

        def share(scores, threshold=threshold):
            return sum(score > threshold for score in scores.ravel()) / scores.size

        assert profile.share[t] == pytest.approx(share(SCORES))
        expected = interval(lambda g, share=share: share(redrawn(SCORES, g)), 1500, t)
        np.testing.assert_allclose([profile.low[t], profile.high[t]], expected, atol=1 / 15 + 1e-9)


def test_tasks_are_drawn_apart():
    """Runs that differ between tasks but not within them: nothing can change from draw to draw."""
    assert iqm(np.tile([[1.0, 5.0, 6.0, 9.0]], (4, 1))) == (5.5, 5.5, 5.5)


def test_the_interval_of_the_iqm_holds_the_truth():
    """100 experiments of 20 runs of 4 tasks; the middle half of a normal is centred on its mean."""
    generator = np.random.default_rng(8)
    found = [iqm(generator.normal(3, 1, (20, 4)), draws=300) for _ in range(100)]
    assert 0.87 <= np.mean([low <= 3 <= high for _, low, high in found]) <= 0.99


@pytest.mark.parametrize("draws", [1, 50])
def test_one_seed_tells_nothing_of_other_seeds(draws):
    one = np.array([[4.0, 8.0]])
    assert iqm(one, draws).value == 6.0
    profile = performance_profile(one, np.array([5.0]), draws)
    assert profile.share == 0.5
    probability = probability_of_improvement(one, np.array([[1.0, 9.0]]), draws)
    assert probability.value == 0.5
    for ends in (iqm(one, draws)[1:], profile[2:], probability[1:]):
        assert np.isnan(np.array(ends)).all()


def test_runs_that_are_missing_are_left_out():
    full = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]])
    holed = np.concatenate([full, [[np.nan, 50.0]]])
    present = [1, 2, 3, 4, 10, 20, 30, 40, 50]
    assert iqm(holed).value == pytest.approx(middle_mean(present))
    assert performance_profile(holed, np.array([15.0])).share == 4 / 9
    empty = np.column_stack([full, np.full(4, np.nan)])
    np.testing.assert_allclose(iqm(empty), iqm(full))
    wins = [mannwhitneyu(holed[:4, 0], full[:, 0]).statistic / 16, mannwhitneyu(holed[:, 1], full[:, 1]).statistic / 20]
    assert probability_of_improvement(holed, full).value == pytest.approx(np.mean(wins))
    nothing = np.full((2, 2), np.nan)
    assert np.isnan(iqm(nothing)).all()
    assert np.isnan(performance_profile(nothing, np.zeros(3)).share).all()
    assert np.isnan(probability_of_improvement(nothing, full)).all()


def test_one_seed_decides_the_draws():
    for function in (iqm, lambda s, **k: performance_profile(s, np.array([50.0]), **k).low.tolist()):
        assert function(SCORES, seed=1) == function(SCORES, seed=1)
    assert iqm(SCORES, seed=1) != iqm(SCORES, seed=2)


def test_all_against_all():
    agents = [SCORES, OTHERS, SCORES + 5]
    value, low, high = pairwise_improvement(agents, draws=500)
    for i in range(3):
        assert value[i, i] == 0.5
        assert np.isnan(low[i, i])
        for j in {0, 1, 2} - {i}:
            assert value[i, j] == pytest.approx(pairwise_wins(agents[i], agents[j]))
            assert low[i, j] <= value[i, j] <= high[i, j]
            np.testing.assert_allclose([low[i, j], high[i, j]], [1 - high[j, i], 1 - low[j, i]])


@given(MATRICES)
def test_iqm_lies_among_the_scores(scores):
    value, low, high = iqm(scores, draws=20)
    assert scores.min() <= value <= scores.max()
    if len(scores) > 1:
        assert scores.min() <= low <= high <= scores.max()


@given(MATRICES, st.randoms(use_true_random=False))
def test_the_order_of_seeds_is_no_matter(scores, random):
    order = random.sample(range(len(scores)), len(scores))
    other, thresholds = np.zeros((2, scores.shape[1])), np.arange(-20.0, 20.0)
    assert iqm(scores[order], 5).value == pytest.approx(iqm(scores, 5).value)
    shares = [performance_profile(s, thresholds, 5).share for s in (scores, scores[order])]
    np.testing.assert_allclose(*shares)
    chances = [probability_of_improvement(s, other, 5).value for s in (scores, scores[order])]
    assert chances[0] == pytest.approx(chances[1])


@given(st.data(), st.integers(1, 4))
def test_either_is_better_or_they_tie(data, tasks):
    x, y = (data.draw(arrays(float, (data.draw(st.integers(1, 5)), tasks), elements=VALUES)) for _ in range(2))
    one, other = probability_of_improvement(x, y, 5).value, probability_of_improvement(y, x, 5).value
    assert 0 <= one <= 1
    assert one + other == pytest.approx(1)
    assert probability_of_improvement(x, x, 5).value == pytest.approx(0.5)


@given(MATRICES)
def test_a_profile_falls_from_one_to_nothing(scores):
    thresholds = np.linspace(scores.min() - 1, scores.max(), 30)
    profile = performance_profile(scores, thresholds, draws=20)
    assert profile.share[0] == 1
    assert profile.share[-1] == 0
    for curve in profile[1:] if len(scores) > 1 else [profile.share]:
        assert (np.diff(curve) <= 1e-12).all()
        assert ((curve >= 0) & (curve <= 1)).all()


def test_rank_correlation():
    x, y = np.array([0.1, 5.0, 2.0, 9.0]), np.array([3.0, 10.0, 40.0, 100.0])
    ranks = [np.argsort(np.argsort(values)) for values in (x, y)]
    assert rank_correlation(x, y) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert np.isnan(rank_correlation(x[:2], y[:2]))
    assert np.isnan(rank_correlation(x, np.ones(4)))
