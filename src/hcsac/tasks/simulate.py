"""One step of the simulator from any stored simulator state, for checks and recomputed rewards.

A state is set in the bare environment, and the step goes through its wrappers, as when the data were logged.
"""

from typing import Any

import gymnasium
import numpy as np

from hcsac.errors import UserError
from hcsac.tasks.registry import box_size, layers, make_env


def step_from(env: gymnasium.Env, state: np.ndarray, action: np.ndarray) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
    """What `env.step(action)` gives from a simulator state [P]. Its time limit starts anew."""
    for layer in layers(env):
        if isinstance(layer, gymnasium.wrappers.TimeLimit):
            layer._elapsed_steps = 0  # type: ignore[assignment]
    bare: Any = env.unwrapped
    bare.set_physics(state)
    return env.step(action)


def observe_in(env: gymnasium.Env, state: np.ndarray) -> Any:
    """The observation of a simulator state [P], as the environment's observation wrappers show it."""
    bare: Any = env.unwrapped
    observation = bare.set_physics(state)
    for layer in layers(env):
        if isinstance(layer, gymnasium.ObservationWrapper):
            observation = layer.observation(observation)
    return observation


def replay(task_name: str, physics: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Set each state, apply its action, step once.

    physics [n, P], action [n, A] -> next observation [n, S] float32, reward [n] float32, next physics [n, P] float64.

    Raises:
        UserError: the environment has no `set_physics`, or states or actions have the wrong size.
    """
    env = make_env(task_name, seed=0)
    try:
        _require_physics(env, task_name, physics.shape[1], action.shape[1])
        bare: Any = env.unwrapped
        observations, rewards, states = [], [], []
        for state, control in zip(physics, action, strict=True):
            observation, reward, terminated, truncated, _ = step_from(env, state, control)
            observations.append(observation)
            rewards.append(reward)
            states.append(bare.get_physics())
            if terminated or truncated:
                env.reset(seed=0)  # an environment may refuse another step
        return np.stack(observations).astype(np.float32), np.array(rewards, np.float32), np.stack(states)
    finally:
        env.close()


def observe(task_name: str, physics: np.ndarray) -> np.ndarray:
    """The observations [n, S] float32 of simulator states [n, P]; raises as `replay`."""
    env = make_env(task_name, seed=0)
    try:
        _require_physics(env, task_name, physics.shape[1], None)
        return np.stack([observe_in(env, state) for state in physics]).astype(np.float32)
    finally:
        env.close()


def terminates(task_name: str, physics: np.ndarray, action: np.ndarray) -> np.ndarray:
    """Whether each action [n, A] leads from its state [n, P] to a terminal state, [n] bool; raises as `replay`."""
    env = make_env(task_name, seed=0)
    try:
        _require_physics(env, task_name, physics.shape[1], action.shape[1])
        terminal = []
        for state, control in zip(physics, action, strict=True):
            env.reset(seed=0)  # as above; and a count of steps of the environment's own starts anew
            terminal.append(bool(step_from(env, state, control)[2]))
        return np.array(terminal, bool)
    finally:
        env.close()


def _require_physics(env: gymnasium.Env, task_name: str, physics: int, action: int | None) -> None:
    bare: Any = env.unwrapped
    if not hasattr(bare, "set_physics") or not hasattr(bare, "get_physics"):
        raise UserError(f"task {task_name!r}: its environment has no set_physics, so that no step can be replayed.")
    sizes = (len(bare.get_physics()), box_size(env.action_space, f"task {task_name!r}: the action space"))
    if (physics, sizes[1] if action is None else action) != sizes:
        raise UserError(
            f"task {task_name!r} has simulator states of size {sizes[0]} and actions of size {sizes[1]}, "
            f"but the data have {physics} and {action}; was it logged under another task?"
        )


def relative_error(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """|actual - expected| / (1 + |expected|), elementwise."""
    expected = expected.astype(np.float64)
    return np.abs(actual - expected) / (1 + np.abs(expected))


def random_rollout(task_name: str, seed: int) -> dict[str, np.ndarray]:
    """One episode of uniformly random actions, of T steps.

    observation [T+1, S] and action [T, A] float32, reward [T] float32, terminated and truncated [T] bool, and
    physics [T+1, P] float64 where the infos have it. Ends after 10,000 steps if the environment does not.
    """
    env = make_env(task_name)
    try:
        env.action_space.seed(seed)
        observation, info = env.reset(seed=seed)
        observations, infos = [observation], [info]
        steps: list[tuple[Any, ...]] = []
        while not steps or not (any(steps[-1][2:]) or len(steps) == 10_000):
            action = env.action_space.sample()
            observation, reward, terminated, truncated, info = env.step(action)
            observations.append(observation)
            infos.append(info)
            steps.append((action, reward, terminated, truncated))
    finally:
        env.close()
    actions, rewards, terminations, truncations = zip(*steps, strict=True)
    states = {"physics": np.stack([info["physics"] for info in infos])} if "physics" in infos[0] else {}
    return {
        "observation": np.stack(observations).astype(np.float32),
        "action": np.stack(actions).astype(np.float32),
        "reward": np.array(rewards, np.float32),
        "terminated": np.array(terminations, bool),
        "truncated": np.array(truncations, bool),
        **states,
    }
