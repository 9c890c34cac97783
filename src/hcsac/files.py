"""Every file of a run, a policy bundle and a study by its name, and how files are written and cached."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hcsac.errors import file_error

# The directory of a run.
RUN = "run.json"  # what is trained: algorithm, data, settings, seeds
METRICS, EVALUATIONS, SHARING = "metrics.jsonl", "evaluations.jsonl", "sharing.jsonl"  # one record a line
FAILURES = "failures.jsonl"  # evaluations that failed, one a line
SHARED = "sharing"  # a folder: which transitions were shared, one file for each update at which they were
TRANSITIONS = "rows.safetensors"  # in it: episode, task and reward of every transition
CHECKPOINT = "checkpoint.safetensors"
PREVIOUS = "checkpoint.previous.safetensors"  # the one before, should the last one turn out corrupt
DIVERGED = "diverged.safetensors"  # the minibatch after which values or weights were no numbers
LOCK = ".lock"  # held by the process that writes
RESULT = "result.json"  # exists once training is finished
TRACKERS = "trackers.json"  # id or name of the run in each tracker
TENSORBOARD = "tensorboard"
POLICY = "policy"  # where `hcsac export` writes the bundle by default
DISTILLED = "distilled"  # where `hcsac distil` writes its bundle by default
COMPARED = "compared.json"  # returns that `hcsac compare` has evaluated; also in a policy bundle
VIDEO = "video.mp4"  # where `hcsac render` writes by default
JSON_FILES = (RUN, RESULT, TRACKERS)
JSONL_FILES = (METRICS, EVALUATIONS, SHARING, FAILURES)

_UNFINISHED = ".tmp"

# A policy bundle.
METADATA, TENSORS, ONNX, MODEL_CARD = "policy.json", "policy.safetensors", "policy.onnx", "README.md"

# The output directory of a study.
STUDIES = ("study.json", "grid.json")  # its configurations and settings; the second one is of hcsac 0.1
EVENTS = "events.jsonl"  # what happened to its runs
RETURNS = "returns.parquet"
TABLE = "table.csv"
REPORT = "report.html"
REPORT_METRICS = "metrics.parquet"


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to: it replaces `path` at the end of the block, or is deleted if that fails.

    A reader finds the old file or the new one, whole, also after a loss of power.

    Raises:
        UserError: the system does not let it be written.
    """
    temporary = path.with_name(f".{path.name}{_UNFINISHED}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as any new file has; some libraries make theirs private
        yield temporary
        temporary.chmod(mode)
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        raise file_error("write", path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn an error of the system in the block, which writes into the folder `path`, into one sentence.

    Raises:
        UserError: that sentence; it names the file if the system does.
    """
    try:
        yield
    except OSError as error:
        raise file_error("write to", error.filename or path, error) from error


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_leftover(path: Path) -> bool:
    """Whether it is only what a killed process leaves: a file that was being written, or the lock of a writer."""
    return path.name == LOCK or (path.name.startswith(".") and path.name.endswith(_UNFINISHED))


def cache_folder(name: str) -> Path:
    """$XDG_CACHE_HOME/hcsac/NAME, or ~/.cache/hcsac/NAME; not created."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hcsac" / name


def what_is(path: Path) -> str:
    """What a path that is no run, bundle or study as expected is instead, for an error message."""
    if not path.exists():
        return "it does not exist"
    if not path.is_dir():
        return "it is a file"
    kinds = {RUN: "a run", METADATA: "a policy bundle"} | dict.fromkeys(STUDIES, "a study of several runs")
    for name, kind in kinds.items():
        if (path / name).exists():
            return f"it is {kind}"
    return "it contains neither a run nor a policy nor a study"


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text; a ValueError where it is none, or is nested so deeply that no record of ours is."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_object(text: str | bytes) -> dict[str, Any]:
    """The content of a JSON object; a ValueError where the text is none."""
    content = parse_json(text)
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    return content
