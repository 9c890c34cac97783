"""Light environments that can be rendered, and some that fail at it; created in the render process too."""

import os
import signal

import gymnasium
import numpy as np

from hcsac.tasks import Task, register_task
from tests.conftest import Slide


class Drawn(Slide):
    """The sliding point, as an image whose colour encodes the step; `fault` is how it fails."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, sign=1.0, fault="", render_mode=None):
        super().__init__(sign)
        self.fault, self.render_mode = fault, render_mode

    def reset(self, *, seed=None, options=None):
        print("noise on stdout", flush=True)
        self.steps = 0
        return super().reset(seed=seed)

    def step(self, action):
        self.steps += 1
        return super().step(action)

    def render(self):
        if self.fault == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.fault == "raises":
            raise ValueError("no\nbrush")
        if self.fault == "float":
            return np.zeros((4, 4, 3))
        if self.fault == "late" and self.steps == 2:
            os._exit(3)
        return np.full((31, 64, 3), 10 * self.steps, np.uint8)


for _name, _kwargs in {
    "drawn": {},
    "drawn-right": {"sign": -1.0},
    **{f"drawn-{fault}": {"fault": fault} for fault in ("segfault", "raises", "float", "late")},
}.items():
    gymnasium.register(f"tests/{_name}-v0", "tests.evaluation.drawing:Drawn", kwargs=_kwargs, max_episode_steps=12)
    register_task(Task(_name, f"tests/{_name}-v0"))
