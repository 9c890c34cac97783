"""The hopper's rewards as functions of observation and action.

The 15 numbers of an observation are the joint positions without that along the track [6], the joint rates [7] and the
signals of the foot's touch sensors [2].
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hcsac.tasks import planar
from hcsac.tasks.formula import RewardFormula

STAND_HEIGHT, TALLEST = 0.6, 2.0  # metres, torso above foot; dm_control/suite/hopper.py, _STAND_HEIGHT
HOP_SPEED = 2.0  # metres per second; _HOP_SPEED


@dataclass(frozen=True)
class HopperReward(RewardFormula):
    """The reward of dm_control's hopper: 0 below the height of standing; else for hopping, or for little control."""

    hopping: bool

    body: ClassVar[str] = "hopper"
    size: ClassVar[int] = 15

    def rewards(self, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Hopper.get_reward. tolerance(speed, (2, inf), margin 1, 0.5 at the margin, linear) is speed / 2 in [0, 1]."""
        turned = planar.orientations("hopper", observation[:, :6])
        height = planar.height_above("hopper", "torso", "foot", turned)
        standing = (height >= STAND_HEIGHT) & (height <= TALLEST)
        if self.hopping:
            return standing * np.clip(planar.forward_speed("hopper", turned, observation[:, 6:13]) / HOP_SPEED, 0, 1)
        return standing * ((1 - np.square(action)).mean(axis=1) + 4) / 5
