"""Many damaged files for one reader, in a process of its own with a limit of memory and of time for each."""

import os
import random
import resource
import signal
import tempfile
import time
import traceback
from collections import Counter
from contextlib import redirect_stderr
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


def run(reader: Reader, count: int, seed: int, kept: Path | None = None, seconds: float | None = None) -> Counter[str]:
    """Outcomes of `count` damaged files; a process that dies counts as a crash, and the next one goes on.

    Args:
        kept: a folder for the files that fail, with what came of them.
        seconds: stop after so long.
    """
    outcomes, done, began = Counter[str](), 0, time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as root:
        folder = Path(root, "files")
        folder.mkdir()
        inputs = Inputs(reader, folder)
        progress = Path(root, "progress")
        while done < count and (seconds is None or time.monotonic() - began < seconds):
            progress.write_text("")
            pid = os.fork()
            if pid == 0:
                try:
                    left = None if seconds is None else seconds - (time.monotonic() - began)
                    _child(inputs, range(done, count), seed, progress, kept, left)
                    os._exit(0)
                finally:
                    traceback.print_exc()
                    os._exit(1)
            _, status = os.waitpid(pid, 0)
            found = progress.read_text().split()
            outcomes.update(OUTCOMES[int(n)] for n in found)
            done += len(found)
            if status != 0:
                outcomes["crash"] += 1
                path, content = _input(inputs, done, seed)
                keep(kept, "crash", path.name, content, f"status {status}")
                done += 1
            inputs.mend()
    return outcomes


def _input(inputs: Inputs, number: int, seed: int) -> tuple[Path, bytes]:
    draw = random.Random(f"{seed} {number}")
    path = draw.choice(list(inputs.sound))
    return path, damaged(inputs.sound[path], draw)


def _child(inputs: Inputs, numbers: range, seed: int, progress: Path, kept: Path | None, left: float | None) -> None:
    """Read the files of these numbers, and write the outcome of each into `progress`."""
    began, log = time.monotonic(), Log(progress, kept)
    limit_memory()
    for number in numbers:
        if left is not None and time.monotonic() - began > left:
            return
        path, content = _input(inputs, number, seed)
        log.write(path, content, *limited(inputs, path, content))


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
