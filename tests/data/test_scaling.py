"""What observations are standardised by."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hcsac.data import scaling
from hcsac.data.scaling import NEARLY_CONSTANT, observation_scaling, scale_of


def test_mean_and_standard_deviation_in_pieces(slides, monkeypatch):
    monkeypatch.setattr(scaling, "ROWS", 7)
    mean, scale = observation_scaling(slides)
    observation = slides.observation.astype(np.float64)  # without the last of each episode, which nothing starts from
    np.testing.assert_allclose(mean, observation.mean(0), rtol=1e-12)
    np.testing.assert_allclose(scale, observation.std(0), rtol=1e-12)


@pytest.mark.parametrize("jitter", [0.0, 5e-7, 2e-6, 1e-4])
def test_a_column_that_hardly_varies_does_not_drown_the_others(jitter, slides):
    """The encoder of a parked joint: where it moves by 0.05 as the policy acts, that stays a small number."""
    noise = np.random.default_rng(0).normal(size=len(slides.observations))
    parked = slides.observations.copy()
    parked[:, 1] = jitter * noise
    mean, scale = observation_scaling(replace(slides, observations=parked))
    usual = np.median([std for std in parked[slides.start_index].astype(np.float64).std(0) if std > 0])
    assert scale[1] == pytest.approx(usual)
    assert abs((0.05 - mean[1]) / scale[1]) < 1
    np.testing.assert_allclose(scale[[0, 2]], slides.observation[:, [0, 2]].astype(np.float64).std(0))


def test_small_units_are_no_jitter(slides):
    """All columns in small units, and one in units a hundred times smaller than the others."""
    small = 1e-6 * slides.observations.astype(np.float64)
    small[:, 0] /= 100
    scale = observation_scaling(replace(slides, observations=small.astype(np.float32)))[1]
    np.testing.assert_allclose(scale, small[slides.start_index].std(0), rtol=1e-5)


def test_where_nothing_varies():
    assert scale_of(np.zeros(3)).tolist() == [1, 1, 1]


@given(arrays.arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 1e6, allow_subnormal=False)))
def test_no_column_is_enlarged_by_more_than_a_thousand_times_the_usual(std):
    scale = scale_of(std)
    usual = np.median(std[std > 0]) if (std > 0).any() else 1.0
    assert (scale >= NEARLY_CONSTANT * usual).all()
    assert (scale[std >= NEARLY_CONSTANT * usual] == std[std >= NEARLY_CONSTANT * usual]).all()
