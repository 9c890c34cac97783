"""The work of the long form in pieces, each in a process of its own, and what came of each."""

import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import torch

from fuzz.inputs import run
from fuzz.readers import READERS
from tests.reliability.figures import ROOT, Piece
from tests.reliability.jobs import LONG_JOBS
from tests.reliability.sabotage import FAULTS, Ended, attempt, killed_until_done

IN_A_ROW = 5  # kills of a job before it may end
TESTS = (
    "tests/tasks/test_worker.py",
    "tests/training/test_signals.py",
    "tests/training/test_divergence.py",
    "tests/training/test_checkpoint.py",
    "tests/training/test_resume.py",
    "tests/data/test_untrusted.py",
    "tests/reliability/test_full_disk.py",
)


class Found(NamedTuple):
    """Counts, and what to say of each thing that was lost."""

    counts: Counter[str]
    notes: list[str]


def work(piece: Piece) -> Found:
    """Do a piece."""
    os.environ["HCSAC_SIMULATE"] = "in-process"
    torch.set_num_threads(1)
    return {"tests": _tests, "kills": _kills, "faults": _faults, "inputs": _inputs}[piece.kind](piece)


@cache
def _whole(name: str) -> tuple[Ended, dict[str, str]]:
    """A job when nothing happens: how it ends, and its result."""
    with tempfile.TemporaryDirectory() as root:
        folder = _folder(name, root, "whole")
        ended = attempt(LONG_JOBS[name], folder)
        assert ended.status == 0, ended.text
        return ended, LONG_JOBS[name].result(folder)


def _folder(name: str, root: str, trial: str) -> Path:
    folder = Path(root, trial)
    folder.mkdir()
    LONG_JOBS[name].prepare(folder)
    return folder


def _kills(piece: Piece) -> Found:
    job, counts, notes = LONG_JOBS[piece.name], Counter[str](), list[str]()
    draw, trials = random.Random(f"{piece.name} {piece.first}"), count()
    ended, result = _whole(piece.name)
    with tempfile.TemporaryDirectory() as root:
        while counts["done"] < piece.count:
            folder = _folder(piece.name, root, str(next(trials)))
            counts["done"] += killed_until_done(job, folder, ended.seconds, IN_A_ROW, draw)
            if job.result(folder) != result:
                counts["other results"] += 1
                notes.append(f"{piece.name}, killed: another result")
    return Found(counts, notes)


def _faults(piece: Piece) -> Found:
    job, counts, notes = LONG_JOBS[piece.name], Counter[str](), list[str]()
    ended, result = _whole(piece.name)
    with tempfile.TemporaryDirectory() as root:
        # In a fixed random order, so that those tried so far are spread over the job.
        order = random.Random(piece.name).sample(range(1, ended.operations + 1), ended.operations)
        for at in order[piece.first : piece.first + piece.count]:
            counts["done"] += 1
            for fault in FAULTS:
                folder = _folder(piece.name, root, f"{at}-{fault}")
                first, again = attempt(job, folder, at=at, fault=fault), attempt(job, folder)
                counts["faults"] += 1
                if first.status == 70 or again.status != 0:
                    counts["tracebacks"] += 1
                    notes.append(f"{piece.name}, {fault} at {at}: {first.text[-300:]} {again.text[-300:]}")
                elif job.result(folder) != result:
                    counts["other results"] += 1
                    notes.append(f"{piece.name}, {fault} at {at}: another result")
    counts["operations"] = ended.operations
    return Found(counts, notes)


def _inputs(piece: Piece) -> Found:
    """Damaged files; those that fail are kept in runs/fuzz."""
    kept = ROOT / "runs" / "fuzz" / piece.name
    counts = run(READERS[piece.name], piece.count, piece.first, kept)
    lost = [outcome for outcome in counts if outcome not in ("refused", "read")]
    notes = [f"{piece.name}: {', '.join(lost)}; the files are in {kept}"] if lost else []
    return Found(counts + Counter(done=counts.total()), notes)


def _tests(piece: Piece) -> Found:
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command = [sys.executable, "-m", "pytest", "-n0", "-q", f"--junitxml={report.name}", piece.name]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        suite = next(ElementTree.parse(report.name).iter("testsuite"))
    failed, skipped = int(suite.get("failures", 0)) + int(suite.get("errors", 0)), int(suite.get("skipped", 0))
    passed = int(suite.get("tests", 0)) - failed - skipped
    return Found(Counter(passed=passed, failed=failed), [ended.stdout[-2000:]] if failed else [])
