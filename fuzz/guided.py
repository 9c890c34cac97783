"""The same by coverage: files that reach new lines of hcsac are damaged further (libFuzzer, by atheris)."""

import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["hcsac"]):
    from fuzz.inputs import OUTCOMES, Inputs, Log, keep, limit_memory, limited
    from fuzz.readers import Reader
from fuzz.damage import damaged


def run(reader: Reader, count: int, seed: int, kept: Path, seconds: float | None) -> Counter[str]:
    """As `fuzz.inputs.run`; the files of a reader come one after the other."""
    outcomes = Counter[str]()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as root:
        folder, log = Path(root, "files"), Path(root, "log")
        folder.mkdir()
        inputs = Inputs(reader, folder)
        files = len(inputs.sound)
        for number, (path, content) in enumerate(inputs.sound.items()):
            corpus = Path(root, f"corpus-{number}")
            corpus.mkdir()
            (corpus / "sound").write_bytes(content)
            options = [f"-seed={seed + 1}", f"-max_len={4 * len(content) + 4096}", "-rss_limit_mb=0", "-verbosity=0"]
            last = None if seconds is None else time.monotonic() + seconds / files
            log.write_text("")
            pid = os.fork()
            if pid == 0:
                # libFuzzer writes there
                _fuzz(inputs, path, Log(log, kept), ["fuzz", str(corpus), *options], count // files, last)
            _, status = os.waitpid(pid, 0)
            outcomes.update(OUTCOMES[int(n)] for n in log.read_text().split())
            if status != 0:
                outcomes["crash"] += 1
                keep(kept, "crash", path.name, path.read_bytes(), f"status {status}")
            inputs.mend()
    return outcomes


def _fuzz(inputs: Inputs, path: Path, log: Log, options: list[str], count: int, last: float | None) -> None:
    """Fuzz one file of a reader `count` times, or until the moment `last`; ends the process."""
    left = count

    def one(content: bytes) -> None:
        nonlocal left
        log.write(path, content, *limited(inputs, path, content))
        left -= 1
        if left <= 0 or (last is not None and time.monotonic() > last):
            os._exit(0)  # libFuzzer's own end waits for threads that a fork does not have

    def mutator(content: bytes, size: int, seed: int) -> bytes:
        return damaged(content or b"{}", random.Random(seed))[:size]

    limit_memory()
    atheris.Setup(options, one, custom_mutator=mutator)
    atheris.Fuzz()
