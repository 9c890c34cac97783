"""The one "+1", seen from both sides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac.data import Episode
from hcsac.data.episode import from_arrivals, shift, to_arrivals, transitions
from hcsac.errors import UserError

from .conftest import same


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    steps, sizes = draw(st.integers(1, 8)), draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ends = np.arange(steps) == steps - 1
    world_ended = draw(st.booleans())
    return Episode(
        rng.normal(size=(steps + 1, sizes[0])).astype(np.float32),
        rng.uniform(-1, 1, (steps, sizes[1])).astype(np.float32),
        rng.normal(size=steps).astype(np.float32),
        ends & world_ended,
        ends & (not world_ended),
        rng.normal(size=(steps + 1, 4)) if draw(st.booleans()) else None,
    )


@given(episodes())
def test_arrivals_and_back(episode: Episode) -> None:
    assert same(from_arrivals(**to_arrivals(episode)), episode)


@given(episodes())
def test_transitions_chain(episode: Episode) -> None:
    rows = transitions(episode)
    assert np.array_equal(rows.observation[1:], rows.next_observation[:-1])
    assert np.array_equal(rows.action, episode.action)
    assert np.array_equal(rows.reward, episode.reward)


@given(episodes())
def test_off_by_one_pairs_rows_as_they_stand(episode: Episode) -> None:
    logged, rows = to_arrivals(episode), transitions(episode, "off_by_one")
    for t in range(len(episode)):
        assert np.array_equal(rows.observation[t], logged["observation"][t])
        assert np.array_equal(rows.action[t], logged["action"][t])
        assert rows.reward[t] == logged["reward"][t, 0]
        assert np.array_equal(rows.next_observation[t], logged["observation"][t + 1])
    assert not rows.action[0].any()
    assert rows.reward[0] == 0


@given(episodes())
def test_shift_by_one_is_off_by_one_but_for_the_first_row(episode: Episode) -> None:
    rows, late = transitions(episode, "off_by_one"), shift(episode, action=1, reward=1)
    assert np.array_equal(rows.action[1:], late.action[1:])
    assert np.array_equal(rows.reward[1:], late.reward[1:])


def test_a_toy_written_out() -> None:
    episode = from_arrivals(
        observation=np.array([[0.0], [1], [2]]),
        action=np.array([[9.0], [0.1], [0.2]]),  # 9 is padding
        reward=np.array([[9.0], [10], [20]]),
        discount=np.array([[1.0], [1], [0]]),
    )
    rows = transitions(episode)
    assert rows.observation.ravel().tolist() == [0, 1]
    np.testing.assert_allclose(rows.action.ravel(), [0.1, 0.2])
    assert rows.reward.tolist() == [10, 20]
    assert rows.next_observation.ravel().tolist() == [1, 2]
    assert rows.terminated.tolist() == [False, True]
    assert episode.truncated.tolist() == [False, False]


def test_an_unknown_alignment() -> None:
    episode = from_arrivals(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros(2))
    assert episode.truncated.tolist() == [True]
    with pytest.raises(UserError, match="off_by_one"):
        transitions(episode, "off_by_on")
