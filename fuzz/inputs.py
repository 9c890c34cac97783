"""Many damaged files for one reader, in a process of its own with a limit of memory and of time for each."""

import os
import random
import resource
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from fuzz.damage import damaged
from fuzz.readers import Reader, content_of
from hcsac.errors import UserError

MEMORY = 1 << 30  # bytes above those before the first file
SECONDS = 10
OUTCOMES = ("refused", "read", "other value", "traceback", "hang", "crash")


class Hang(BaseException):
    """A file took too long."""


class Inputs:
    """Sound files of a reader in a folder, of which one at a time is damaged, read, and put right again."""

    def __init__(self, reader: Reader, folder: Path):
        self.reader, self.folder = reader, folder
        reader.make(folder)
        self.sound = {path: path.read_bytes() for pattern in reader.files for path in sorted(folder.glob(pattern))}
        assert self.sound, reader.files
        self.value = content_of(reader.read(folder))

    def read(self, path: Path, content: bytes) -> tuple[str, str]:
        """What comes of reading the folder with this content of the file: an outcome, and its text."""
        path.write_bytes(content)
        try:
            found = content_of(self.reader.read(self.folder))
        except UserError as error:
            return "refused", str(error)
        except Hang:
            return "hang", f"more than {SECONDS} s"
        except Exception:  # MemoryError among them
            return "traceback", traceback.format_exc()
        finally:
            self.mend()
        return ("other value" if self.reader.summed and found != self.value else "read"), ""

    def mend(self) -> None:
        """Write the sound files again where they are not as they were."""
        for path, content in self.sound.items():
            if not path.is_file() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


@contextmanager
def sound_files(reader: Reader) -> Iterator[tuple[Inputs, Path]]:
    """The sound files of a reader in memory, and a folder beside them for what is written about them."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as root:
        folder = Path(root, "files")
        folder.mkdir()
        yield Inputs(reader, folder), Path(root)


def in_child(root: Path, kept: Path | None, work: Callable[["Log"], None]) -> tuple[list[str], bool]:
    """Do the work in a process of its own with limited memory: the outcomes that it logs, and whether it crashed."""
    log = root / "log"
    log.write_text("")
    pid = os.fork()
    if pid == 0:
        try:
            limit_memory()
            work(Log(log, kept))
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return [OUTCOMES[int(n)] for n in log.read_text().split()], status != 0


def run(reader: Reader, count: int, seed: int, kept: Path | None = None, seconds: float | None = None) -> Counter[str]:
    """Outcomes of `count` damaged files; a process that dies counts as a crash, and the next one goes on.

    Args:
        kept: a folder for the files that fail, with what came of them.
        seconds: stop after so long.
    """
    outcomes, last = Counter[str](), None if seconds is None else time.monotonic() + seconds
    with sound_files(reader) as (inputs, root):

        def work(log: Log) -> None:
            for number in range(outcomes.total(), count):
                if last is not None and time.monotonic() > last:
                    return
                path, content = _input(inputs, number, seed)
                log.write(path, content, *limited(inputs, path, content))

        while outcomes.total() < count and (last is None or time.monotonic() < last):
            found, crashed = in_child(root, kept, work)
            inputs.mend()
            outcomes.update(found)
            if crashed:
                path, content = _input(inputs, outcomes.total(), seed)
                keep(kept, "crash", path.name, content, "the process died")
                outcomes["crash"] += 1
    return outcomes


def _input(inputs: Inputs, number: int, seed: int) -> tuple[Path, bytes]:
    draw = random.Random(f"{seed} {number}")
    path = draw.choice(list(inputs.sound))
    return path, damaged(inputs.sound[path], draw)


def limit_memory() -> None:
    """Let this process take 1 GiB more than it has."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    signal.signal(signal.SIGALRM, _hang)


def limited(inputs: Inputs, path: Path, content: bytes) -> tuple[str, str]:
    """As `Inputs.read`, in 10 seconds at most and without what is printed."""
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        signal.alarm(SECONDS)
        try:
            return inputs.read(path, content)
        finally:
            signal.alarm(0)


class Log:
    """The outcomes, one a line, and a folder of the files that fail, each kind of failure once."""

    def __init__(self, path: Path, kept: Path | None):
        self.file, self.kept, self.known = open(path, "a", buffering=1), kept, set[str]()  # noqa: SIM115

    def write(self, path: Path, content: bytes, outcome: str, text: str) -> None:
        """Add an outcome."""
        if outcome not in ("refused", "read"):
            where = [line for line in text.splitlines() if "hcsac" in line][-1:]
            kind = " ".join([outcome, *text.strip().splitlines()[-1:], *where])
            if kind not in self.known:
                keep(self.kept, outcome, path.name, content, text)
            self.known.add(kind)
        self.file.write(f"{OUTCOMES.index(outcome)}\n")


def keep(kept: Path | None, outcome: str, name: str, content: bytes, text: str) -> None:
    """Write a file that fails, and what came of it, into a folder."""
    if kept is None:
        return
    kept.mkdir(parents=True, exist_ok=True)
    number = len(list(kept.glob("*.txt")))
    (kept / f"{number}-{name}").write_bytes(content)
    (kept / f"{number}.txt").write_text(f"{outcome}\n{text}\n")


def _hang(*_: Any) -> None:
    raise Hang
