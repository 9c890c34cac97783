"""dm_control behind Gymnasium's interface, with a simulator state that can be read and set."""

import logging
import os
from typing import Any

import gymnasium
import numpy as np

from hcsac.errors import UserError, unknown
from hcsac.tasks.model_state import ModelEntries

# Environment -> what its reset draws in the model; to find out takes several resets.
_DRAWN: dict[tuple[type, str, str], ModelEntries] = {}


class DmControlEnv(gymnasium.Env):
    """One task of the dm_control suite.

    Observations are dm_control's own, in its own order, raveled and joined: float32 [S] (walker: orientations 14,
    height 1, velocity 9). Actions are float32 [A] in dm_control's bounds. The reward is dm_control's
    for the next state. The time limit is Gymnasium's (`max_episode_steps` of the registered id), so that reaching it is
    `truncated` and never `terminated`.

    `info["physics"]` is the simulator state float64 [P] that belongs to the returned observation: qpos, qvel, the
    activations of actuators (act) where the body has some, and what a reset draws in the model, as the place of a
    target. It fixes the next step, but not what sensors of touch, force and acceleration show now: they measure the
    step that led to the state.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 40}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self,
        domain: str,
        task: str,
        render_mode: str | None = None,
        width: int = 320,
        height: int = 240,
        camera_id: int | None = None,
        camera_name: str | None = None,
        action_repeat: int = 1,
    ) -> None:
        """Load `task` of `domain`. `render_mode="rgb_array"` needs MUJOCO_GL set to egl, osmesa or glfw.

        A step applies its action for `action_repeat` control steps, unless the episode ends before, and its reward is
        the sum of theirs. Raises `UserError` for less than 1.

        `width` and `height` (pixels) and the camera, by number or by name, are those of `render()`; without a camera it
        is the first, which for the suite's walker follows the body from the side. Raises `UserError` for a size that
        MuJoCo's buffer does not hold, and for a camera that the model does not have.
        """
        if not isinstance(action_repeat, int) or action_repeat < 1:
            raise UserError(f"action_repeat = {action_repeat!r} is no number of control steps; give 1 or more.")
        self.render_mode = render_mode
        self._repeat = action_repeat
        self._suite = self._load(domain, task)
        rate = 1 / (self._suite.control_timestep() * action_repeat)
        self.metadata = {**self.metadata, "render_fps": max(1, round(rate))}
        self._size = self._fitting(width, height)
        self._camera = self._camera_number(camera_id, camera_name)
        size = sum(int(np.prod(spec.shape)) for spec in self._suite.observation_spec().values())
        bounds = self._suite.action_spec()
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(
            bounds.minimum.astype(np.float32), bounds.maximum.astype(np.float32), dtype=np.float32
        )
        self._done = True
        made = (type(self), domain, task)
        if made not in _DRAWN:
            _DRAWN[made] = ModelEntries.drawn_at_reset(self._suite)
        self._drawn = _DRAWN[made]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; the same `seed` gives the same one, and below 2**32 the one that dm_control gives."""
        super().reset(seed=seed)
        if seed is not None:
            legacy = seed if seed < 2**32 else np.random.SeedSequence(seed).generate_state(8)
            self._suite.task.random.seed(legacy)
        observation = _flatten(self._suite.reset().observation)
        self._done = False
        return observation, {"physics": self.get_physics()}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Apply `action` [A] for `action_repeat` control steps."""
        reward = 0.0
        for _ in range(self._repeat):
            now = self._suite.step(action)
            reward += now.reward
            self._done = now.last()
            if self._done:
                break
        # dm_control ends an episode at a terminal state (discount 0) or at its own time limit.
        terminated = now.last() and now.discount == 0
        observation = _flatten(now.observation)
        return (
            observation,
            float(reward),
            terminated,
            now.last() and not terminated,
            {"physics": self.get_physics()},
        )

    def get_physics(self) -> np.ndarray:
        """The simulator state [P] float64, as in `info["physics"]`."""
        physics = self._suite.physics
        return np.concatenate([physics.get_state(), self._drawn.get(physics.model.ptr)])

    def set_physics(self, state: np.ndarray) -> np.ndarray:
        """Continue from the simulator state [P]; returns its observation [S]. The count of steps stays."""
        if self._done:  # dm_control would answer the next step with a reset
            self._suite.reset()
            self._done = False
        from mujoco import mj_resetData

        physics, model = self._suite.physics, self._suite.physics.model.ptr
        state = np.asarray(state, np.float64)
        moving = len(state) - len(self._drawn)
        # The reset clears the solver's warm start, so that the result depends on `state` alone; forward recomputes
        # everything that follows from the state, which dm_control's step assumes to be current.
        mj_resetData(model, physics.data.ptr)
        physics.set_state(state[:moving])
        self._drawn.set(model, state[moving:])
        physics.forward()
        return _flatten(self._suite.task.get_observation(physics))

    @property
    def state_parts(self) -> dict[str, int]:
        """The parts of a simulator state in their order, and how many numbers each has."""
        model = self._suite.physics.model
        moving = {"qpos": model.nq, "qvel": model.nv, **({"act": model.na} if model.na else {})}
        return moving | {f"{name} of the model": len(indices) for name, indices in self._drawn.places.items()}

    def render(self) -> np.ndarray:
        """The image of the camera: uint8 [height, width, 3]."""
        width, height = self._size
        # Reflections in the floor would double the time of software rendering.
        plain = {"reflection": False}
        try:
            return self._suite.physics.render(height, width, self._camera, render_flag_overrides=plain)
        except RuntimeError as error:
            raise UserError(
                f"cannot render ({error}); set MUJOCO_GL to egl, osmesa or glfw before starting."
            ) from error

    def close(self) -> None:
        """Free the simulator."""
        self._suite.close()

    def _fitting(self, width: int, height: int) -> tuple[int, int]:
        visual = self._suite.physics.model.vis
        most = visual.global_.offwidth, visual.global_.offheight
        if not (1 <= width <= most[0] and 1 <= height <= most[1]):
            raise UserError(
                f"images of {width}x{height} pixels cannot be rendered: MuJoCo's buffer for this model allows 1x1 to "
                f"{most[0]}x{most[1]}; give a width and a height in that range."
            )
        # At these sizes the image hardly changes, and software rendering is more than twice as fast.
        visual.quality.offsamples, visual.quality.shadowsize = 0, 1024
        return width, height

    def _camera_number(self, number: int | None, name: str | None) -> int:
        cameras = [self._suite.physics.model.id2name(i, "camera") for i in range(self._suite.physics.model.ncam)]
        if number is not None and name is not None:
            raise UserError("camera_id and camera_name are both given; give one.")
        if name is not None and name not in cameras:
            raise unknown("camera", name, cameras)
        number = cameras.index(name) if name is not None else number or 0
        if not -1 <= number < len(cameras):
            raise UserError(f"camera {number} does not exist; choose one from -1 (free) to {len(cameras) - 1}.")
        return number

    def _load(self, domain: str, task: str) -> Any:
        return dm_control_suite().load(domain, task, task_kwargs={"time_limit": float("inf")})


def dm_control_suite() -> Any:
    """The module `dm_control.suite`, imported when it is first needed."""
    # dm_control needs a display when it is imported unless rendering is disabled; most training machines have none.
    os.environ.setdefault("MUJOCO_GL", "disabled")
    # The suite's own cheetah.xml has an attribute that MuJoCo calls deprecated, in a warning for each environment made.
    logging.getLogger("absl").addFilter(_no_old_attribute)
    from dm_control import suite

    return suite


def _no_old_attribute(record: logging.LogRecord) -> bool:
    return "'settotalmass' is deprecated" not in record.getMessage()


def with_task(loaded: Any, task: Any) -> Any:
    """The body of a loaded dm_control environment with another task of dm_control's, and no time limit."""
    from dm_control.rl import control

    timestep = loaded.control_timestep()
    return control.Environment(loaded.physics, task, time_limit=float("inf"), control_timestep=timestep)


def _flatten(observation: dict[str, Any]) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in observation.values()]).astype(np.float32)
