"""What is computed from a run: policy, evaluation, curve and summary."""

import numpy as np
import pytest

from hcsac.errors import UserError
from hcsac.training import last_returns, learning_curve, summary
from tests.training.conftest import lines


def test_records_of_a_run_cut_off_while_writing_can_be_read(finished):
    before = learning_curve(finished, "slide-left")[1]
    with open(finished.path / "evaluations.jsonl", "a") as file:
        file.write('{"update": 30, "task": "slide-le')
    np.testing.assert_array_equal(learning_curve(finished, "slide-left")[1], before)
    assert "after 24 updates" in summary(finished)


def test_an_evaluation_that_lacks_a_seed_is_not_part_of_the_curve(finished):
    finished.append("evaluations.jsonl", [{"update": 30, "seed": 0, "task": "slide-left", "returns": [1.0]}])
    assert learning_curve(finished, "slide-left")[0].tolist() == [6, 12, 18, 24]


def test_corrupt_records_are_named_below_the_returns(finished):
    assert "corrupt" not in summary(finished)
    path = finished.path / "evaluations.jsonl"
    kept = path.read_text().splitlines(keepends=True)
    path.write_text("".join(["gone\n", *kept[1:]]))
    assert learning_curve(finished, "slide-left")[0].tolist() == [12, 18, 24]
    assert learning_curve(finished, "slide-right")[0].tolist() == [6, 12, 18, 24]
    assert summary(finished).endswith("\nevaluations.jsonl: 1 corrupt line skipped")


def test_an_earlier_evaluation_never_replaces_a_corrupt_last_one(finished):
    path = finished.path / "evaluations.jsonl"
    kept = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*kept[:-1], "gone\n"]))  # the last one is of slide-right
    assert last_returns(finished, "slide-left").shape == (2, 3)
    for call in (lambda: last_returns(finished, "slide-right"), lambda: summary(finished)):
        with pytest.raises(UserError, match="is corrupt at the last evaluation"):
            call()
    (finished.path / "result.json").unlink()  # a run that goes on has none yet: what there is counts
    assert last_returns(finished, "slide-right").shape == (2, 2)
    assert summary(finished).startswith("last policy, after 18 updates")


def test_a_run_without_evaluations_says_so(finished):
    (finished.path / "evaluations.jsonl").unlink()
    with pytest.raises(UserError, match="has no evaluation of slide-left, slide-right; train longer"):
        summary(finished)
    assert learning_curve(finished, "slide-left")[1].shape == (0, 2)


def test_curve_and_summary(finished):
    updates, returns = learning_curve(finished, "slide-left")
    assert updates.tolist() == [6, 12, 18, 24]
    assert returns.shape == (4, 2)
    records = [r for r in lines(finished.path / "evaluations.jsonl") if r["task"] == "slide-left" and r["seed"] == 1]
    np.testing.assert_allclose(returns[:, 1], [np.mean(r["returns"]) for r in records])
    text = summary(finished)
    assert "after 24 updates" in text
    assert f"slide-left {returns.max(0).mean():.1f}" in text.splitlines()[-1]
    assert text.splitlines()[-1].startswith("best of run")


def test_returns_of_an_evaluation_that_is_not_there(finished):
    assert last_returns(finished, "slide-left").shape == (2, 3)
    assert last_returns(finished, "slide-left", 12).shape == (2, 2)
    np.testing.assert_array_equal(last_returns(finished, "slide-left", 24), last_returns(finished, "slide-left"))
    for task, update in (("slide-left", 13), ("goal", None)):
        with pytest.raises(UserError, match=f"has no evaluation of {task}"):
            last_returns(finished, task, update)
