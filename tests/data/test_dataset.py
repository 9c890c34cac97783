"""D is frozen, knows its tasks, and refuses what cannot be learned from."""

from dataclasses import replace

import numpy as np
import pytest

from hcsac.data import Dataset, Episode
from hcsac.data.build import Origin
from hcsac.errors import UserError

from .conftest import cut


@pytest.fixture
def both(walk: list[Episode], run: list[Episode]) -> Dataset:
    return Dataset.from_episodes({"a": [cut(walk[0], 4), cut(walk[1], 3)], "b": [cut(run[0], 5)]})


def test_layout(both: Dataset, walk: list[Episode], run: list[Episode]) -> None:
    assert len(both) == 12
    assert (both.num_tasks, both.observation_size, both.action_size) == (2, 24, 6)
    assert both.task.tolist() == [0] * 7 + [1] * 5
    assert both.task.dtype == np.int64
    assert both.episode_start.tolist() == [0, 4, 7, 12]
    assert both.rows_of(1).tolist() == [7, 8, 9, 10, 11]
    assert both.physics is not None
    np.testing.assert_array_equal(both.physics[4:7], walk[1].physics[:3])  # type: ignore[index]
    np.testing.assert_array_equal(both.observation[4:7], walk[1].observation[:3])
    np.testing.assert_array_equal(both.next_observation[7:], run[0].observation[1:6])
    assert len(both.observations) == 12 + 3  # the last of an episode is arrived at and never left
    assert both.mean_returns["b"] == pytest.approx(run[0].reward[:5].sum())


def test_the_place_of_a_transition_in_its_episode(both: Dataset) -> None:
    assert both.step.tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 3, 4]
    assert (both.step + both.rows_left + 1).tolist() == [4] * 4 + [3] * 3 + [5] * 5


def test_frozen_but_the_callers_arrays_are_not(both: Dataset) -> None:
    with pytest.raises(ValueError, match="read-only"):
        both.reward[0] = 1
    mine = np.array(both.reward)
    frozen = replace(both, reward=mine)
    mine[0] = 5
    assert not frozen.reward.flags.writeable


def test_select_renumbers(both: Dataset) -> None:
    only = both.select(["b"])
    assert only.task_names == ("b",)
    assert set(only.task) == {0}
    np.testing.assert_array_equal(only.observation, both.observation[7:])
    assert only.episode_start.tolist() == [0, 5]
    assert only.mean_returns == {"b": both.mean_returns["b"]}
    swapped = both.select(["b", "a"])
    assert swapped.task.tolist() == [0] * 5 + [1] * 7
    assert swapped.select(["a", "b"]).fingerprint() == both.fingerprint()
    with pytest.raises(UserError, match="unknown task"):
        both.select(["c"])
    with pytest.raises(UserError, match="once each"):
        both.select(["a", "a"])


def test_fingerprint_sees_every_number_an_agent_learns_from(both: Dataset) -> None:
    assert both.fingerprint() == both.select(["a", "b"]).fingerprint()
    reward = np.array(both.reward)
    reward[3] += 1
    changed = [
        replace(both, reward=reward),
        replace(both, observations=both.observations + 1),
        replace(both, task_names=("a", "c")),
    ]
    assert len({both.fingerprint(), *(other.fingerprint() for other in changed)}) == 4
    assert replace(both, physics=None).fingerprint() == both.fingerprint()


def test_physics_only_if_all_have_it(small: list[Episode]) -> None:
    mixed = Dataset.from_episodes({"a": [small[0], replace(small[1], physics=None)]})
    assert mixed.physics is None
    assert mixed.select(["a"]).physics is None


def test_tasks_of_different_robots(small: list[Episode]) -> None:
    other = replace(small[0], observation=small[0].observation[:, :20])
    with pytest.raises(UserError, match="observation sizes differ: task 'a' has 24, task 'b' has 20"):
        Dataset.from_episodes({"a": small, "b": [other]})
    other = replace(small[0], action=small[0].action[:, :5])
    with pytest.raises(UserError, match="action sizes differ: task 'a' has 6, task 'b' has 5"):
        Dataset.from_episodes({"a": small, "b": [other]})


def test_bad_numbers(small: list[Episode]) -> None:
    def with_(**arrays: np.ndarray) -> dict:
        return {"a": [small[0], replace(small[1], **arrays)]}

    reward = small[1].reward.copy()
    reward[2] = np.nan
    for arrays, message in [
        ({"reward": reward}, "task 'a', episode 1: reward has NaN or infinity, first in row 2"),
        ({"action": small[1].action * 4}, r"must lie in \[-1, 1\]"),
        ({"reward": small[1].reward[:-1]}, "4 rows of reward for 6 observations"),
        ({"observation": small[1].observation[0]}, "must have 2 dimensions"),
    ]:
        with pytest.raises(UserError, match=message):
            Dataset.from_episodes(with_(**arrays))
    barely = np.full_like(small[1].action, 1 + 1e-7)
    Dataset.from_episodes(with_(action=barely))


def test_returns_of_the_logged_episodes(both: Dataset, walk: list[Episode], run: list[Episode]) -> None:
    expected = {"a": [walk[0].reward[:4].sum(), walk[1].reward[:3].sum()], "b": [run[0].reward[:5].sum()]}
    for name, returns in expected.items():
        np.testing.assert_allclose(both.episode_returns[name], returns, rtol=1e-6)
        assert both.mean_returns[name] == pytest.approx(both.episode_returns[name].mean())
    assert both.select(["b", "a"]).episode_returns["a"].tolist() == both.episode_returns["a"].tolist()


def test_facts_of_the_data_stay_with_them(both: Dataset, walk: list[Episode], run: list[Episode]) -> None:
    assert (both.alignment, both.refs, both.spec) == ("correct", (), (24, 6, ("a", "b")))
    groups = {"a": [cut(walk[0], 4), cut(walk[1], 3)], "b": [cut(run[0], 5)]}
    late = Dataset.from_episodes(groups, alignment="off_by_one")
    assert late.alignment == late.select(["b"]).alignment == "off_by_one"
    assert late.mean_returns == both.mean_returns  # what was logged does not depend on how it is paired
    assert late.reward[:4].sum() != pytest.approx(late.episode_returns["a"][0])
    with pytest.raises(UserError, match="did you mean 'off_by_one'"):
        replace(both, alignment="of_by_one")


def test_repr_is_a_few_lines(both: Dataset) -> None:
    shown = replace(both, origins=(Origin("a", "lab/a-v0"),))
    lines = repr(shown).splitlines()
    assert lines[0] == "Dataset of 12 transitions in 3 episodes"
    assert lines[1].endswith("observation 24, action 6, simulator states 18")
    assert lines[2].split() == ["alignment", "correct"]
    assert lines[3] == f"  a  7 transitions, 2 episodes, dataset return {both.mean_returns['a']:.1f}"
    assert lines[4] == f"  b  5 transitions, 1 episode, dataset return {both.mean_returns['b']:.1f}"
    assert lines[5].split() == ["from", "lab/a-v0"]
    assert "simulator" not in repr(replace(both, physics=None))


def test_without_episodes() -> None:
    with pytest.raises(UserError, match="at least one"):
        Dataset.from_episodes({})
    with pytest.raises(UserError, match="no episode"):
        Dataset.from_episodes({"a": []})
