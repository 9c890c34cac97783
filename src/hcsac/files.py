"""Every file of a run, a policy bundle and a study by its name, and how files are written and cached."""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from hcsac.errors import UserError, file_error

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
# What their content must look like to be read as such (`fits`); there may be more in it.
JSON_FILES: dict[str, dict[str, Any]] = {
    RUN: {"agent": str, "seeds": list[int], "tasks": list[str], "settings": dict[str, Any]},
    RESULT: {"updates": int},
    TRACKERS: {},
}
OTHERS = "*"  # in a form: all that it does not name
JSONL_FILES: dict[str, dict[str, Any]] = {
    METRICS: {"update": int, "seed": int, OTHERS: float | None},  # one that is not finite is null
    EVALUATIONS: {"update": int, "seed": int, "task": str, "returns": list[float]},
    SHARING: {"update": int, "seed": int, "from": str, "to": str},
    FAILURES: {"update": int, "error": str},
}

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
    except Exception as error:
        cause = system_error(error)
        if cause is None:
            raise
        raise file_error("write to", cause.filename or path, cause) from error


def system_error(error: Exception) -> OSError | None:
    """The error of the system that an exception is, or that HDF5 and safetensors have in their text; else None."""
    if isinstance(error, OSError):
        return error
    number = re.search(r"(?:errno = |os error )(\d+)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else None


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


def is_vacant(path: Path) -> bool:
    """Whether it is a folder with nothing in it but what a killed process leaves."""
    return path.is_dir() and all(map(is_leftover, path.iterdir()))


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


def read_toml(path: str | Path) -> dict[str, Any]:
    """The content of a TOML file: of settings, collections or a study.

    Raises:
        UserError: the file is missing or is not TOML.
    """
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML ({error}); fix the line it names.") from error


def parse_object(text: str | bytes, form: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The content of a JSON object; a ValueError where the text is none, or `require_form` refuses it."""
    content = parse_json(text)
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    require_form(content, form or {})
    return content


def require_form(content: Mapping[str, Any], form: Mapping[str, Any]) -> None:
    """Check that an object of a JSON text has what `form` names: name -> type, as `fits` understands it.

    Args:
        form: under `OTHERS` the type of all other entries, where they must have one.

    Raises:
        ValueError: something is missing or of another type.
    """
    missing = form.keys() - content.keys() - {OTHERS}
    if missing:
        raise ValueError(f"it has no {min(missing)!r}")
    for name in content if OTHERS in form else form:
        kind = form.get(name, form.get(OTHERS))
        if not fits(content[name], kind):
            raise ValueError(f"its {name!r} is no {kind.__name__ if isinstance(kind, type) else kind}")


def fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a type: bool, int, float, str, None, Any, list[...], dict[str, ...] or a union.

    Also that numbers can be computed with (an int of 64 bits is a float, too) and text can be written.
    """
    parts = get_args(kind)
    if kind is Any:
        return True
    if isinstance(kind, UnionType):
        return any(fits(value, part) for part in parts)
    if get_origin(kind) is list:
        return isinstance(value, list) and all(fits(item, parts[0]) for item in value)
    if get_origin(kind) is dict:
        return isinstance(value, dict) and all(fits(k, str) and fits(v, parts[1]) for k, v in value.items())
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, int):
        return kind in (int, float) and -(2**63) <= value < 2**63
    if isinstance(value, str):
        return kind is str and value.encode(errors="replace").decode() == value
    return isinstance(value, type(None) if kind is None else kind)
