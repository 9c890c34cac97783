"""The cheetah: its reward as a function of the observation, and running backwards.

The 17 numbers of an observation are the joint positions without that along the track [8] and the joint rates [9].
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from hcsac.tasks import planar
from hcsac.tasks.environment import DmControlEnv, with_task
from hcsac.tasks.formula import RewardFormula

RUN_SPEED = 10.0  # metres per second; dm_control/suite/cheetah.py, _RUN_SPEED


@dataclass(frozen=True)
class CheetahReward(RewardFormula):
    """The reward of dm_control's cheetah: its velocity over `speed`, clipped to [0, 1].

    `speed` is the target in metres per second, negative for backwards.
    """

    speed: float

    body: ClassVar[str] = "cheetah"
    size: ClassVar[int] = 17

    def rewards(self, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """tolerance(speed, (10, inf), margin 10, 0 at the margin, linear); the action is not used."""
        turned = planar.orientations("cheetah", observation[:, :8])
        return np.clip(planar.forward_speed("cheetah", turned, observation[:, 8:]) / self.speed, 0, 1)


class CheetahBackwardEnv(DmControlEnv):
    """dm_control's cheetah, rewarded for running backwards as cheetah-run is for running forwards."""

    def __init__(self, render_mode: str | None = None, **view: Any) -> None:
        """As `DmControlEnv`, whose `width`, `height` and camera are the `view`."""
        super().__init__("cheetah", "run", render_mode, **view)

    def _load(self, domain: str, task: str) -> Any:
        return with_task(super()._load(domain, task), _backward_task())


def _backward_task() -> Any:
    from dm_control.suite import cheetah

    class Backward(cheetah.Cheetah):
        def get_reward(self, physics: Any) -> float:
            return super().get_reward(SimpleNamespace(speed=lambda: -physics.speed()))

    return Backward()
