"""Environments that render, and how a task is passed to another process that makes them."""

import json
from typing import Any

import gymnasium

from hcsac.errors import UserError
from hcsac.tasks.environment import DmControlEnv
from hcsac.tasks.registry import Task, get_task, make_env, register_task


def make_rendering_env(
    task_name: str, width: int | None = None, height: int | None = None, camera: int | str | None = None
) -> gymnasium.Env:
    """The task's environment, whose `render()` gives uint8 [height, width, 3].

    Size (default 480x360) and camera apply to MuJoCo environments, dm_control's or Gymnasium's; any other renders at
    its own size.

    Raises:
        UserError: the environment has no render mode `rgb_array`, or not that size or camera.
    """
    plain = make_env(task_name)
    modes, mujoco = plain.metadata.get("render_modes") or [], _rendered_by_mujoco(plain)
    plain.close()
    env_id = get_task(task_name).env_id
    if "rgb_array" not in modes:
        raise UserError(
            f"task {task_name!r}: {env_id!r} cannot be rendered; add the render mode 'rgb_array' to its metadata."
        )
    view: dict[str, Any] = {"width": width, "height": height}
    view["camera_name" if isinstance(camera, str) else "camera_id"] = camera
    view = {key: value for key, value in view.items() if value is not None}
    if mujoco:
        view = {"width": 480, "height": 360, **view}
    elif view:
        raise UserError(f"task {task_name!r}: {env_id!r} renders at its own size; leave out size and camera.")
    return make_env(task_name, render_mode="rgb_array", **view)


def _rendered_by_mujoco(env: gymnasium.Env) -> bool:
    return isinstance(env.unwrapped, DmControlEnv) or hasattr(env.unwrapped, "mujoco_renderer")


def pack_task(task_name: str) -> str:
    """What another process needs to make the task's environment, as JSON; the reward function is left out.

    Raises:
        UserError: an unknown task, or keyword arguments that are no JSON values.
    """
    task = get_task(task_name)
    try:
        spec = gymnasium.spec(task.env_id).to_json() if task.env_id else None
    except (gymnasium.error.Error, ValueError, TypeError):
        spec = None  # the other process may still find it, in HCSAC_TASKS or in the module that the id names
    try:
        return json.dumps({"name": task.name, "env_id": task.env_id, "kwargs": task.kwargs, "spec": spec})
    except TypeError as error:
        raise UserError(
            f"task {task_name!r}: its keyword arguments are no JSON values ({error}), so no other process can make it; "
            "use numbers, text, lists and tables."
        ) from error


def unpack_task(packed: str) -> str:
    """Register the task of `pack_task` in this process, unless it is registered; returns its name."""
    description = json.loads(packed)
    try:
        get_task(description["name"])  # first: it may load a plug-in, which registers the environment, too
    except UserError:
        register_task(Task(description["name"], description["env_id"], description["kwargs"]))
    if description["spec"] and description["env_id"] not in gymnasium.registry:
        spec = gymnasium.envs.registration.EnvSpec.from_json(description["spec"])
        gymnasium.registry[description["env_id"]] = spec
    return description["name"]
