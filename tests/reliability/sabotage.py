"""A job in a process of its own, which is killed after some time, or one of whose file operations fails."""

import errno
import io
import os
import random
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hcsac.errors import UserError
from tests.reliability.jobs import Job

FAULTS = {"kill": None, "ENOSPC": errno.ENOSPC, "EIO": errno.EIO}
_DONE, _TOLD, _TRACEBACK = 0, 2, 70  # exit statuses of a process


class Ended(NamedTuple):
    """How a process ended."""

    status: int  # 0 done, 2 a sentence, 70 another exception, negative: the signal that killed it
    seconds: float
    operations: int  # file operations that it made
    text: str


class Operations:
    """Counts the operations of this process that change files, and lets the one of number `at` fail."""

    def __init__(self, folder: Path, at: int | None = None, fault: str = "kill"):
        self.folder, self.at, self.fault, self.count = str(folder), at, fault, 0

    def install(self) -> None:
        """Replace what Python changes files by; the process is not used for anything else."""
        for name in ("replace", "rename", "link", "fsync", "mkdir", "unlink", "rmdir"):
            setattr(os, name, self._counted(getattr(os, name)))
        opened = io.open

        def open_(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            if any(letter in mode for letter in "wax+") and str(file).startswith(self.folder):
                self._count()
            return opened(file, mode, *arguments, **named)

        import builtins

        builtins.open = io.open = open_  # type: ignore[assignment]

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self._count()
            return function(*arguments, **named)

        return counted

    def _count(self) -> None:
        self.count += 1
        if self.count == self.at:
            number = FAULTS[self.fault]
            if number is None:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(number, os.strerror(number or 0))


def attempt(
    job: Job, folder: Path, kill_after: float | None = None, at: int | None = None, fault: str = "kill"
) -> Ended:
    """Run a job in a fork of this process: to its end, until it is killed, or with a fault at operation `at`."""
    with tempfile.TemporaryFile("w+") as said:
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            status, operations = _TRACEBACK, Operations(folder, at, fault)
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            try:
                operations.install()
                job.run(folder)
                status = _DONE
            except UserError as error:
                status = _TOLD
                said.write(str(error))
            except BaseException:
                said.write(traceback.format_exc())
            finally:
                said.write(f"\n{operations.count}")
                said.flush()
                os._exit(status)
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)
        _, code = os.waitpid(pid, 0)
        seconds = time.monotonic() - began
        said.seek(0)
        text, _, count = said.read().rpartition("\n")
        return Ended(os.waitstatus_to_exitcode(code), seconds, int(count or 0), text)


def killed_until_done(job: Job, folder: Path, seconds: float, kills: int, draw: random.Random) -> int:
    """Kill a job at random times within `seconds`, `kills` times or until it is done, then let it end; the kills."""
    for count in range(kills):
        ended = attempt(job, folder, kill_after=draw.uniform(0, seconds))
        if ended.status == _DONE:
            return count
        assert ended.status == -signal.SIGKILL, ended.text
    ended = attempt(job, folder)
    assert ended.status == _DONE, ended.text
    return kills
