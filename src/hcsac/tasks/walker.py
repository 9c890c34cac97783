"""The walker at any target speed: its rewards as functions of the observation, and its environment.

The 24 numbers of an observation are the orientations [14] (xx and xz of the rotation matrix of each of the 7 links:
cos and sin of its angle in the plane), the height of the torso [1] and the joint rates [9]. They determine the state up
to the position along the track, which no reward depends on.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hcsac.tasks import planar
from hcsac.tasks.environment import DmControlEnv, with_task
from hcsac.tasks.formula import RewardFormula, gaussian

# Columns of an observation.
ORIENTATIONS, UPRIGHT, HEIGHT, VELOCITY = slice(0, 14), 0, 14, slice(15, 24)
SLOWEST = 0.01  # metres per second: below, the rounding of observations shows in the reward
STAND_HEIGHT = 1.2  # metres; dm_control/suite/walker.py, _STAND_HEIGHT


@dataclass(frozen=True)
class WalkerReward(RewardFormula):
    """The reward of dm_control's walker as a function of the next observation.

    `speed` is the target in metres per second: 0 is walker-stand, 1 walker-walk, 8 walker-run. A negative target is the
    mirror image: velocity counts backwards, and its term is 1 at `speed` or faster backwards, 0 when standing still or
    moving forwards. Equals the simulator's reward to about 1e-6, the rounding of the observation; for
    targets slower than walking the error grows by 1 / |speed|.
    """

    speed: float

    body: ClassVar[str] = "walker"
    size: ClassVar[int] = 24

    def rewards(self, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """PlanarWalker.get_reward; the action is not used."""
        reward = stand_reward(observation[:, HEIGHT], observation[:, UPRIGHT])
        if self.speed != 0:
            reward *= (5 * move_reward(torso_speed(observation), self.speed) + 1) / 6
        return reward


@dataclass(frozen=True)
class PaceReward(RewardFormula):
    """`WalkerReward`, but only the target speed itself earns the full reward, not faster ones; 0 is standing still.

    Ours: none of dm_control's walker tasks pays less for moving faster. Equals the environment's reward to about 1e-5.
    """

    speed: float

    body: ClassVar[str] = "walker"
    size: ClassVar[int] = 24

    def rewards(self, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """The stand reward times (5 pace + 1) / 6; the action is not used."""
        standing = stand_reward(observation[:, HEIGHT], observation[:, UPRIGHT])
        return standing * ((5 * pace_reward(torso_speed(observation), self.speed) + 1) / 6)


def stand_reward(height: np.ndarray, upright: np.ndarray) -> np.ndarray:
    """(3 standing + (1 + upright) / 2) / 4, PlanarWalker.get_reward; [n], [n] -> [n].

    `standing` is tolerance(height, (1.2, inf), margin 0.6): 0.1^(d^2) for a height d margins below the bound.
    """
    short = np.maximum(STAND_HEIGHT - height, 0) / (STAND_HEIGHT / 2)
    standing = gaussian(short)
    return (3 * standing + (1 + upright) / 2) / 4


def move_reward(velocity: np.ndarray, speed: float) -> np.ndarray:
    """tolerance(velocity, (speed, inf), margin speed / 2, 0.5 at the margin, linear); [n] -> [n].

    With these numbers the line runs from 0 at rest to 1 at the target: velocity / speed, clipped to [0, 1]. A negative
    speed gives the mirror image.
    """
    return np.clip(velocity * (1 / speed), 0, 1)


def pace_reward(velocity: np.ndarray, speed: float) -> np.ndarray:
    """tolerance(velocity, (speed, speed), margin 0.5, 0.5 at the margin, linear); [n] -> [n].

    1 at the target, 0 from 1 m/s beside it on.
    """
    return np.clip(1 - np.abs(velocity - speed), 0, 1)


def torso_speed(observation: np.ndarray) -> np.ndarray:
    """Horizontal velocity of the centre of mass in metres per second, [n, 24] -> [n]."""
    return planar.forward_speed("walker", observation[:, ORIENTATIONS], observation[:, VELOCITY])


class WalkerSpeedEnv(DmControlEnv):
    """dm_control's walker, rewarded for moving at `speed` metres per second; `WalkerReward` defines the reward."""

    def __init__(self, speed: float, render_mode: str | None = None, **view: Any) -> None:
        """As `DmControlEnv`, whose `width`, `height` and camera are the `view`."""
        self._speed = speed
        super().__init__("walker", "run", render_mode, **view)

    def _load(self, domain: str, task: str) -> Any:
        return with_task(super()._load(domain, task), _speed_task(self._speed))


class WalkerPaceEnv(WalkerSpeedEnv):
    """dm_control's walker, rewarded for moving at `speed` metres per second and no faster, as `PaceReward` says."""

    def _load(self, domain: str, task: str) -> Any:
        return with_task(super()._load(domain, task), _pace_task(self._speed))


def _pace_task(speed: float) -> Any:
    from dm_control.suite import walker
    from dm_control.utils.rewards import tolerance

    class Pace(walker.PlanarWalker):
        def get_reward(self, physics: Any) -> float:
            velocity = physics.horizontal_velocity()
            pace = tolerance(velocity, (speed, speed), margin=0.5, value_at_margin=0.5, sigmoid="linear")
            standing: float = super().get_reward(physics)
            return standing * (5 * pace + 1) / 6

    return Pace(move_speed=0)


def _speed_task(speed: float) -> Any:
    from dm_control.suite import walker

    class Speed(walker.PlanarWalker):
        def get_reward(self, physics: Any) -> float:
            return super().get_reward(physics if speed >= 0 else _Backwards(physics))

    return Speed(move_speed=abs(speed))


class _Backwards:
    """The quantities that a walker's reward reads, mirrored."""

    def __init__(self, physics: Any) -> None:
        self.torso_height, self.torso_upright = physics.torso_height, physics.torso_upright
        self._physics = physics

    def horizontal_velocity(self) -> float:
        return -self._physics.horizontal_velocity()
