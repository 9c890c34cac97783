"""The same by coverage: files that reach new lines of hcsac are damaged further (libFuzzer, by atheris)."""

import os
import random
import time
from collections import Counter
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["hcsac"]):
    from fuzz.inputs import Inputs, Log, in_child, keep, limited, sound_files
    from fuzz.readers import Reader
from fuzz.damage import damaged


def run(reader: Reader, count: int, seed: int, kept: Path, seconds: float | None) -> Counter[str]:
    """As `fuzz.inputs.run`; the files of a reader come one after the other, and a crash ends that of a file."""
    outcomes = Counter[str]()
    with sound_files(reader) as (inputs, root):
        files = len(inputs.sound)
        for number, (path, content) in enumerate(inputs.sound.items()):
            corpus = root / f"corpus-{number}"
            corpus.mkdir()
            (corpus / "sound").write_bytes(content)
            size = 4 * len(content) + 4096
            options = ["fuzz", str(corpus), f"-seed={seed + 1}", f"-max_len={size}", "-rss_limit_mb=0", "-verbosity=0"]
            last = None if seconds is None else time.monotonic() + seconds / files

            def work(log: Log, path: Path = path, options: list[str] = options, last: float | None = last) -> None:
                _fuzz(inputs, path, log, options, count // files, last)

            found, crashed = in_child(root, kept, work)
            outcomes.update(found)
            if crashed:
                outcomes["crash"] += 1
                keep(kept, "crash", path.name, path.read_bytes(), "the process died")
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

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libFuzzer writes there
    atheris.Setup(options, one, custom_mutator=mutator)
    atheris.Fuzz()
