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
        with pytest.raises(UserError, match=f"holds no evaluation of {task}"):
            last_returns(finished, task, update)
