"""Many damaged files for one reader, in a process of its own with a limit of memory and of time for each."""

import os
import random
import resource
import signal
import sys
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
_ENOUGH = 5  # inputs of each kind of failure that are kept


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
            self._mend()
        return ("other value" if self.reader.summed and found != self.value else "read"), ""

    def _mend(self) -> None:
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
                _keep(kept, "crash", *_input(inputs, done, seed)[1:], f"status {status}")
                done += 1
            inputs._mend()
    return outcomes


def _input(inputs: Inputs, number: int, seed: int) -> tuple[Path, str, bytes]:
    draw = random.Random(f"{seed} {number}")
    path = draw.choice(list(inputs.sound))
    return path, path.name, damaged(inputs.sound[path], draw)


def _child(inputs: Inputs, numbers: range, seed: int, progress: Path, kept: Path | None, left: float | None) -> None:
    """Read the files of these numbers, and write the outcome of each into `progress`."""
    sys.setrecursionlimit(1000)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    signal.signal(signal.SIGALRM, _hang)
    began, texts = time.monotonic(), Counter[str]()
    with open(progress, "a", buffering=1) as log, open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        for number in numbers:
            if left is not None and time.monotonic() - began > left:
                return
            path, name, content = _input(inputs, number, seed)
            signal.alarm(SECONDS)
            outcome, text = inputs.read(path, content)
            signal.alarm(0)
            if outcome not in ("refused", "read"):
                last = text.strip().splitlines()[-1:] + [line for line in text.splitlines() if "hcsac" in line][-1:]
                texts[" ".join(last)] += 1
                if texts[" ".join(last)] == 1:
                    _keep(kept, outcome, name, content, text)
            log.write(f"{OUTCOMES.index(outcome)}\n")


def _hang(*_: Any) -> None:
    raise Hang


def _keep(kept: Path | None, outcome: str, name: str, content: bytes, text: str) -> None:
    if kept is None:
        return
    kept.mkdir(parents=True, exist_ok=True)
    number = len(list(kept.glob("*.txt")))
    (kept / f"{number}-{name}").write_bytes(content)
    (kept / f"{number}.txt").write_text(f"{outcome}\n{text}\n")
