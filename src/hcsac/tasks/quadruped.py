"""The quadruped's rewards for moving as a function of the observation.

The 78 numbers of an observation are the joints and their actuators [44], the torso's velocity in its own frame [3], the
cosine of its tilt [1], and sensors [30].
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hcsac.tasks.formula import RewardFormula

FORWARD, UPRIGHT = 44, 47  # columns


@dataclass(frozen=True)
class QuadrupedReward(RewardFormula):
    """The reward of dm_control's quadruped for moving forwards at `speed` metres per second: 0.5 walks, 5 runs."""

    speed: float

    body: ClassVar[str] = "quadruped"
    size: ClassVar[int] = 78

    def rewards(self, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Move.get_reward: linear, 1/2 at rest and 0 at `speed` backwards, times (1 + cos of the tilt) / 2."""
        move = np.clip((1 + observation[:, FORWARD] / self.speed) / 2, 0, 1)
        return np.clip((1 + observation[:, UPRIGHT]) / 2, 0, 1) * move
