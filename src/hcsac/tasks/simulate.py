"""One step of the simulator from any stored physics state: what check and relabelling compare against."""

from typing import Any

import gymnasium
import numpy as np

from hcsac.errors import UserError
from hcsac.tasks.registry import box_size, has_simulator, make_env


def can_replay(task_name: str) -> bool:
    """Whether the task has an environment, and it can be put into a stored physics state."""
    if not has_simulator(task_name):
        return False
    env = make_env(task_name)
    try:
        return hasattr(env.unwrapped, "set_physics")
    finally:
        env.close()


def replay(task_name: str, physics: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Set each state, apply its action, step once.

    physics [n, P], action [n, A] -> next observation [n, S] float32, reward [n] float32, next physics [n, P] float64.
    Raises `UserError` if the environment has no `set_physics`, or if states or actions have the wrong size.
    """
    env = make_env(task_name, seed=0)
    try:
        _require_physics(env, task_name, physics.shape[1], action.shape[1])
        bare: Any = env.unwrapped
        observations, rewards, states = [], [], []
        for state, control in zip(physics, action, strict=True):
            bare.set_physics(state)
            observation, reward, *_ = bare.step(control)
            observations.append(observation)
            rewards.append(reward)
            states.append(bare.get_physics())
        return np.stack(observations), np.array(rewards, np.float32), np.stack(states)
    finally:
        env.close()


def observe(task_name: str, physics: np.ndarray) -> np.ndarray:
    """The observations [n, S] float32 of physics states [n, P]; `UserError` as in `replay`."""
    env = make_env(task_name, seed=0)
    try:
        _require_physics(env, task_name, physics.shape[1], None)
        return np.stack([env.unwrapped.set_physics(state) for state in physics])  # type: ignore[attr-defined]
    finally:
        env.close()


def terminates(task_name: str, physics: np.ndarray, action: np.ndarray) -> np.ndarray:
    """Whether the world ends, [n] bool, when each state [n, P] meets its action [n, A]; `UserError` as in `replay`."""
    env = make_env(task_name, seed=0)
    try:
        _require_physics(env, task_name, physics.shape[1], action.shape[1])
        bare: Any = env.unwrapped
        ended = []
        for state, control in zip(physics, action, strict=True):
            env.reset(seed=0)  # an ended world may refuse another step
            bare.set_physics(state)
            ended.append(bool(bare.step(control)[2]))
        return np.array(ended, bool)
    finally:
        env.close()


def _require_physics(env: gymnasium.Env, task_name: str, physics: int, action: int | None) -> None:
    bare: Any = env.unwrapped
    if not hasattr(bare, "set_physics") or not hasattr(bare, "get_physics"):
        raise UserError(f"task {task_name!r}: its environment has no set_physics, so that no step can be replayed.")
    sizes = (len(bare.get_physics()), box_size(env.action_space, f"task {task_name!r}: the action space"))
    if (physics, sizes[1] if action is None else action) != sizes:
        raise UserError(
            f"task {task_name!r} has {sizes[0]} physics numbers and {sizes[1]} actions, "
            f"but the data have {physics} and {action}; was it logged under another task?"
        )


def random_rollout(task_name: str, seed: int) -> dict[str, np.ndarray]:
    """One episode of uniformly random actions, of T steps.

    observation [T+1, S] and action [T, A] float32, reward [T] float32, terminated and truncated [T] bool, and
    physics [T+1, P] float64 where the environment tells it. Ends after 10,000 steps if the environment does not.
    """
    env = make_env(task_name)
    try:
        env.action_space.seed(seed)
        observation, info = env.reset(seed=seed)
        observations, infos = [observation], [info]
        steps: list[tuple] = []
        while not steps or not (any(steps[-1][2:]) or len(steps) == 10_000):
            action = env.action_space.sample()
            observation, reward, terminated, truncated, info = env.step(action)
            observations.append(observation)
            infos.append(info)
            steps.append((action, reward, terminated, truncated))
    finally:
        env.close()
    actions, rewards, terminations, truncations = zip(*steps, strict=True)
    told = {"physics": np.stack([info["physics"] for info in infos])} if "physics" in infos[0] else {}
    return {
        "observation": np.stack(observations).astype(np.float32),
        "action": np.stack(actions).astype(np.float32),
        "reward": np.array(rewards, np.float32),
        "terminated": np.array(terminations, bool),
        "truncated": np.array(truncations, bool),
        **told,
    }
