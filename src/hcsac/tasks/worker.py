"""Processes that step simulators, so that one that hangs, crashes or has threads of its own does the training no harm.

A worker is a new interpreter, `python -m hcsac.tasks.worker`, not a fork: libraries that the simulator uses start in it
as in any program. It speaks over a socket that it inherits, and notes in a shared file which environment is at work.
"""

import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import gymnasium
import numpy as np

from hcsac.errors import UserError
from hcsac.tasks.registry import get_task
from hcsac.tasks.rendering import pack_task, unpack_task
from hcsac.tasks.vector_env import SerialEnvs, SimulatorError

DEADLINE = 300.0  # seconds that one environment may take to be made, reset or stepped
_BEAT = 5.0  # seconds between two signs of life of a worker


def pack(tasks: Sequence[str]) -> list[str] | None:
    """What another process needs to make the environments; None where it could not."""
    packed = {}
    for name in dict.fromkeys(tasks):
        try:
            packed[name] = pack_task(name)
            spec = gymnasium.spec(get_task(name).env_id or "")
        except (UserError, gymnasium.error.Error):
            return None
        if not isinstance(spec.entry_point, str) or spec.entry_point.startswith("__main__"):
            return None
    return [packed[name] for name in tasks]


class WorkerEnvs:
    """Environments in several processes (`VectorEnv`).

    Args:
        packed: of every environment its task, as `pack` gives them.
    """

    def __init__(self, packed: Sequence[str], workers: int):
        self.parts = np.array_split(np.arange(len(packed)), workers)
        self.workers = [_Worker([packed[i] for i in part]) for part in self.parts]
        try:
            for worker in self.workers:  # all of them start meanwhile
                worker.names = worker.result()
        except SimulatorError:
            self.close()
            raise

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
        for worker in self.workers:
            worker.close()

    def _call(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        try:
            for worker, values in zip(self.workers, arguments, strict=True):
                worker.send(name, values)
            return [worker.result() for worker in self.workers]
        except SimulatorError:  # what the others still send would be taken for the next answer
            self.close()
            raise


class _Worker:
    """One process, seen from here."""

    def __init__(self, packed: Sequence[str]):
        ours, theirs = socket.socketpair()
        self._note = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
        self._note.write(bytes(8))
        self._note.flush()
        self._busy = mmap.mmap(self._note.fileno(), 8)
        descriptors = theirs.fileno(), self._note.fileno()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hcsac.tasks.worker", *map(str, descriptors)], pass_fds=descriptors, env=environment,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        self.pipe = Connection(ours.detach())
        self.names: list[str] = []
        self.send("make", (list(packed),))

    def send(self, name: str, values: tuple[Any, ...]) -> None:
        """Ask for a call."""
        try:
            self.pipe.send((name, values))
        except OSError:
            raise self._died() from None

    def result(self) -> Any:
        """What the call returned."""
        last = time.monotonic()
        while True:
            if self.pipe.poll(_BEAT):
                try:
                    kind, value = self.pipe.recv()
                except (EOFError, OSError):
                    raise self._died() from None
                if kind == "error":
                    raise SimulatorError(value)
                if kind == "result":
                    return value
                last = time.monotonic()
            elif time.monotonic() - last > DEADLINE:
                name = self._at_work()
                self.close()
                raise SimulatorError(f"{name}: its simulator did nothing for {DEADLINE:.0f} s, and was stopped.")

    def close(self) -> None:
        """End the process, and what it has started."""
        self.pipe.close()  # a worker exits when its pipe is closed
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if not self._note.closed:
            self._busy.close()
            self._note.close()

    def _died(self) -> SimulatorError:
        status = self.process.wait()
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
        return SimulatorError(f"{self._at_work()}: the process of its simulator {how}.")

    def _at_work(self) -> str:
        index = int.from_bytes(self._busy[:8], "little")
        return f"task {self.names[index]!r}" if index < len(self.names) else "a task"


class _Server:
    """The environments of a worker, and signs of life while they are at work."""

    def __init__(self, pipe: Connection, busy: mmap.mmap):
        self.pipe, self.busy, self.said = pipe, busy, time.monotonic()
        self.envs: SerialEnvs | None = None

    def handle(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Make a call and send what it returns."""
        try:
            if name == "make":
                tasks = [unpack_task(packed) for packed in arguments[0]]
                self.envs = SerialEnvs(tasks, self.begin)
                self.pipe.send(("result", tasks))
            else:
                self.pipe.send(("result", getattr(self.envs, name)(*arguments)))
        except UserError as error:
            self.pipe.send(("error", str(error)))

    def begin(self, index: int) -> None:
        """Note which environment is at work."""
        self.busy[:8] = index.to_bytes(8, "little")
        if time.monotonic() - self.said > _BEAT:
            self.said = time.monotonic()
            self.pipe.send(("alive", None))


def main(socket_: int, note: int) -> None:
    """Serve calls until the pipe is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the process that trains takes them, and closes the pipe
    pipe = Connection(socket_)
    server = _Server(pipe, mmap.mmap(note, 8))
    while True:
        try:
            call = pipe.recv()
        except (EOFError, OSError):
            return
        server.handle(*call)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
