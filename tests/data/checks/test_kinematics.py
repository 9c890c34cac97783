"""Jumps that no step can make: found where episodes are joined, and not where a motion is violent."""

import numpy as np

from hcsac.data.checks.kinematics import jumps
from hcsac.data.episode import Episode

LENGTH = 500


def swing(seed: int, kicks: tuple[int, ...] = (), strength: float = 0.0) -> Episode:
    """Three noisy oscillators, position and velocity, which are thrown at some steps."""
    rng = np.random.default_rng(seed)
    position, velocity = rng.normal(size=3), rng.normal(size=3)
    rows = []
    for step in range(LENGTH + 1):
        rows.append([*position, *velocity])
        before = velocity.copy()
        velocity = velocity - 0.1 * np.array([1.0, 2.0, 3.0]) * position + 0.05 * rng.normal(size=3)
        position = position + 0.1 * (velocity + before) / 2 + strength * (step in kicks)
    nothing = np.zeros(LENGTH, bool)
    labels = np.zeros((LENGTH, 1), np.float32), np.zeros(LENGTH, np.float32), nothing, np.arange(LENGTH) == LENGTH - 1
    return Episode(np.array(rows, np.float32), *labels)


def test_one_throw_is_a_jump_and_several_in_a_row_are_a_motion():
    calm = [swing(seed) for seed in range(5)]
    assert jumps(calm) == []
    assert jumps([*calm, swing(9, (200,), 0.5)]) == [(5, 200)]
    assert jumps([*calm, swing(9, (200, 201, 203), 0.5)]) == []
    assert jumps([*calm, swing(9, (200, 220), 0.5)]) == [(5, 200), (5, 220)]


def test_few_steps_tell_nothing():
    assert jumps([swing(0)]) is None
