"""The registry of tasks, and how a task's name becomes an environment."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np

from hcsac.errors import UserError, unknown
from hcsac.registry import Registry
from hcsac.tasks.bounds import ActionBounds
from hcsac.tasks.walker import SLOWEST, PaceReward, WalkerReward, torso_speed

# next_observation [n, S], action [n, A] -> reward [n] of each transition by itself.
Reward = Callable[[np.ndarray, np.ndarray], np.ndarray]
# observation [n, S], action [n, A], next observation [n, S] -> [n] bool, whether that one is a terminal state.
Terminated = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
# Followed by a target speed: tasks that need no registration. Whether faster is paid less.
_FAMILIES = {"walker-speed:": False, "walker-pace:": True}


@dataclass(frozen=True)
class Task:
    """A reward function on an environment.

    `random_return` and `expert_return` are mean undiscounted returns of whole episodes: 0 and 100 of the score.
    Without them a task has returns but no score. `highest_reward` is the most that a step can earn, if it is known.

    `reward` computes the environment's reward from the next observation and the action that led there. It lets
    transitions of other tasks be relabelled with this task's reward (`reward_rule = recompute`) without a simulator. It
    is called with chunks of the data, float32 arrays it must not write to.

    Actions are in the robot's own units here and wherever a policy acts; only the networks see them scaled into
    [-1, 1]. `action_bounds`, the lowest and the highest value of each, are those of the data or the environment unless
    given.

    `terminated` says where the task ends in a terminal state. Transitions of other tasks that this one uses end where
    it says; without it they keep the ends that they were logged with.

    `measure` tells of observations how much the robot achieves of the number by which tasks of a family differ, as the
    speed that it has.

    A real robot has no simulator: a policy can be trained for a task without `env_id`, but not evaluated.
    """

    name: str
    env_id: str | None = None  # of Gymnasium, with Box spaces
    kwargs: dict[str, Any] = field(default_factory=dict)  # passed to gymnasium.make
    random_return: float | None = None  # score 0
    expert_return: float | None = None  # score 100
    reward: Reward | None = None  # next observation [n, S], action [n, A] -> [n]
    terminated: Terminated | None = None
    action_bounds: tuple[float | tuple[float, ...], float | tuple[float, ...]] | None = None
    highest_reward: float | None = None
    measure: Callable[[np.ndarray], np.ndarray] | None = None  # observation [n, S] -> [n]


TASKS: Registry[Task] = Registry("task")


def register_task(task: Task) -> None:
    """Add a task, or replace one of the same name from the same module. Its environment is made when it is first used.

    Raises:
        UserError: a plug-in would replace a task that is not its own.
    """
    TASKS.add(task.name, task)


def get_task(name: str) -> Task:
    """The task of that name; `walker-speed:V` and `walker-pace:V` exist for every number V (see `walker_speed`).

    Raises:
        UserError: there is none; it says the nearest name.
    """
    for family, exact in _FAMILIES.items():
        if name not in TASKS and name.startswith(family):
            return walker_speed(name, name.removeprefix(family), exact)
    if name not in TASKS:
        raise unknown("task", name, [*TASKS, *(f"{family}3.5" for family in _FAMILIES)])
    return TASKS.get(name)


def walker_speed(name: str, speed: float | str, exact: bool = False) -> Task:
    """Register and return the task `name`: dm_control's walker, rewarded for moving at `speed` metres per second.

    Negative speeds are backwards, 0 is standing; `WalkerReward` defines the reward. `walker-speed:V` is such a task.

    Args:
        exact: whether faster is paid less, as `PaceReward` says, instead of in full. `walker-pace:V` is such a task.

    Raises:
        UserError: `speed` is no finite number, or not 0 and slower than 0.01 in either direction.
    """
    try:
        target = float(speed)
    except ValueError:
        target = math.nan
    if not math.isfinite(target) or 0 < abs(target) < SLOWEST:
        raise UserError(
            f"task {name!r}: {speed!r} is no target speed; give metres per second, 0 or at least {SLOWEST} in either "
            f"direction, as in walker-speed:3.5."
        )
    env_id, reward = ("walker-pace-v0", PaceReward(target)) if exact else ("walker-speed-v0", WalkerReward(target))
    task = Task(name, f"hcsac/{env_id}", {"speed": target}, reward=reward, highest_reward=1.0, measure=torso_speed)
    register_task(task)
    return task


def task_names() -> tuple[str, ...]:
    """All registered names, those of plug-ins too, in the order of registration."""
    return TASKS.names()


def task_of_env(env_id: str, kwargs: Mapping[str, Any] | None = None) -> str | None:
    """The registered task on that Gymnasium id, for datasets that name their environment but no task.

    A task whose own keyword arguments differ from `kwargs`, those of the dataset's environment, does not count. Of
    several it is the one with most of them, then the first.
    """
    logged = kwargs or {}
    fitting = [
        task
        for _, task in TASKS.items()
        if task.env_id == env_id and all(logged.get(key, value) == value for key, value in task.kwargs.items())
    ]
    best = max(fitting, key=lambda task: len(task.kwargs.keys() & logged.keys()), default=None)
    return None if best is None else best.name


def suite_body(task_name: str) -> str | None:
    """The dm_control body that the task is of, as `walker`; None where its registration does not say."""
    task = get_task(task_name)
    spec = gymnasium.registry.get(task.env_id or "")
    body = {**(spec.kwargs if spec else {}), **task.kwargs}.get("domain")
    return body if isinstance(body, str) else None


def has_simulator(task_name: str) -> bool:
    """Whether the task has an environment to evaluate a policy in."""
    return get_task(task_name).env_id is not None


def time_limit(task_name: str) -> int | None:
    """The time limit of the task's environment in steps; None where that is not known."""
    task = get_task(task_name)
    if task.env_id is None:
        return None
    try:
        limit = task.kwargs.get("max_episode_steps", gymnasium.spec(task.env_id).max_episode_steps)
    except gymnasium.error.Error:
        return None
    return limit if limit and limit > 0 else None


def make_env(task_name: str, seed: int | None = None, **kwargs: Any) -> gymnasium.Env:
    """The task's environment, reset with `seed` if one is given. `kwargs` are added to the task's own.

    Raises:
        UserError: the task has none, it cannot be made, or a space is not a flat Box.
    """
    task = get_task(task_name)
    if task.env_id is None:
        raise UserError(f"task {task_name!r} has no simulator; register it with the id of a Gymnasium environment.")
    try:
        env = gymnasium.make(task.env_id, disable_env_checker=True, **{**task.kwargs, **kwargs})
    except gymnasium.error.Error as error:
        raise UserError(f"task {task_name!r}: cannot make the environment {task.env_id!r}: {error}") from error
    try:
        box_size(env.observation_space, f"task {task_name!r}: the observation space of {task.env_id!r}")
        box_size(env.action_space, f"task {task_name!r}: the action space of {task.env_id!r}")
    except UserError:
        env.close()
        raise
    if seed is not None:
        env.reset(seed=seed)
        env.action_space.seed(seed)
    return env


def layers(env: gymnasium.Env[Any, Any]) -> list[gymnasium.Env[Any, Any]]:
    """The bare environment, then its wrappers from the inside out."""
    found = [env]
    while isinstance(found[-1], gymnasium.Wrapper):
        found.append(found[-1].env)
    return found[::-1]


def rescales_actions(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether a RescaleAction wrapper gives the environment other actions than it is given."""
    return any(isinstance(layer, gymnasium.wrappers.RescaleAction) for layer in layers(env))


def box_size(space: gymnasium.Space[Any], what: str) -> int:
    """Length of the vectors of a flat Box; `what` names the space in the `UserError` for any other space."""
    if not isinstance(space, gymnasium.spaces.Box):
        raise UserError(f"{what} is {type(space).__name__}, but only Box is supported; wrap the environment.")
    if len(space.shape) != 1:
        raise UserError(
            f"{what} has shape {space.shape}, but must be flat; use gymnasium's FlattenObservation wrapper."
        )
    return int(space.shape[0])


def robot_spaces(observation_size: int, bounds: ActionBounds) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    """The spaces of observations and actions of a task without a simulator: any numbers, and those bounds."""
    observation = gymnasium.spaces.Box(-np.inf, np.inf, (observation_size,), np.float32)
    return observation, gymnasium.spaces.Box(bounds.low, bounds.high, dtype=np.float32)


def action_bounds(task_name: str, size: int) -> ActionBounds | None:
    """The bounds of the task's actions: those that it gives, else those of its environment; None where it has neither.

    Those of an environment with another number of actions than `size` are not for these data.

    Raises:
        UserError: it gives bounds that are none, or for another number of actions; or those of its environment are
            endless.
    """
    task = get_task(task_name)
    if task.action_bounds is not None:
        return ActionBounds.given(*task.action_bounds, size, f"task {task_name!r}")
    if task.env_id is None:
        return None
    bounds = _bounds_of_environment(task_name, task.env_id, repr(task.kwargs))
    if len(bounds.low) != size:
        return None
    if not bounds.finite:
        raise UserError(
            f"task {task_name!r}: actions of {task.env_id!r} range over {bounds}, and a policy needs an end on both "
            "sides; register the task with action_bounds=(lowest, highest)."
        )
    return bounds


@lru_cache(maxsize=256)
def _bounds_of_environment(task_name: str, env_id: str, kwargs: str) -> ActionBounds:
    """It takes a moment to make one; what it is made from is the key."""
    env = make_env(task_name)
    bounds = ActionBounds.of_space(env.action_space)
    env.close()
    return bounds
