"""Intervals over seeds and episodes, and what is said of an agent beside its data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hcsac.evaluation import Estimate, gap, improvement, improvements, normalise, paired_interval, score, verdict
from hcsac.evaluation.statistics import two_level_means

VALUES = st.floats(-1000, 1000, width=32).map(float)
MATRICES = arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=VALUES)


def test_two_level_means_are_those_of_a_loop():
    """The definition, one draw at a time, from the same random numbers."""
    values = np.random.default_rng(3).normal(size=(2, 3, 4))
    generator = np.random.default_rng(7)
    picked, within = generator.integers(0, 3, (50, 3)), generator.integers(0, 4, (50, 3, 4))
    for cell in range(2):
        expected = []
        for draw in range(50):
            sample = [values[cell, picked[draw, r], within[draw, r, e]] for r in range(3) for e in range(4)]
            expected.append(sum(sample) / len(sample))
        np.testing.assert_allclose(two_level_means(values, 50, 7)[:, cell], expected)


def test_blocks_of_draws_change_nothing(monkeypatch):
    values = np.random.default_rng(0).normal(size=(1, 3, 4))
    whole = two_level_means(values, 100)
    monkeypatch.setattr("hcsac.evaluation.statistics._BLOCK", 60)
    np.testing.assert_array_equal(two_level_means(values, 100), whole)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Of 20 seeds that differ as their episodes do; 95 % less what percentile intervals are known to fall short."""
    generator = np.random.default_rng(5)
    returns = 7 + generator.normal(size=(1000, 20, 1)) + generator.normal(size=(1000, 20, 10))
    held = np.mean([low <= 7 <= high for _, low, high in improvements(returns, [0.0] * 1000, draws=500)])
    assert 0.91 < held < 0.96


def test_improvement_over_a_known_mean_shifts_the_interval():
    returns = np.random.default_rng(2).normal(500, 30, (3, 20))
    np.testing.assert_allclose(improvement(returns, 480.0), np.array(paired_interval(returns)) - 480)


def test_the_behaviours_episodes_widen_the_interval():
    """Their variance adds up: a mean of 1600 numbers of std 10 less one of 25 of std 10."""
    generator = np.random.default_rng(4)
    returns, logged = generator.normal(0, 10, (1, 1600)), generator.normal(0, 10, 25)
    value, low, high = improvement(returns, logged)
    assert value == pytest.approx(returns.mean() - logged.mean())
    std = np.sqrt(returns.var() / 1600 + logged.var() / 25)
    assert (high - low) / (2 * 1.96) == pytest.approx(std, rel=0.05)
    _, low, high = improvement(returns, logged.mean())
    assert (high - low) / (2 * 1.96) == pytest.approx(returns.std() / 40, rel=0.05)


def test_cells_at_once_are_the_cells_one_by_one():
    generator = np.random.default_rng(6)
    returns, logged = generator.normal(size=(3, 2, 5)), generator.normal(size=8)
    behaviours = [1.0, logged, logged]
    together = improvements(returns, behaviours, draws=200, seed=3)
    for one, cell, behaviour in zip(together, returns, behaviours, strict=True):
        np.testing.assert_allclose(one, improvement(cell, behaviour, 200, 3))
    assert together == improvements(returns, behaviours, draws=200, seed=3)
    assert together != improvements(returns, behaviours, draws=200, seed=4)


def test_a_return_that_is_no_number_spoils_its_own_cell_only():
    returns = np.ones((2, 2, 3))
    returns[0, 1, 2] = np.nan
    spoilt, sound = improvements(returns, [0.0, 0.0], draws=50)
    assert np.isnan(spoilt).all()
    assert verdict(spoilt) == "unknown"
    assert sound == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 2, "beats its data"),
        (-2, -0.1, "below"),
        (-1, 1, "not told apart"),
        (0, 1, "not told apart"),
        (-1, 0, "not told apart"),
    ],
)
def test_verdict(low, high, said):
    assert verdict(Estimate(0.0, low, high)) == said
    assert verdict(Estimate(0.0, low, high), "beats bc") == said.replace("its data", "bc")


@given(MATRICES, VALUES)
def test_the_verdict_says_what_the_interval_says(returns, behaviour):
    found = improvement(returns, behaviour, draws=20)
    assert (verdict(found) == "beats its data") == (found.low > 0)
    assert (verdict(found) == "below") == (found.high < 0)
    slack = 1e-9 * (1 + abs(returns).max() + abs(behaviour))
    assert returns.min() - slack <= found.low + behaviour <= found.high + behaviour <= returns.max() + slack


@given(MATRICES)
def test_gap_is_never_negative(curve):
    found = gap(curve)
    assert found.shape == curve.shape[1:]
    assert (found >= 0).all()
    assert (gap(np.concatenate([curve, curve.max(0, keepdims=True)])) == 0).all()


def test_gap_by_hand():
    np.testing.assert_array_equal(gap(np.array([[1.0, 9.0], [5.0, 2.0], [4.0, 3.0]])), [1.0, 6.0])


def test_normalised_returns_are_scores():
    np.testing.assert_allclose(normalise(np.array([0.0, 5.0, 12.0]), 0.0, 10.0), [0, 50, 120])
    assert score("slide-left", 5.0) == 50.0
