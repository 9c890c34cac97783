"""Statistics of a table of returns, against numbers worked out by hand."""

import json

import numpy as np
import pytest

from hcsac.errors import UserError
from hcsac.evaluation import improvement, iqm, paired_interval, probability_of_improvement
from hcsac.experiments import collect_returns, summarise

MEDIUM = {"dataset": "medium", "variant": "plain"}
# Seeds' means: bc left 2, 6 (seed 1 was at 8 before), right 1 (seed 1 alone); hcsac left 4, 8, right 2, 6.
LEFT = {10: {"slide-left": {0: [1.0, 1.0], 1: [7.0, 9.0]}}, 20: {"slide-left": {0: [1.0, 3.0], 1: [5.0, 7.0]}}}
RIGHT = {20: {"slide-right": {1: [0.0, 2.0]}}}
BOTH = {20: {"slide-left": {1: [8.0, 8.0], 0: [4.0, 4.0]}, "slide-right": {1: [6.0, 6.0], 0: [2.0, 2.0]}}}


@pytest.fixture
def table(make_run, tmp_path):
    runs = [make_run("left", "bc", LEFT), make_run("right", "bc", RIGHT), make_run("both", "hcsac", BOTH)]
    return collect_returns([(run, MEDIUM) for run in runs], tmp_path)


def test_per_task(table):
    left, right, *both = summarise(table, draws=500).tasks
    assert left[:7] == ("medium", "plain", "bc", "slide-left", (0, 1), (20,), 2)
    assert (left.mean, left.std, left.min, left.max) == (4.0, pytest.approx(np.sqrt(8)), 1.0, 7.0)
    assert (left.best_mean, left.best_std, left.gap) == (5.0, pytest.approx(np.sqrt(18)), 1.0)
    assert left.score == 40.0  # random 0, expert 10
    np.testing.assert_allclose(left.iqm, iqm(np.array([[20.0], [60.0]]), 500))
    assert left.dataset_return == 5.0
    np.testing.assert_allclose(left.improvement, paired_interval(np.array([[-4.0, -2], [0, 2]]), 500))
    assert left.verdict == "not told apart"
    assert (left.median, left.failed) == (4.0, 0.25)  # of 1, 3, 5, 7; 1 is below 2
    assert (right.seeds, right.mean, right.verdict) == ((1,), 1.0, "below")
    assert np.isnan([right.std, right.iqm.low]).all()
    assert [one.task for one in both] == ["slide-left", "slide-right"]
    assert both[0].mean == 6.0
    assert both[1].min == 2.0
    assert (left.versus, right.versus) == (None, None)
    assert both[0].versus[:6] == ("bc", "medium", "plain", "bc", True, 2)
    assert both[0].versus.difference.value == 2.0
    assert not both[1].versus.same_seeds  # bc has one of the two on the right


def test_over_tasks_seeds_are_matched_by_number(table):
    bc, hcsac = summarise(table, draws=500).algorithms
    assert (bc.tasks, bc.seeds) == (("slide-left", "slide-right"), (1,))  # seed 0 has no run on the right
    assert bc.mean == pytest.approx((4 + 1) / 2)
    assert np.isnan(bc.std)
    assert hcsac.seeds == (0, 1)
    assert (hcsac.mean, hcsac.std) == (5.0, pytest.approx(np.sqrt(8)))  # 3 and 7; crossed seeds would have 5 and 5
    assert (hcsac.score, hcsac.score_std) == (50.0, pytest.approx(10 * np.sqrt(8)))
    scores = np.array([[40.0, 20.0], [80.0, 60.0]])
    np.testing.assert_allclose(hcsac.iqm, iqm(scores, 500))
    assert bc.iqm.value == pytest.approx(np.mean([20, 60, 10]))
    thresholds, share, *_ = hcsac.profile
    np.testing.assert_array_equal(thresholds, np.arange(101))
    assert share[[0, 19, 20, 59, 60, 80]].tolist() == [1, 1, 0.75, 0.5, 0.25, 0]


def test_one_against_the_other(table):
    (found,) = summarise(table, draws=500).comparisons
    assert (found.dataset, found.keys) == ("medium", (("plain", "bc"), ("plain", "hcsac")))
    bc, hcsac = np.array([[2.0, np.nan], [6.0, 1.0]]), np.array([[4.0, 2.0], [8.0, 6.0]])
    # left: 6 > 4 is the one win of four; right: none of two
    assert found.probability.value[0, 1] == pytest.approx((1 / 4 + 0) / 2)
    assert found.probability.value[0, 1] == pytest.approx(probability_of_improvement(bc, hcsac).value)
    assert found.probability.value.trace() == 1.0


def test_single_and_multi_task_trainings_of_the_same_returns_are_equal(make_run, tmp_path):
    one = make_run("one", "bc", BOTH)
    parts = [make_run(f"{t}", "bc", {20: {t: of}}) for t, of in BOTH[20].items()]
    runs = [(one, MEDIUM)] + [(part, {**MEDIUM, "variant": "parts"}) for part in parts]
    whole, apart = summarise(collect_returns(runs, tmp_path), draws=300).algorithms
    for field in ("tasks", "seeds", "mean", "std", "score", "score_std", "iqm"):
        assert getattr(whole, field) == getattr(apart, field), field


def test_seeds_may_come_from_runs_of_their_own(make_run, tmp_path):
    """Trained to different updates, evaluated on different numbers of episodes: told, and judged by what all have."""
    runs = [
        make_run("second", "bc", {30: {"slide-left": {1: [9.0, 9.0, 90.0]}}}),
        make_run("first", "bc", {20: {"slide-left": {0: [1.0, 3.0]}}}),
    ]
    (one,) = summarise(collect_returns([(run, MEDIUM) for run in runs], tmp_path), draws=50).tasks
    assert (one.seeds, one.updates, one.episodes) == ((0, 1), (20, 30), 2)
    assert (one.mean, one.max) == (5.5, 9.0)


def test_logged_episodes_make_the_verdict_more_careful(make_run, tmp_path):
    returns = {20: {"slide-left": {0: [6.0, 6.2], 1: [6.1, 6.3]}}}
    logged = {"slide-left": [0.0, 10.0, 1.0, 9.0]}
    runs = [make_run("known", "bc", returns), make_run("logged", "bc", returns, behaviour_returns=logged)]
    labels = [MEDIUM, {**MEDIUM, "variant": "logged"}]
    known, counted = summarise(collect_returns(list(zip(runs, labels, strict=True)), tmp_path), draws=500).tasks
    assert (known.verdict, counted.verdict) == ("beats its data", "not told apart")
    assert known.improvement.value == pytest.approx(counted.improvement.value)
    values = np.array([[6.0, 6.2], [6.1, 6.3]])
    np.testing.assert_allclose(counted.improvement, improvement(values, np.array(logged["slide-left"]), 500))


def test_a_run_that_broke_down_is_not_left_out(make_run, tmp_path):
    returns = {20: {"slide-left": {0: [6.0], 1: [float("nan")]}, "slide-right": {0: [1.0], 1: [2.0]}}}
    runs = [make_run("broken", "csac", returns), make_run("sound", "bc", BOTH)]
    found = summarise(collect_returns([(run, MEDIUM) for run in runs], tmp_path), draws=50)
    left, right = found.tasks[:2]
    assert np.isnan([left.mean, left.median, left.failed, left.score, *left.iqm, *left.improvement]).all()
    assert np.isnan(left.versus.difference).all()
    assert left.versus.verdict == "unknown"
    assert left.verdict == "unknown"
    assert right.mean == 1.5
    assert np.isnan([found.algorithms[0].mean, found.algorithms[0].score, *found.algorithms[0].iqm]).all()
    assert np.isnan(found.comparisons[0].probability.value[0, 1])
    assert found.algorithms[1].mean == 5.0
    json.dumps(found.to_dict(), allow_nan=False)


def test_tasks_without_a_score_have_returns(make_run, tmp_path):
    run = make_run("run", "bc", {20: {"walker-stand": {0: [3.0], 1: [5.0]}, "slide-left": {0: [1.0], 1: [3.0]}}})
    found = summarise(collect_returns([(run, MEDIUM)], tmp_path), draws=50)
    stand, _ = found.tasks
    assert stand.mean == 4.0
    assert np.isnan([stand.score, *stand.iqm]).all()
    assert (found.algorithms[0].mean, found.algorithms[0].scored, found.algorithms[0].score) == (
        3.0,
        ("slide-left",),
        20.0,
    )


def test_two_runs_of_one_seed(make_run, tmp_path):
    runs = [(make_run(name, "bc", RIGHT), MEDIUM) for name in ("a", "b")]
    with pytest.raises(UserError, match="medium plain bc slide-right: seed 1 is in two runs, a and b; give them"):
        summarise(collect_returns(runs, tmp_path))


def test_runs_of_different_data_are_no_run(make_run, tmp_path):
    other = make_run("b", "bc", {20: {"slide-right": {2: [0.0]}}}, behaviour={"slide-right": 99.0})
    runs = [(make_run("a", "bc", RIGHT), MEDIUM), (other, MEDIUM)]
    with pytest.raises(UserError, match="a and b were trained on different data"):
        summarise(collect_returns(runs, tmp_path))


def test_it_repeats_and_is_json(table):
    found = summarise(table, draws=100, seed=3).to_dict()
    text = json.dumps(found, allow_nan=False)
    assert text == json.dumps(summarise(table, draws=100, seed=3).to_dict())
    assert text != json.dumps(summarise(table, draws=100, seed=4).to_dict())
    assert found["tasks"][0]["improvement"].keys() == {"value", "low", "high"}
    assert found["tasks"][1]["std"] is None
    assert len(found["algorithms"][0]["profile"]["share"]) == 101
    assert found["comparisons"][0]["probability"]["value"][0][0] == 0.5


def test_nothing_says_nothing(tmp_path):
    assert summarise(collect_returns([], tmp_path)).to_dict() == {"tasks": [], "algorithms": [], "comparisons": []}
