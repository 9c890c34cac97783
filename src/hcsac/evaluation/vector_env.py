"""Many environments behind one step call: in this process, or in several."""

import multiprocessing
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

import gymnasium
import numpy as np

from hcsac.tasks import make_env


class VectorEnv(Protocol):
    """n environments, one for each task name given."""

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Start an episode in each, from the initial state of its seed: observation [n, S] float32."""

    def step(self, action: np.ndarray, running: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """action [n, A], running [n] bool -> observation [n, S], reward [n], done [n] bool.

        Environments that are not running are not stepped; their observations and rewards are 0, and they are done.
        """

    def close(self) -> None:
        """Close the environments."""


def make_envs(tasks: Sequence[str], workers: int) -> VectorEnv:
    """The environments of `tasks`, in `workers` processes where the system can fork, else in this one."""
    workers = min(workers, len(tasks))
    if workers > 1 and sys.platform.startswith("linux"):
        return ProcessEnvs(tasks, workers)
    return SerialEnvs(tasks)


class SerialEnvs:
    """Stepped in this process, one after another."""

    def __init__(self, tasks: Sequence[str]):
        self.envs: list[gymnasium.Env] = [make_env(name) for name in tasks]

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """See `VectorEnv`."""
        first = np.stack([env.reset(seed=seed)[0] for env, seed in zip(self.envs, seeds, strict=True)])
        self._shape = first.shape
        return first.astype(np.float32)

    def step(self, action: np.ndarray, running: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `VectorEnv`."""
        observation = np.zeros(self._shape, np.float32)
        reward, done = np.zeros(len(self.envs)), np.ones(len(self.envs), bool)
        for i in np.flatnonzero(running):
            observation[i], reward_, terminated, truncated, _ = self.envs[i].step(action[i])
            reward[i], done[i] = float(reward_), terminated or truncated
        return observation, reward, done

    def close(self) -> None:
        """See `VectorEnv`."""
        for env in self.envs:
            env.close()


class ProcessEnvs:
    """Stepped in several processes, which are forked so that they have the tasks that the user's script registered."""

    def __init__(self, tasks: Sequence[str], workers: int):
        context = multiprocessing.get_context("fork")
        self.parts = np.array_split(np.arange(len(tasks)), workers)
        self.pipes: list[Connection] = []
        self.processes = []
        for part in self.parts:
            pipe, end = context.Pipe()
            names = [tasks[i] for i in part]
            process = context.Process(target=_serve, args=(end, [*self.pipes, pipe], names), daemon=True)
            process.start()
            end.close()
            self.pipes.append(pipe)
            self.processes.append(process)

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """See `VectorEnv`."""
        return np.concatenate(self._call("reset", [([seeds[i] for i in part],) for part in self.parts]))

    def step(self, action: np.ndarray, running: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `VectorEnv`."""
        results = self._call("step", [(action[part], running[part]) for part in self.parts])
        observation, reward, done = (np.concatenate(column) for column in zip(*results, strict=True))
        return observation, reward, done

    def close(self) -> None:
        """See `VectorEnv`."""
        for pipe in self.pipes:
            pipe.close()  # a worker exits when its pipe is closed
        for process in self.processes:
            process.join()

    def _call(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        for pipe, values in zip(self.pipes, arguments, strict=True):
            pipe.send((name, values))
        results = [pipe.recv() for pipe in self.pipes]
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results


def _serve(pipe: Connection, inherited: Sequence[Connection], tasks: Sequence[str]) -> None:
    """A worker: serves calls until its pipe is closed. Inherited pipes are closed here, or that would never happen."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent process
    for other in inherited:
        other.close()
    envs: SerialEnvs | None = None
    while True:
        try:
            name, arguments = pipe.recv()
        except EOFError:
            return
        try:
            envs = envs or SerialEnvs(tasks)
            pipe.send(getattr(envs, name)(*arguments))
        except Exception as error:
            pipe.send(error)
