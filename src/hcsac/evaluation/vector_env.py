"""Many environments behind one step call: in this process, or spread over several."""

import multiprocessing
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

import gymnasium
import numpy as np

from hcsac.tasks import make_env


class Simulators(Protocol):
    """n environments, one for each task name given."""

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Begin an episode in each, from the state of its seed: observation [n, S] float32."""

    def step(self, action: np.ndarray, running: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """action [n, A], running [n] bool -> observation [n, S], reward [n], over [n] bool.

        Environments that are not running are left alone; their rows are zeros, and over.
        """

    def close(self) -> None:
        """Free the simulators."""


def make_simulators(tasks: Sequence[str], workers: int) -> Simulators:
    """The environments of `tasks`, in `workers` processes where the system can fork, else in this one."""
    workers = min(workers, len(tasks))
    if workers > 1 and sys.platform.startswith("linux"):
        return Forked(tasks, workers)
    return Here(tasks)


class Here:
    """In this process, one after another."""

    def __init__(self, tasks: Sequence[str]):
        self.envs: list[gymnasium.Env] = [make_env(name) for name in tasks]

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """See `Simulators`."""
        first = np.stack([env.reset(seed=seed)[0] for env, seed in zip(self.envs, seeds, strict=True)])
        self._shape = first.shape
        return first.astype(np.float32)

    def step(self, action: np.ndarray, running: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Simulators`."""
        observation = np.zeros(self._shape, np.float32)
        reward, over = np.zeros(len(self.envs)), np.ones(len(self.envs), bool)
        for i in np.flatnonzero(running):
            observation[i], paid, terminated, truncated, _ = self.envs[i].step(action[i])
            reward[i], over[i] = float(paid), terminated or truncated
        return observation, reward, over

    def close(self) -> None:
        """See `Simulators`."""
        for env in self.envs:
            env.close()


class Forked:
    """In several processes, which are forked, so that tasks registered by the user's own script are known to them."""

    def __init__(self, tasks: Sequence[str], workers: int):
        context = multiprocessing.get_context("fork")
        self.parts = np.array_split(np.arange(len(tasks)), workers)
        self.pipes: list[Connection] = []
        self.processes = []
        for part in self.parts:
            ours, theirs = context.Pipe()
            names = [tasks[i] for i in part]
            process = context.Process(target=_serve, args=(theirs, [*self.pipes, ours], names), daemon=True)
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """See `Simulators`."""
        return np.concatenate(self._ask("reset", [([seeds[i] for i in part],) for part in self.parts]))

    def step(self, action: np.ndarray, running: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Simulators`."""
        answers = self._ask("step", [(action[part], running[part]) for part in self.parts])
        observation, reward, over = (np.concatenate(column) for column in zip(*answers, strict=True))
        return observation, reward, over

    def close(self) -> None:
        """See `Simulators`."""
        for pipe in self.pipes:
            pipe.close()  # a worker ends when nobody is left to ask it
        for process in self.processes:
            process.join()

    def _ask(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        for pipe, given in zip(self.pipes, arguments, strict=True):
            pipe.send((name, given))
        answers = [pipe.recv() for pipe in self.pipes]
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers


def _serve(pipe: Connection, inherited: Sequence[Connection], tasks: Sequence[str]) -> None:
    """A worker: answers until its pipe closes. What it inherited is closed, or that would never happen."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    for other in inherited:
        other.close()
    simulators: Here | None = None
    while True:
        try:
            name, arguments = pipe.recv()
        except EOFError:
            return
        try:
            simulators = simulators or Here(tasks)
            pipe.send(getattr(simulators, name)(*arguments))
        except Exception as error:
            pipe.send(error)
