"""Actions in the robot's units outside, in [-1, 1] inside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac.errors import UserError
from hcsac.tasks import ActionBounds, Task, action_bounds, register_task, registry

ends = st.floats(-1e3, 1e3, width=32)


@given(ends, st.floats(0.015625, 1e3, width=32), st.floats(0, 1))
def test_inside_and_back(low, width, part):
    bounds = ActionBounds.given(low, low + width, 2, "here")
    action = (bounds.low + np.float32(part) * (bounds.high - bounds.low)).clip(bounds.low, bounds.high)
    inside = bounds.inside(action)
    assert inside.dtype == np.float32
    assert (np.abs(inside) <= 1).all()
    np.testing.assert_allclose(bounds.outside(inside), action, atol=1e-6 * (abs(low) + width))
    np.testing.assert_array_equal(bounds.outside(np.array([-1, 1], np.float32)), [bounds.low[0], bounds.high[1]])
    assert not bounds.exceeded(bounds.outside(np.array([-1.5, 1.5], np.float32))).any()
    assert bounds.exceeded(bounds.high + width / 100).all()


def test_the_unit_range_changes_no_bit():
    bounds = ActionBounds.unit(3)
    action = np.random.default_rng(0).uniform(-1, 1, (5, 3)).astype(np.float32)
    assert bounds.is_unit
    assert bounds.inside(action) is action
    assert bounds.outside(action) is action
    assert not ActionBounds.given(-1, [1, 1, 2], 3, "here").is_unit


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (-np.inf, 1, r"here: actions range over \[-inf, 1\]; each range must have an end and some width"),
        ([0, 0], [0, 1], r"here: actions range over \[0, 0\], \[0, 1\]; each range"),
        (1, -1, "each range must have an end"),
        (np.nan, 1, "each range must have an end"),
        ([0, 0, 0], 1, "here: 2 actions need as many bounds, or one for all"),
    ],
)
def test_bounds_that_are_none(low, high, message):
    with pytest.raises(UserError, match=message):
        ActionBounds.given(low, high, 2, "here")


@pytest.fixture(autouse=True)
def _own_tasks(monkeypatch):
    for table in ("_items", "_origins"):
        monkeypatch.setattr(registry.TASKS, table, dict(getattr(registry.TASKS, table)))


def test_those_of_a_task():
    assert str(action_bounds("slide-left", 2)) == "[-1, 1]"
    assert action_bounds("slide-left", 3) is None  # not of these data
    register_task(Task("swing", "Pendulum-v1"))
    assert str(action_bounds("swing", 1)) == "[-2, 2]"
    register_task(Task("swing", "Pendulum-v1", action_bounds=(-0.5, 1)))
    assert str(action_bounds("swing", 1)) == "[-0.5, 1]"
    register_task(Task("real", action_bounds=((0, -1), (0.4, 1))))
    assert str(action_bounds("real", 2)) == "[0, 0.4], [-1, 1]"
    with pytest.raises(UserError, match="task 'real': 3 actions need as many bounds"):
        action_bounds("real", 3)
    register_task(Task("real"))
    assert action_bounds("real", 2) is None


def test_endless_bounds_are_asked_for():
    """As the sentence says, naming them mends it."""
    register_task(Task("free", "tests/free-v0"))
    with pytest.raises(
        UserError, match=r"'tests/free-v0' range over \[-inf, inf\].*register the task with action_bounds"
    ):
        action_bounds("free", 2)
    register_task(Task("free", "tests/free-v0", action_bounds=(-3, 3)))
    assert str(action_bounds("free", 2)) == "[-3, 3]"
