"""Many environments behind one step call: in this process, or in several. A simulator is not trusted."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np

from hcsac.errors import UserError
from hcsac.tasks.registry import make_env

VARIABLE = "HCSAC_SIMULATE"  # in-process: to step simulators in the process that trains, as a debugger needs it


class SimulatorError(UserError):
    """A simulator failed in an evaluation; the sentence names its task."""


class VectorEnv(Protocol):
    """n environments, one for each task name given. Its calls raise `SimulatorError` where a simulator fails."""

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Start an episode in each, from the initial state of its seed: observation [n, S] float32."""

    def step(self, action: np.ndarray, running: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """action [n, A], running [n] bool -> observation [n, S], reward [n], done [n] bool.

        Environments that are not running are not stepped; their observations and rewards are 0, and they are done.
        """

    def close(self) -> None:
        """Close the environments."""


def make_envs(tasks: Sequence[str], workers: int) -> VectorEnv:
    """The environments of `tasks` in `workers` processes of their own.

    In this process where another one could not make them (an environment that a script registered with a class instead
    of "module:name"), or where the environment variable HCSAC_SIMULATE is in-process.
    """
    from hcsac.tasks.worker import WorkerEnvs, pack

    packed = None if os.environ.get(VARIABLE) == "in-process" else pack(tasks)
    return SerialEnvs(tasks) if packed is None else WorkerEnvs(packed, min(workers, len(tasks)))


class SerialEnvs:
    """Stepped in this process, one after another.

    Args:
        before: called with an environment's index before it is made, reset or stepped.
    """

    def __init__(self, tasks: Sequence[str], before: Callable[[int], None] = lambda i: None):
        self.tasks, self._before, self._steps = list(tasks), before, 0
        self.envs: list[gymnasium.Env] = []
        for i, name in enumerate(tasks):
            before(i)
            self.envs.append(make_env(name))
        self._size = [int(np.prod(env.observation_space.shape or ())) for env in self.envs]

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """See `VectorEnv`."""
        self._steps = 0
        observation = np.zeros((len(self.envs), max(self._size)), np.float32)
        for i, seed in enumerate(seeds):
            observation[i] = self._observation(i, self._call(i, self.envs[i].reset, seed=seed)[0])
        return observation

    def step(self, action: np.ndarray, running: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `VectorEnv`."""
        self._steps += 1
        observation = np.zeros((len(self.envs), max(self._size)), np.float32)
        reward, done = np.zeros(len(self.envs)), np.ones(len(self.envs), bool)
        for i in np.flatnonzero(running).tolist():
            next_observation, reward_, terminated, truncated, _ = self._call(i, self.envs[i].step, action[i])
            observation[i] = self._observation(i, next_observation)
            reward[i], done[i] = self._number(i, reward_), bool(terminated) or bool(truncated)
        return observation, reward, done

    def close(self) -> None:
        """See `VectorEnv`."""
        for env in self.envs:
            env.close()

    def _call(self, i: int, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self._before(i)
        try:
            return method(*arguments, **named)
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            raise SimulatorError(f"task {self.tasks[i]!r}: its simulator failed {self._where} ({text}).") from error

    def _observation(self, i: int, value: Any) -> np.ndarray:
        observation = np.asarray(value, np.float32).reshape(-1)
        if observation.shape != (self._size[i],):
            raise SimulatorError(
                f"task {self.tasks[i]!r}: its simulator gave an observation of {observation.size} numbers "
                f"{self._where}; its observation space has {self._size[i]}."
            )
        if not np.isfinite(observation).all():
            raise SimulatorError(f"task {self.tasks[i]!r}: its simulator gave an observation with NaN {self._where}.")
        return observation

    def _number(self, i: int, value: Any) -> float:
        reward = np.asarray(value, np.float64)
        if reward.size != 1 or not np.isfinite(reward).all():
            raise SimulatorError(f"task {self.tasks[i]!r}: its simulator gave the reward {value} {self._where}.")
        return float(reward.reshape(()))

    @property
    def _where(self) -> str:
        return f"at step {self._steps} of an episode" if self._steps else "at the start of an episode"
