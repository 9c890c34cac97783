"""The walker at any target speed: its reward as a function of the observation, and its environment.

The 24 numbers of an observation are the orientations [14] (xx and xz of the rotation matrix of each of the 7 links:
cos and sin of its angle in the plane), the height of the torso [1] and the joint rates [9]. They determine the state up
to the position along the track, which no reward depends on.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from hcsac.errors import UserError
from hcsac.tasks.environment import DmControlEnv, dm_control_suite

# Columns of an observation.
ORIENTATIONS, UPRIGHT, HEIGHT, VELOCITY = slice(0, 14), 0, 14, slice(15, 24)
SIZE = 24
SLOWEST = 0.01  # metres per second: below, the rounding of observations shows in the reward
STAND_HEIGHT = 1.2  # metres; dm_control/suite/walker.py, _STAND_HEIGHT
CHUNK = 4096  # observations processed at once: they and all intermediate results fit into a core's cache


@dataclass(frozen=True)
class WalkerReward:
    """The reward of dm_control's walker as a function of the next observation.

    `speed` is the target in metres per second: 0 is walker-stand, 1 walker-walk, 8 walker-run. A negative target is the
    mirror image: velocity counts backwards, and its term is 1 at `speed` or faster backwards, 0 when standing still or
    moving forwards. Equals the simulator's reward to about 1e-6, the rounding of the observation; for
    targets slower than walking the error grows by 1 / |speed|.
    """

    speed: float

    def __call__(self, next_observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """next_observation [N, 24] -> reward [N] float32, in [0, 1]; the action is not used.

        Raises:
            UserError: observations of another size.
        """
        if next_observation.ndim != 2 or next_observation.shape[1] != SIZE:
            raise UserError(
                f"the walker's reward is a function of observations [N, {SIZE}], not {list(next_observation.shape)}; "
                "name the task that the data were logged for."
            )
        reward = np.empty(len(next_observation), np.float32)
        for start in range(0, len(reward), CHUNK):
            chunk = np.asarray(next_observation[start : start + CHUNK], np.float32)
            part = stand_reward(chunk[:, HEIGHT], chunk[:, UPRIGHT])
            if self.speed != 0:
                part *= (5 * move_reward(torso_speed(chunk), self.speed) + 1) / 6
            reward[start : start + CHUNK] = part
        return reward


def stand_reward(height: np.ndarray, upright: np.ndarray) -> np.ndarray:
    """(3 standing + (1 + upright) / 2) / 4, PlanarWalker.get_reward; [n], [n] -> [n].

    `standing` is tolerance(height, (1.2, inf), margin 0.6): 0.1^(d^2) for a height d margins below the bound.
    """
    short = np.maximum(STAND_HEIGHT - height, 0) / (STAND_HEIGHT / 2)
    standing = np.exp(math.log(0.1) * np.square(short))
    return (3 * standing + (1 + upright) / 2) / 4


def move_reward(velocity: np.ndarray, speed: float) -> np.ndarray:
    """tolerance(velocity, (speed, inf), margin speed / 2, 0.5 at the margin, linear); [n] -> [n].

    With these numbers the line runs from 0 at rest to 1 at the target: velocity / speed, clipped to [0, 1]. A negative
    speed gives the mirror image.
    """
    return np.clip(velocity * (1 / speed), 0, 1)


def torso_speed(observation: np.ndarray) -> np.ndarray:
    """Horizontal velocity of the centre of mass, [n, 24] -> [n]: `subtreelinvel` of the torso's subtree.

    A link that turns at rate w moves the mass at its arm p (in its own frame) at w (cos p_z - sin p_x), and w is a sum
    of joint rates: the velocity is that of the root plus a bilinear form of rates and orientations.
    """
    rates = observation[:, VELOCITY]
    root, turning = _velocity_map()
    return rates[:, root] + np.einsum("ni,ni->n", observation[:, ORIENTATIONS], rates @ turning)


@cache
def _velocity_map() -> tuple[int, np.ndarray]:
    """Which rate moves the root along the track, and B [9, 14] float32: velocity = rates[root] + rates B orientations.

    The arm of a link is its contribution to the position of a mass, averaged over all mass of the walker: its own
    centre for its own mass, and the way from its joint to the next joint for the mass beyond that one.
    """
    walker = dm_control_suite().walker
    import mujoco

    model = walker.Physics.from_xml_string(*walker.get_model_and_assets()).model
    hinges = {int(model.jnt_bodyid[j]): j for j in np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE)}
    mass, beyond = model.body_mass, model.body_subtreemass
    arm = mass[:, None] * model.body_ipos
    turning = np.zeros((model.nv, 2 * (model.nbody - 1)))
    for link, hinge in hinges.items():
        pivot = model.jnt_pos[hinge]
        arm[link] -= beyond[link] * pivot
        arm[model.body_parentid[link]] += beyond[link] * (model.body_pos[link] + pivot)
    for link in hinges:
        x, _, z = arm[link] / beyond[1]
        moved_by = link
        while moved_by:  # up to the world body, 0
            axis = model.jnt_axis[hinges[moved_by]][1]  # +1 or -1 about y
            turning[model.jnt_dofadr[hinges[moved_by]], 2 * link - 2 : 2 * link] = axis * z, -axis * x
            moved_by = int(model.body_parentid[moved_by])
    return int(model.joint("rootx").dofadr[0]), turning.astype(np.float32)


class WalkerSpeedEnv(DmControlEnv):
    """dm_control's walker, rewarded for moving at `speed` metres per second; `WalkerReward` defines the reward."""

    def __init__(self, speed: float, render_mode: str | None = None, **view: Any) -> None:
        """As `DmControlEnv`, whose `width`, `height` and camera are the `view`."""
        self._speed = speed
        super().__init__("walker", "run", render_mode, **view)

    def _load(self, domain: str, task: str) -> Any:
        loaded = super()._load(domain, task)
        from dm_control.rl import control

        return control.Environment(
            loaded.physics,
            _speed_task(self._speed),
            time_limit=float("inf"),
            control_timestep=loaded.control_timestep(),
        )


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
