"""Runs of a study on this machine: one process per run, as many at once as there are cores, or one on a GPU."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from hcsac.errors import Stopped
from hcsac.experiments.scheduler import RunResult
from hcsac.experiments.storage import Mirror
from hcsac.experiments.study_run import StudyRun
from hcsac.experiments.worker import execute
from hcsac.machine import cores
from hcsac.training import RunDirectory, updates_done


class LocalLauncher:
    """Executes each run in a process of its own, so that a crash stops that run alone.

    Args:
        jobs: processes at once (default: one per core, each with one thread: small networks gain more from running
            side by side than from a second thread; on a GPU one process).
        mirror: of the directory that all runs are in, for a study kept in a storage.
        trackers: trackers of the runs besides TensorBoard.
    """

    def __init__(self, jobs: int | None = None, mirror: Mirror | None = None, trackers: Sequence[str] = ()):
        self.slots = jobs or (1 if torch.cuda.is_available() else cores())
        self.threads = max(1, cores() // self.slots)
        self.mirror, self.trackers = mirror, tuple(trackers)
        self._running: dict[Connection, tuple[StudyRun, BaseProcess]] = {}

    def start(self, run: StudyRun) -> None:
        """See `Launcher`."""
        url = None if self.mirror is None else self.mirror.below(run.path).url
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(run, url, self.trackers, self.threads, sender))
        process.start()
        sender.close()
        self._running[receiver] = run, process

    def results(self, seconds: float) -> list[RunResult]:
        """See `Launcher`. A process that was killed has failed."""
        results = []
        for pipe in wait(list(self._running), timeout=seconds):
            assert isinstance(pipe, Connection)
            run, process = self._running.pop(pipe)
            try:
                error, permanent = pipe.recv()
            except EOFError:
                process.join()
                error, permanent = _exit_message(process.exitcode), False
            pipe.close()
            process.join()
            results.append(RunResult(run, error, permanent))
        return results

    def updates_of(self, run: StudyRun) -> int:
        """See `Launcher`."""
        return updates_done(RunDirectory(run.path))

    def close(self) -> None:
        """See `Launcher`. Every run writes a checkpoint first."""
        for _, process in self._running.values():
            process.terminate()
        for _, process in self._running.values():
            process.join()
        self._running.clear()


def _exit_message(status: int | None) -> str:
    """What is known of a process that ended without sending a result."""
    if status is not None and status < 0:
        return f"worker process was killed (exit status {status}) without an error message; possibly out of memory."
    return f"worker process ended (exit status {status}) without an error message."


def _work(run: StudyRun, url: str | None, trackers: tuple[str, ...], threads: int, pipe: Connection) -> None:
    """The body of a process. It ends with its parent, even if the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which stops the processes
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def exit_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=exit_with_parent, daemon=True).start()
    try:
        pipe.send(execute(run, None if url is None else Mirror(url, run.path), trackers))
    except Stopped as stopped:  # its checkpoint is written
        sys.exit(128 + stopped.number)
