"""The reward of any transition in any task, by the task's own function, else by its simulator; and its ends."""

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import gymnasium
import numpy as np

from hcsac.errors import UserError
from hcsac.tasks import cartpole, cheetah, formula, hopper, humanoid, planar, quadruped, walker
from hcsac.tasks.registry import TASKS, Task, get_task
from hcsac.tasks.replayable import TOLERANCE, columns_off, named, why_not_replayed
from hcsac.tasks.simulate import relative_error, replay

# What the formulas consist of.
_FORMULAS = (formula, planar, cartpole, cheetah, hopper, humanoid, quadruped, walker)
_FEW = 0.02  # share of logged steps that may have another reward when they are replayed


def rewards_of(
    task_name: str, next_observation: np.ndarray, action: np.ndarray, physics: np.ndarray | None = None
) -> np.ndarray:
    """The task's rewards of n transitions, [n] float32.

    Args:
        next_observation: [n, S].
        action: [n, A] that led there.
        physics: [n, P] simulator states before the step; used only where the task has no `reward` function: each is set
            in the task's simulator, which then takes the action.

    Raises:
        UserError: as `require_rewards`; the task's function fails, or returns anything but n finite numbers; or the
            states do not lead to the observations.
    """
    task = get_task(task_name)
    if len(next_observation) == 0:
        return np.empty(0, np.float32)
    if task.reward is None:
        require_rewards(task_name, None if physics is None else physics.shape[1])
        assert physics is not None
        return _replayed(task_name, next_observation, action, physics)
    return _call(task, next_observation, action)


def says_ends(task_name: str) -> bool:
    """Whether a task of this name is registered and has a function `terminated`."""
    return task_name in TASKS and get_task(task_name).terminated is not None


def ends_of(task_name: str, observation: np.ndarray, action: np.ndarray, next_observation: np.ndarray) -> np.ndarray:
    """Whether n transitions end in a terminal state of the task, [n] bool, by its function `terminated`.

    Args:
        observation, next_observation: [n, S].
        action: [n, A], in the robot's units.

    Raises:
        UserError: the task's function fails, or returns anything but n truth values.
    """
    function = get_task(task_name).terminated
    assert function is not None
    where = f"the function `terminated` of task {task_name!r}"
    ends = _ask(function, where, observation, action, next_observation)
    if ends.shape != (len(action),) or ends.dtype != bool:
        raise UserError(
            f"{where} returned shape {list(ends.shape)} and type {ends.dtype} for {len(action)} transitions; it must "
            f"return [{len(action)}] truth values."
        )
    return ends


def require_rewards(task_name: str, physics_size: int | None) -> None:
    """Raise `UserError`, saying what is missing, if the task's rewards cannot be recomputed.

    `physics_size` is the size P of the data's simulator states, None where they have none.
    """
    if get_task(task_name).reward is not None:
        return
    if physics_size is None:
        raise _cannot(task_name, "the data have no simulator states to simulate them from")
    reason = why_not_replayed(task_name, physics_size)
    if reason is not None:
        raise _cannot(task_name, reason)


def require_replayed(
    task_name: str,
    next_observation: np.ndarray,
    action: np.ndarray,
    physics: np.ndarray,
    reward: np.ndarray | None = None,
) -> None:
    """Raise `UserError` if n logged transitions have other observations or rewards when the task replays them.

    A log's simulator states may lack something that changes within an episode. Arguments as in `rewards_of`; reward [n]
    as logged, if that was under this task.
    """
    told = _replayed(task_name, next_observation, action, physics)
    if reward is None:
        return
    differ = relative_error(told, reward) > TOLERANCE
    if differ.mean() > _FEW:
        what = f"{int(differ.sum())} of {len(reward)} of its steps have another reward when they are replayed"
        raise _cannot(task_name, f"the stored simulator states do not fix them ({what})")


def _replayed(task_name: str, next_observation: np.ndarray, action: np.ndarray, physics: np.ndarray) -> np.ndarray:
    observation, reward, _ = replay(task_name, physics, action)
    if observation.shape != next_observation.shape:
        sizes = f"{observation.shape[1]} columns, the data have {next_observation.shape[1]}"
        raise _cannot(task_name, f"its environment's observations have {sizes}")
    columns = columns_off(observation, next_observation)
    if len(columns):
        what = f"steps from the stored simulator states have other numbers than logged in observation {named(columns)}"
        raise _cannot(task_name, f"{what} (the states do not fix them, or they are of a task that observes otherwise)")
    return reward


def _cannot(task_name: str, reason: str) -> UserError:
    return UserError(
        f"rewards of task {task_name!r} cannot be recomputed: it has no reward function, and {reason}; give the task "
        "one (hcsac.Task(..., reward=...)) or use reward rule keep or zero."
    )


def fixed_by(task_name: str) -> list[Any] | None:
    """What determines the task's recomputed rewards, ready for JSON; None for a user's own code, which may change."""
    task = get_task(task_name)
    versions = [version(name) for name in ("hcsac", "dm-control", "mujoco")]
    if task.reward is not None:
        ours = inspect.getmodule(type(task.reward)) in _FORMULAS
        return [repr(task.reward), *map(inspect.getsource, _FORMULAS), *versions] if ours else None
    spec = gymnasium.registry.get(task.env_id) if task.env_id else None
    if spec is None or not str(spec.entry_point).startswith("hcsac."):
        return None
    return [spec.entry_point, {**spec.kwargs, **task.kwargs}, *versions]


def _call(task: Task, next_observation: np.ndarray, action: np.ndarray) -> np.ndarray:
    assert task.reward is not None
    count, where = len(next_observation), f"the reward function of task {task.name!r}"
    reward = _ask(task.reward, where, next_observation, action)
    if reward.shape != (count,):
        raise UserError(
            f"{where} returned shape {list(reward.shape)} for {count} transitions; it must return [{count}]."
        )
    if reward.dtype.kind not in "biuf":
        raise UserError(f"{where} returned {reward.dtype} values; it must return numbers.")
    with np.errstate(over="ignore"):
        reward = reward.astype(np.float32)
    bad = int(np.count_nonzero(~np.isfinite(reward)))
    if bad:
        raise UserError(
            f"{where} returned NaN or infinity for {bad} of {count} transitions; it must be finite everywhere."
        )
    return reward


def _ask(function: Callable[..., Any], where: str, *arrays: np.ndarray) -> np.ndarray:
    """What a user's own function, `where`, gives for n transitions, each of the arrays [n, ...]."""
    try:
        return np.asarray(function(*map(_read_only, arrays)))
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{where} failed on {len(arrays[0])} transitions ({reason}); fix it.") from error


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
