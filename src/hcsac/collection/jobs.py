"""Many collections at once, each in a process of its own."""

import multiprocessing
import signal
import traceback
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple

import torch

from hcsac.collection.file import Request
from hcsac.errors import UserError
from hcsac.machine import cores
from hcsac.training import Progress


class Failure(NamedTuple):
    """A collection that did not finish."""

    request: Request
    error: str  # the sentence or the traceback


def collect_all(
    requests: Sequence[Request],
    jobs: int | None = None,
    threads: int | None = None,
    command: str = "",
    progress: bool = True,
) -> list[Failure]:
    """Collect all of `requests`; finished ones are skipped, interrupted ones continued.

    Args:
        jobs: processes at once (default: one for each core).
        threads: of each process (default: the cores divided among them).

    Returns:
        The collections that failed; the others continued without them.

    Raises:
        UserError: before anything is learned, an unknown task, a level that must be given, or a name that is taken.
    """
    waiting = [request for request in requests if not request.finished()]
    slots = jobs or cores()
    work = _Work(command, threads or max(1, cores() // slots))
    done = {request.name: 0 for request in waiting}  # steps
    failures: list[Failure] = []
    total = sum(request.steps for request in waiting)
    with closing(work), closing(Progress(total, unit="steps", enabled=progress)) as shown:
        for request in requests:
            if request.name not in done:
                shown.write_line(f"finished before: {request.name}")
        ended = len(requests) - len(waiting)
        while waiting or work.running:
            while waiting and len(work.running) < slots:
                request = waiting.pop(0)
                shown.write_line(f"started: {request.name} in {request.directory}")
                work.start(request)
            for request, message in work.messages():
                if isinstance(message, int):
                    done[request.name] = min(done[request.name] + message, request.steps)
                    continue
                ended, done[request.name] = ended + 1, request.steps
                if message:
                    failures.append(Failure(request, message))
                    shown.write_line(f"failed: {request.name}: {message.strip().splitlines()[-1]}")
                else:
                    shown.write_line(f"finished: {request.name}: {', '.join(request.datasets)}")
            shown.status = f"{ended - len(failures)}/{len(requests)} collections" + (
                f", {len(failures)} failed" if failures else ""
            )
            shown.advance(sum(done.values()) - shown.done)
    return failures


class _Work:
    """The processes, and what they tell: steps that are done, and at the end the error, or "" for none."""

    def __init__(self, command: str, threads: int):
        self.command, self.threads = command, threads
        self.running: dict[Connection, tuple[Request, BaseProcess]] = {}

    def start(self, request: Request) -> None:
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(request, self.command, self.threads, sender))
        process.start()
        sender.close()
        self.running[receiver] = request, process

    def messages(self) -> list[tuple[Request, int | str]]:
        """What was told since the last call; waits up to two seconds for something."""
        told: list[tuple[Request, int | str]] = []
        for pipe in wait(list(self.running), timeout=2):
            assert isinstance(pipe, Connection)
            request, process = self.running[pipe]
            try:
                message = pipe.recv()
            except EOFError:
                process.join()
                message = f"its process ended (exit status {process.exitcode}) without a word; possibly out of memory."
            if isinstance(message, str):
                del self.running[pipe]
                pipe.close()
                process.join()
            told.append((request, message))
        return told

    def close(self) -> None:
        """Stop what still runs: the same command continues it."""
        for _, process in self.running.values():
            process.terminate()
        for _, process in self.running.values():
            process.join()


def _work(request: Request, command: str, threads: int, pipe: Connection) -> None:
    """The body of a process. Without its parent the pipe breaks, which ends it at the next episode."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which stops the processes
    torch.set_num_threads(threads)
    try:
        request.run(command, on_steps=pipe.send)
    except UserError as error:
        pipe.send(str(error))
    except Exception:
        pipe.send(traceback.format_exc())
    else:
        pipe.send("")
