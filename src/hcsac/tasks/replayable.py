"""Whether a stored simulator state fixes a task's observation and reward, so that its steps can be replayed."""

from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np

from hcsac.tasks.environment import DmControlEnv
from hcsac.tasks.registry import get_task, has_simulator, layers, make_env
from hcsac.tasks.simulate import observe_in, relative_error, step_from

TOLERANCE = 1e-3  # relative error of a number that is the same: other paths to a state differ by rounding
OFTEN = 0.1  # share of replays in which a number may be off: contacts amplify rounding
_STATES, _APART, _HISTORIES = 8, 4, 3


def why_not_replayed(task_name: str, size: int | None = None) -> str | None:
    """Why stored simulator states do not fix the task's observations and rewards, as half a sentence; None if they do.

    Found by trying: some states of an episode are set again after other beginnings, and each must lead to the same
    step through all wrappers of the environment.

    Args:
        size: P of the data's states, if they are at hand.
    """
    if not has_simulator(task_name):
        return "it has no environment"
    task = get_task(task_name)
    assert task.env_id is not None
    reason, parts = _tried(task_name, task.env_id, repr(task.kwargs))
    ends = np.cumsum(list(parts.values()))
    if reason is None and size in ends[1:-1]:  # qpos and qvel, and no more
        lacking = ", ".join(name for name, end in zip(parts, ends, strict=True) if end > size)
        return f"the stored simulator states do not fix its observations and rewards: they lack {lacking}"
    return reason


@lru_cache(maxsize=256)
def _tried(task_name: str, env_id: str, kwargs: str) -> tuple[str | None, dict[str, int]]:
    """The reason, and the parts of a state where they are known; what both follow from is the key."""
    env = make_env(task_name)
    try:
        bare: Any = env.unwrapped
        if not hasattr(bare, "set_physics") or not hasattr(bare, "get_physics"):
            return "its environment has no set_physics", {}
        return _why_not(env), bare.state_parts if isinstance(bare, DmControlEnv) else {}
    except Exception as error:  # a simulator may fail in any way
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return f"its simulator failed when its states were set ({text})", {}
    finally:
        env.close()


def _why_not(env: gymnasium.Env) -> str | None:
    if _unfixed(env) is None and _observes(env):
        return None
    for layer in layers(env):  # from the inside, to name the one that is to blame
        unfixed = _unfixed(layer)
        if unfixed is not None and layer is env.unwrapped:
            return f"simulator states do not fix {unfixed} of its environment"
        if unfixed is not None:
            return f"simulator states do not fix {unfixed} of its wrapper {type(layer).__name__}"
        if not _observes(layer):
            return f"{type(layer).__name__} observes otherwise after set_physics than after a step"
    return None


def _unfixed(env: gymnasium.Env) -> str | None:
    """What of a step from a set state depends on what was before it."""
    bare: Any = env.unwrapped
    env.action_space.seed(0)
    env.reset(seed=0)
    tried, first = [], []
    for number in range(_STATES * _APART):
        state, action = bare.get_physics(), env.action_space.sample()
        outcome = _step(env, action)
        if number % _APART == 0:
            tried.append((state, action))
            first.append(outcome)
    outcomes = [first]
    for history in range(1, _HISTORIES + 1):
        outcomes.append([])
        env.reset(seed=history)
        for state, action in tried:
            for _ in range(history):
                _step(env, env.action_space.sample())
            outcomes[-1].append(_step(env, action, state))
    observations, rewards, states = (
        np.stack([np.stack([step[part] for step in steps]) for steps in outcomes]) for part in range(3)
    )
    if len(columns := columns_off(observations[1:], observations[:1])):
        return f"observation {named(columns)}"
    if len(columns_off(rewards[1:, :, None], rewards[:1, :, None])):
        return "the reward"
    return "the next state" if len(columns_off(states[1:], states[:1])) else None


def _observes(env: gymnasium.Env) -> bool:
    """Whether most columns of an observation are those that its state gives."""
    env.action_space.seed(0)
    env.reset(seed=0)
    stepped, _, state = _step(env, env.action_space.sample())
    given = np.ravel(observe_in(env, state))
    if stepped.shape != given.shape:
        return False
    return float(np.median(relative_error(given, stepped))) <= TOLERANCE


def _step(
    env: gymnasium.Env, action: np.ndarray, state: np.ndarray | None = None
) -> tuple[np.ndarray, float, np.ndarray]:
    """Observation [S], reward and next state [P] of a step, from a state if one is given; at an end, then a reset."""
    bare: Any = env.unwrapped
    observation, reward, terminated, truncated, _ = env.step(action) if state is None else step_from(env, state, action)
    flat = np.asarray(gymnasium.spaces.flatten(env.observation_space, observation), np.float64)
    outcome = flat, float(reward), bare.get_physics()
    if terminated or truncated:
        env.reset()
    return outcome


def columns_off(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The columns of [..., n] whose relative error is too large too often."""
    error = relative_error(actual, expected)
    return np.flatnonzero((error.reshape(-1, error.shape[-1]) > TOLERANCE).mean(axis=0) > OFTEN)


def named(columns: np.ndarray) -> str:
    """As `columns 2, 3, 7`; of many only the first."""
    some = ", ".join(map(str, columns[:8])) + (", ..." if len(columns) > 8 else "")
    return f"column{'s' if len(columns) > 1 else ''} {some}"
