"""Which episodes a slice and a mixture have."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac.collection.keep import evenly, mixture_of, slice_of
from hcsac.data.episode import Episode
from hcsac.errors import UserError


def returning(*returns: float) -> list[Episode]:
    """Episodes of one step with these returns."""
    one, no = np.zeros((2, 1), np.float32), np.zeros(1, bool)
    return [Episode(one, one[:1], np.array([value], np.float32), no, ~no) for value in returns]


def of(episodes: list[Episode]) -> list[float]:
    return [episode.episode_return for episode in episodes]


def test_evenly_has_the_first_and_the_last():
    episodes = returning(*range(10))
    assert of(evenly(episodes, 4)) == [0, 3, 6, 9]
    assert of(evenly(episodes, None)) == of(evenly(episodes, 10)) == of(evenly(episodes, 11)) == list(range(10))


def test_a_slice_includes_its_bounds():
    episodes = returning(5, 1, 3, 2, 4, 3)
    assert of(slice_of(episodes, (2, 4), 9)) == [3, 2, 4, 3]
    assert of(slice_of(episodes, (2, 4), 2)) == [3, 3]
    with pytest.raises(UserError, match=r"no training episode returns between 6 and 7; the returns are 1\.0 to 5\.0"):
        slice_of(episodes, (6, 7), 9)


@given(st.integers(9, 60), st.tuples(*[st.floats(0.01, 1)] * 3), st.integers(0, 5))
def test_a_mixture_has_its_shares(size: int, weights: tuple[float, float, float], seed: int):
    returns = np.random.default_rng(size).permutation(size)
    shares = np.array(weights) / sum(weights)
    count = size // 3
    drawn = of(mixture_of(returning(*returns), shares, count, seed))
    assert len(set(drawn)) == count
    positions = [list(returns).index(value) for value in drawn]
    assert positions == sorted(positions)
    thirds = np.array_split(np.arange(size), 3)
    for third, share in zip(thirds, shares, strict=True):
        assert abs(sum(value in third for value in drawn) - count * share) < 1
    assert drawn == of(mixture_of(returning(*returns), shares, count, seed))


def test_seeds_draw_differently_and_every_episode_as_often():
    episodes = returning(*range(9))
    draws = [of(mixture_of(episodes, (1 / 3, 1 / 3, 1 / 3), 3, seed)) for seed in range(300)]
    often = Counter(value for drawn in draws for value in drawn)
    assert set(often) == set(range(9))
    assert min(often.values()) > 70  # of 100 expected


def test_a_third_that_is_too_small():
    with pytest.raises(UserError, match="takes 4 of the upper third of the training episodes, which has 2"):
        mixture_of(returning(*range(6)), (0, 0, 1), 4, 0)
