"""Steps that a replay of the stored states does not lead on from: lost, or decided by less than their rounding."""

import numpy as np
import pytest

from hcsac.data.checks import replay
from hcsac.data.checks.steps import Steps
from hcsac.data.episode import Episode

EDGE = np.float32(0.1)


def falls(task_name, physics, action):
    """A ball on an edge: it falls to the right of it or to the left."""
    return None, np.zeros(len(physics), np.float32), np.where(physics > np.float64(EDGE), 1.0, -1.0)


@pytest.mark.parametrize(("stored", "arrived", "lost"), [
    (EDGE, 1.0, False), (EDGE, -1.0, False), (EDGE, 3.0, True), (EDGE + 0.01, -1.0, True), (EDGE + 0.01, 1.0, False),
])  # fmt: skip
def test_a_step_is_lost_unless_rounding_explains_it(monkeypatch, stored, arrived, lost):
    monkeypatch.setattr(replay, "replay", falls)
    physics = np.array([[stored, stored], [arrived, arrived]], np.float32)
    ends = np.array([True])
    labels = np.zeros((1, 1), np.float32), np.zeros(1, np.float32), ~ends, ends
    episode = Episode(np.zeros((2, 1), np.float32), *labels, physics)
    monkeypatch.setattr(replay, "_broken", lambda steps, off, task_name: (len(steps),))
    steps = Steps([episode] * 3, np.arange(3), np.zeros(3, np.int64))
    check, follows, _ = replay._consecutive(steps, "ball")
    assert check.numbers["broken"] == 3 * lost
    assert check.findings == ((3,) if lost else ())
    assert follows.tolist() == [(1.0 if stored > EDGE else -1.0) == arrived] * 3  # whose rewards are compared
