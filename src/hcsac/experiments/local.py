"""Cells on this machine: one process a cell, as many at once as there are cores, or one on a GPU."""

import multiprocessing
import os
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from hcsac.experiments.scheduler import Ended, updates_done
from hcsac.experiments.storage import Mirror
from hcsac.experiments.study_run import Cell
from hcsac.experiments.worker import outcome
from hcsac.training import RunDirectory


class LocalLauncher:
    """Runs cells in processes of their own, so that one that dies takes no other with it.

    Args:
        jobs: processes at once (default: one per core, each with one thread: small networks gain more from running
            side by side than from a second thread; on a GPU one process).
        mirror: of the folder that all cells are in, where the study is kept in a storage.
        trackers: where the cells' numbers go besides TensorBoard.
    """

    def __init__(self, jobs: int | None = None, mirror: Mirror | None = None, trackers: Sequence[str] = ()):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.slots = jobs or (1 if torch.cuda.is_available() else cores)
        self.threads = max(1, cores // self.slots)
        self.mirror, self.trackers = mirror, tuple(trackers)
        self._running: dict[Connection, tuple[Cell, BaseProcess]] = {}

    def start(self, cell: Cell) -> None:
        """See `Launcher`."""
        url = None if self.mirror is None else self.mirror.below(cell.path).url
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(cell, url, self.trackers, self.threads, theirs))
        process.start()
        theirs.close()
        self._running[ours] = cell, process

    def ended(self, seconds: float) -> list[Ended]:
        """See `Launcher`. A process that dies without a word (killed, out of memory) has failed."""
        ends = []
        for pipe in wait(list(self._running), timeout=seconds):
            assert isinstance(pipe, Connection)
            cell, process = self._running.pop(pipe)
            try:
                error, hopeless = pipe.recv()
            except EOFError:
                process.join()
                error, hopeless = f"its process ended with exit status {process.exitcode}, without a word", False
            pipe.close()
            process.join()
            ends.append(Ended(cell, error, hopeless))
        return ends

    def updates_of(self, cell: Cell) -> int:
        """See `Launcher`."""
        return updates_done(RunDirectory(cell.path))

    def close(self) -> None:
        """See `Launcher`."""
        for _, process in self._running.values():
            process.terminate()
        for _, process in self._running.values():
            process.join()
        self._running.clear()


def _work(cell: Cell, url: str | None, trackers: tuple[str, ...], threads: int, pipe: Connection) -> None:
    """A process: ends with the one that started it, however that one ends."""
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    pipe.send(outcome(cell, None if url is None else Mirror(url, cell.path), trackers))
