"""Which cell is compared with which, and the difference, worked out apart."""

import numpy as np
import pytest

from hcsac.evaluation import paired_difference
from hcsac.experiments import collect_returns, summarise
from hcsac.experiments.baseline import cell_name, is_called

BC = {20: {"slide-left": {0: [1.0, 3.0, 5.0], 1: [5.0, 7.0, 6.0]}}}
BETTER = {20: {"slide-left": {0: [2.0, 4.0, 7.0], 1: [6.0, 9.0, 7.0]}}}


@pytest.fixture
def versus(make_run, tmp_path):
    """Cell -> its comparison, of runs given as ((dataset, variant), algorithm, returns, identity)."""

    def find(*runs, baseline="bc"):
        made = [
            (make_run(f"run-{n}", algorithm, returns, **identity), {"dataset": dataset, "variant": variant})
            for n, ((dataset, variant), algorithm, returns, identity) in enumerate(runs)
        ]
        table = collect_returns(made, tmp_path)
        tasks = summarise(table, draws=100, baseline=baseline).tasks
        return {(one.dataset, one.variant, one.algorithm, one.task): one.versus for one in tasks}

    return find


def test_seeds_that_are_the_same_are_paired(versus):
    found = versus((("medium", ""), "bc", BC, {}), (("medium", ""), "hcsac", BETTER, {}))
    assert found["medium", "", "bc", "slide-left"] is None
    one = found["medium", "", "hcsac", "slide-left"]
    assert one[:6] == ("bc", "medium", "", "bc", True, 3)
    x, y = (np.array(list(returns[20]["slide-left"].values())) for returns in (BETTER, BC))
    assert one.difference == paired_difference(x, y, True, 100)
    assert (one.difference.value, one.verdict) == (pytest.approx(8 / 6), "beats bc")


def test_other_seeds_are_drawn_apart_on_the_episodes_that_both_have(versus):
    other = {20: {"slide-left": {4: [2.0, 4.0]}}}
    found = versus((("medium", ""), "bc", BC, {}), (("medium", ""), "hcsac", other, {}))
    one = found["medium", "", "hcsac", "slide-left"]
    assert (one.same_seeds, one.episodes) == (False, 2)
    x, y = np.array([[2.0, 4.0]]), np.array([[1.0, 3.0], [5.0, 7.0]])
    assert one.difference == paired_difference(x, y, False, 100)
    assert one.verdict == "not told apart"


def test_the_nearest_baseline_is_taken(versus):
    """Of the same variant, else the only one of the dataset, else one on the same episodes of the task."""
    found = versus(
        (("medium", "a"), "bc", BC, {}), (("medium", "b"), "bc", BC, {}), (("replay", "a"), "bc", BC, {}),
        (("medium", "b"), "hcsac", BETTER, {}), (("medium", "c"), "hcsac", BETTER, {}),
        (("replay", "c"), "hcsac", BETTER, {}),
        (("right", ""), "bc", {20: {"slide-right": {0: [1.0]}}}, {}),
        (("both", ""), "hcsac", {20: {"slide-right": {0: [2.0]}, "slide-left": {0: [2.0]}}}, {}),
        (("else", ""), "hcsac", {20: {"slide-right": {0: [2.0]}}}, {"behaviour": {"slide-right": 9.0}}),
    )  # fmt: skip
    own = found["medium", "b", "hcsac", "slide-left"]
    assert (own.name, own.dataset, own.variant) == ("bc", "medium", "b")
    assert found["medium", "c", "hcsac", "slide-left"] is None  # two are equally near
    only = found["replay", "c", "hcsac", "slide-left"]
    assert (only.name, only.dataset, only.verdict) == ("bc a", "replay", "beats bc a")
    alone = found["both", "", "hcsac", "slide-right"]
    assert (alone.name, alone.dataset) == ("bc", "right")
    assert found["both", "", "hcsac", "slide-left"] is None  # three have the same episodes
    assert found["else", "", "hcsac", "slide-right"] is None  # the same task, but other data


@pytest.mark.parametrize("name", ["none", "hcsac none"])
def test_any_cell_can_be_the_baseline(versus, name):
    found = versus(
        (("medium", ""), "bc", BC, {}), (("medium", "none"), "hcsac", BC, {}), (("medium", "all"), "hcsac", BETTER, {}),
        baseline=name,
    )  # fmt: skip
    assert found["medium", "all", "hcsac", "slide-left"].name == "hcsac none"
    assert found["medium", "", "bc", "slide-left"].difference.value == 0
    assert found["medium", "none", "hcsac", "slide-left"] is None


def test_names():
    assert cell_name("", "bc") == "bc"
    assert cell_name("w=1", "bc") == "bc w=1"
    assert all(is_called(name, "w=1", "bc") for name in ("bc", "w=1", "bc w=1"))
    assert not is_called("bc w=2", "w=1", "bc")
    assert not is_called("", "w=1", "bc")
