"""Failed episodes and differences between two policies, against loops over single numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hcsac.evaluation import failed_share, paired_difference, paired_interval

VALUES = st.floats(-1000, 1000, width=32).map(float)
MATRICES = arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=VALUES)


def failed_by_hand(returns):
    """Seed by seed, with a median of the sorted returns."""
    ordered = sorted(value for row in returns for value in row)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return [sum(value < median - abs(median) / 2 for value in row) / len(row) for row in returns]


@given(MATRICES)
def test_failed_share_is_that_of_a_loop(returns):
    np.testing.assert_allclose(failed_share(returns), failed_by_hand(returns.tolist()))


def test_failed_share_by_hand():
    # median 100: below 50 are 49 and 10, not 50
    assert failed_share(np.array([[100.0, 100.0, 50.0, 49.0], [120.0, 120.0, 120.0, 10.0]])).tolist() == [0.25, 0.25]
    # costs, median -150: below -225 is -1000
    assert failed_share(np.array([[-150.0, -100.0, -1000.0], [-150.0, -140.0, -224.0]])).tolist() == [1 / 3, 0]
    assert failed_share(np.zeros((2, 3))).tolist() == [0, 0]
    assert np.isnan(failed_share(np.array([[1.0, np.nan], [1.0, 1.0]]))).all()


@given(MATRICES, st.sampled_from([0.25, 2.0, 1024.0]))
def test_a_unit_of_reward_does_not_change_who_failed(returns, factor):
    np.testing.assert_array_equal(failed_share(returns), failed_share(factor * returns))


@pytest.mark.parametrize("same_seeds", [True, False])
def test_paired_difference_is_that_of_a_loop(same_seeds):
    """One bootstrap sample at a time, from the same random numbers."""
    data = np.random.default_rng(3)
    x, y = data.normal(size=(3, 4)), data.normal(size=(3 if same_seeds else 2, 4))
    generator = np.random.default_rng(7)
    seeds_x = generator.multinomial(3, np.full(3, 1 / 3), 50)
    seeds_y = seeds_x if same_seeds else generator.multinomial(2, np.full(2, 1 / 2), 50)
    episodes = generator.multinomial(4, np.full(4, 1 / 4), 50)
    samples = []
    for draw in range(50):
        sides = []
        for values, seeds in ((x, seeds_x[draw]), (y, seeds_y[draw])):
            drawn = [
                values[r, e] for r in range(len(values)) for e in range(4) for _ in range(seeds[r] * episodes[draw][e])
            ]
            sides.append(sum(drawn) / len(drawn))
        samples.append(sides[0] - sides[1])
    value, low, high = paired_difference(x, y, same_seeds, draws=50, seed=7)
    assert value == pytest.approx(x.mean() - y.mean())
    np.testing.assert_allclose([low, high], np.quantile(samples, [0.025, 0.975]))


def simulated(count, seeds, episodes, of_seed, of_state, rest, generator):
    """Pairs of returns whose true difference is 0: some states are hard for both, some for one of the two."""
    hard = 3 * generator.normal(size=(count, 1, 1, episodes))
    own = of_state * generator.normal(size=(count, 2, 1, episodes))
    trained = of_seed * generator.normal(size=(count, 2, seeds, 1))
    return hard + own + trained + rest * generator.normal(size=(count, 2, seeds, episodes))


@pytest.mark.parametrize("same_seeds", [True, False])
@pytest.mark.parametrize(("of_seed", "of_state", "least"), [(0.0, 1.0, 0.92), (1.0, 1.0, 0.88), (0.0, 0.0, 0.97)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(same_seeds, of_seed, of_state, least):
    """Ten seeds of 30 episodes. Where nothing but noise differs it is wider than it needs to be."""
    pairs = simulated(200, 10, 30, of_seed, of_state, 1.0, np.random.default_rng(5))
    found = [paired_difference(x, y, same_seeds, draws=200) for x, y in pairs]
    held = np.mean([low <= 0 <= high for _, low, high in found])
    assert held > least
    if least < 0.97:
        assert held < 0.985


def test_an_initial_state_that_all_seeds_share_is_not_taken_for_ten():
    """Where states are harder for one of the two, drawing episodes within seeds holds the truth far too seldom."""
    pairs = simulated(200, 10, 30, 0.0, 1.0, 1.0, np.random.default_rng(6))
    within = [paired_interval(x - y, draws=200) for x, y in pairs]
    assert np.mean([low <= 0 <= high for _, low, high in within]) < 0.8


def test_what_both_sides_share_cancels():
    generator = np.random.default_rng(8)
    x, y = generator.normal(size=(2, 3, 20))
    states, seeds = 100 * generator.normal(size=(1, 20)), 100 * generator.normal(size=(3, 1))
    for same_seeds in (True, False):
        plain = paired_difference(x, y, same_seeds)
        np.testing.assert_allclose(paired_difference(x + states, y + states, same_seeds), plain)
    np.testing.assert_allclose(paired_difference(x + seeds, y + seeds, True), paired_difference(x, y, True))
    apart = paired_difference(x + seeds, y + seeds, False)
    assert apart.high - apart.low > 10 * (plain.high - plain.low)


def test_one_seed_covers_initial_states_only():
    x = np.random.default_rng(9).normal(size=(1, 200))
    value, low, high = paired_difference(x, np.zeros((1, 200)), False)
    assert value == pytest.approx(x.mean())
    assert (high - low) / (2 * 1.96) == pytest.approx(x.std() / np.sqrt(200), rel=0.05)
    assert paired_difference(np.ones((1, 5)), np.zeros((2, 5)), False) == (1, 1, 1)


def test_a_return_that_is_no_number_spoils_the_difference():
    assert np.isnan(paired_difference(np.array([[1.0, np.nan]]), np.zeros((1, 2)), True)).all()
