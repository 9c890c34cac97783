"""The rewards of both humanoids as functions of observation and action.

The numbers of an observation are the joint angles [J], the height of the head [1], hands and feet [12], the third row
of the torso's rotation matrix [3], the velocity of the centre of mass [3] and all rates. J is 21, for CMU's body 56.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hcsac.tasks.formula import RewardFormula, gaussian

STAND_HEIGHT = 1.4  # metres, head above ground; dm_control/suite/humanoid.py, _STAND_HEIGHT
UPRIGHT = 0.9  # cosine of the torso's tilt


@dataclass(frozen=True)
class HumanoidReward(RewardFormula):
    """The reward of dm_control's humanoid for moving at `speed` metres per second in any direction.

    0 is standing, 1 walking, 10 running.
    """

    speed: float

    body: ClassVar[str] = "humanoid"
    size: ClassVar[int] = 67
    joints: ClassVar[int] = 21
    up: ClassVar[int] = 2  # which axis of the torso points upwards

    def rewards(self, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Humanoid.get_reward; its tolerances are those of `dm_control.utils.rewards`."""
        height, tilt = observation[:, self.joints], observation[:, self.joints + 13 + self.up]
        velocity = observation[:, self.joints + 16 : self.joints + 18]
        standing = gaussian(np.maximum(STAND_HEIGHT - height, 0) / (STAND_HEIGHT / 4))
        upright = 1 - np.maximum(UPRIGHT - tilt, 0) / (1 + UPRIGHT)
        small_control = (4 + np.maximum(1 - np.square(action), 0).mean(axis=1)) / 5
        if self.speed == 0:
            return small_control * standing * upright * gaussian(velocity / 2).mean(axis=1)
        move = np.clip(np.linalg.norm(velocity, axis=1) / self.speed, 0, 1)
        return small_control * standing * upright * (5 * move + 1) / 6


@dataclass(frozen=True)
class HumanoidCMUReward(HumanoidReward):
    """The same of the humanoid with the joints of the CMU motion capture data."""

    body: ClassVar[str] = "CMU humanoid"
    size: ClassVar[int] = 137
    joints: ClassVar[int] = 56
    up: ClassVar[int] = 1
