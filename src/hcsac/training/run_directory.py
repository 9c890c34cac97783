"""The directory of a run: reading and writing its JSON and JSONL files, and never over anything else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from hcsac import files
from hcsac.errors import UserError, file_error, needs, unknown
from hcsac.settings import deciding

if TYPE_CHECKING:
    import pyarrow

PATIENCE = 5.0  # seconds to wait for another process that writes: it may be about to end
FORMAT = 1  # of the directory; raised when a reader of the last format would misread a new one

# Keys of run.json that, beside the settings, identify a run, and their names in messages.
IDENTITY = {
    "agent": "algorithm", "seeds": "seeds", "tasks": "tasks", "alignment": "alignment",
    "fingerprint": "fingerprint of the data",
}  # fmt: skip


class RunDirectory:
    """A run on disk; `hcsac.train` returns one, and `RunDirectory(path)` opens one.

    It contains `run.json` (what is trained), `metrics.jsonl`, `evaluations.jsonl`, `sharing.jsonl` and `sharing/`,
    `tensorboard/`, `trackers.json` where there are more trackers, `checkpoint.safetensors` and, once finished,
    `result.json`.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def __repr__(self) -> str:
        head = f"RunDirectory({str(self.path)!r})"
        try:
            identity = self.identity()
            seeds = ", ".join(map(str, identity["seeds"]))
            lines = [f"{identity['agent']} on {', '.join(identity['tasks'])}", f"seeds {seeds}, {self._progress()}"]
            last = self._last_means()
        except (UserError, KeyError, TypeError) as error:
            return f"{head}: {error}"
        if last:
            means = ", ".join(f"{task} {mean:.1f}" for task, mean in last.items())
            lines.append(f"mean returns of the last evaluation: {means}")
        return "\n  ".join([head, *lines])

    @property
    def checkpoint(self) -> Path:
        """The file of the last checkpoint."""
        return self.path / files.CHECKPOINT

    @property
    def previous_checkpoint(self) -> Path:
        """The file of the checkpoint before it."""
        return self.path / files.PREVIOUS

    @property
    def started(self) -> bool:
        """Whether it is the directory of a run."""
        return (self.path / files.RUN).exists()

    @property
    def finished(self) -> bool:
        """Whether training reached its last update."""
        return (self.path / files.RESULT).exists()

    @contextmanager
    def writing(self, identity: dict[str, Any], resume: bool) -> Iterator[None]:
        """A block that writes the run that `identity` describes: no other process does meanwhile.

        What a process left that ended before its first checkpoint and evaluation does not count as a run.

        Raises:
            UserError: the directory contains another run, or this one and `resume` is not set, or other files, or
                another process writes to it.
        """
        self._require_free(identity, resume)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / files.LOCK, timeout=PATIENCE)
            lock.acquire()
        except Timeout:
            raise UserError(
                f"another process is writing to {self.path}; wait until it ends, or choose another directory."
            ) from None
        except OSError as error:
            raise file_error("write to", self.path, error) from error
        try:
            self._require_free(identity, resume)  # it may have become a run before it was locked
            if not self._begun:
                self.write_json(files.RUN, {"format": FORMAT, **identity})
            yield
        finally:
            lock.release()

    @property
    def locked(self) -> bool:
        """Whether a process is writing to it."""
        if not (self.path / files.LOCK).exists():
            return False
        lock = FileLock(self.path / files.LOCK, blocking=False)
        try:
            lock.acquire()
        except (Timeout, OSError):
            return True
        lock.release()
        return False

    @property
    def _begun(self) -> bool:
        """Whether there is something in it that a new run would lose."""
        kept = (files.CHECKPOINT, files.PREVIOUS, files.RESULT, files.EVALUATIONS)
        return self.started and any((self.path / name).exists() for name in kept)

    def _require_free(self, identity: dict[str, Any], resume: bool) -> None:
        if self._begun:
            if not resume:
                raise UserError(
                    f"{self.path} already contains a run; choose another directory, or --resume to continue it."
                )
            self._require_same(identity)
        elif self.path.exists() and not self.started and not files.is_vacant(self.path):
            raise UserError(f"{self.path} exists and is not a run; choose another directory.")

    def identity(self) -> dict[str, Any]:
        """The content of `run.json`.

        Raises:
            UserError: this is not the directory of a run, or one of a newer hcsac.
        """
        content = self.read_json(files.RUN)
        version = content.get("format", 1)  # the first runs have none
        if not isinstance(version, int) or version > FORMAT:
            raise UserError(
                f"{self.path} was made by a newer hcsac (run format {version}, this one reads {FORMAT}); upgrade hcsac."
            )
        return content

    def digest(self) -> str:
        """Hexadecimal digest of what identifies the run: data, algorithm, seeds and settings."""
        identity = self.identity()
        content = {key: identity.get(key) for key in IDENTITY} | {"settings": deciding(identity.get("settings", {}))}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def metrics(self) -> pyarrow.Table:
        """The metrics of training as a table: `update`, `seed`, and a column for each metric, null where not logged.

        Raises:
            UserError: this is not the directory of a run.
        """
        with needs("tables"):
            import pyarrow

        self.identity()
        records = list(self.lines(files.METRICS))
        names = dict.fromkeys(["update", "seed"]) | dict.fromkeys(name for record in records for name in record)
        types = {"update": pyarrow.int64(), "seed": pyarrow.int64()}
        schema = pyarrow.schema([(name, types.get(name, pyarrow.float64())) for name in names])
        return pyarrow.Table.from_pylist(records, schema)

    def evaluations(self) -> pyarrow.Table:
        """The returns of all evaluations as a table: `update`, `seed`, `task`, `episode` (from 0), `return`.

        Raises:
            UserError: this is not the directory of a run.
        """
        with needs("tables"):
            import pyarrow

        self.identity()
        rows = [
            {**{key: record[key] for key in ("update", "seed", "task")}, "episode": episode, "return": value}
            for record in self.lines(files.EVALUATIONS)
            for episode, value in enumerate(record["returns"])
        ]
        integer = pyarrow.int64()
        columns = {"update": integer, "seed": integer, "task": pyarrow.string(), "episode": integer}
        return pyarrow.Table.from_pylist(rows, pyarrow.schema([*columns.items(), ("return", pyarrow.float64())]))

    def read_json(self, name: str) -> dict[str, Any]:
        """The content of `run.json`, `result.json` or `trackers.json`.

        Raises:
            UserError: another name, or the file is missing or corrupt.
        """
        path = self.path / _known(name, files.JSON_FILES)
        try:
            return files.parse_object(path.read_text(), files.JSON_FILES[name])
        except OSError as error:
            raise self._missing(name, error) from error
        except ValueError as error:
            raise UserError(f"{path} is corrupt ({error}); restore it, or train again in another directory.") from error

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write one of these files atomically."""
        with files.write_atomically(self.path / _known(name, files.JSON_FILES)) as path:
            path.write_text(json.dumps(content, indent=2) + "\n")

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The records of `metrics.jsonl`, `evaluations.jsonl` or `sharing.jsonl`, oldest first; none if there is none.

        Corrupt lines are skipped (`corruption` counts them), and so is a last line that is still being written, or was
        when the run was killed.

        Raises:
            UserError: another name.
        """
        path = self.path / _known(name, files.JSONL_FILES)
        return (record for line in _whole_lines(path) if (record := _record(line, name)) is not None)

    def corruption(self) -> list[str]:
        """A sentence for every JSONL file of the run of which readers skip corrupt lines."""
        sentences = []
        for path in sorted(self.path.glob("*.jsonl")):
            count = sum(_record(line, path.name) is None for line in _whole_lines(path))
            if count:
                lines = "line" if count == 1 else "lines"
                sentences.append(f"{path.name}: {count} corrupt {lines} skipped")
        return sentences

    def tail(self, name: str) -> Iterator[dict[str, Any]]:
        """The last whole record of a JSONL file of the run, if there is one; reads only the end of the file."""
        path = self.path / _known(name, files.JSONL_FILES)
        if path.exists():
            with open(path, "rb") as file:
                file.seek(max(0, path.stat().st_size - 65_536))
                lines = file.read().split(b"\n")[:-1]
            records = (record for line in reversed(lines) if (record := _record(line, name)) is not None)
            yield from islice(records, 1)

    def append(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records to a JSONL file of the run.

        Raises:
            UserError: the system does not let it be written.
        """
        path = self.path / _known(name, files.JSONL_FILES)
        try:
            with open(path, "a") as file:
                file.writelines(json.dumps(record, allow_nan=False) + "\n" for record in records)
        except OSError as error:
            raise file_error("write", path, error) from error

    def sync(self) -> None:
        """Wait until the records are on the disk."""
        for path in self.path.glob("*.jsonl"):
            files.sync(path)

    def keep_checkpoint(self) -> None:
        """Keep the last checkpoint as the previous one; it is at its own place as well until a new one is complete."""
        with files.write_atomically(self.previous_checkpoint) as temporary:
            temporary.unlink()
            try:
                os.link(self.checkpoint, temporary)
            except OSError:  # a file system without links
                shutil.copyfile(self.checkpoint, temporary)

    def evaluated(self, update: int) -> bool:
        """Whether `evaluations.jsonl` has the evaluation after `update` updates, of all seeds and tasks."""
        identity = self.identity()
        found = {(x["seed"], x["task"]) for x in self.lines(files.EVALUATIONS) if x["update"] == update}
        return len(found) == len(identity["seeds"]) * len(identity["tasks"])

    def forget_after(self, update: int) -> None:
        """Delete the records later than the checkpoint from which a run continues, and corrupt lines among them.

        Also those of an evaluation after that very update, if it failed or is not complete: it is made again.
        """
        partial = (files.EVALUATIONS, files.FAILURES) if self.started and not self.evaluated(update) else ()
        for path in self.path.glob("*.jsonl"):
            last = update - 1 if path.name in partial else update
            lines = path.read_bytes().splitlines(keepends=True)
            records = (_record(line, path.name) for line in lines)
            updates = [None if record is None else record["update"] for record in records]
            kept = [n for n, at in enumerate(updates) if at is not None and at <= last]
            before = zip(lines[: kept[-1] + 1], updates, strict=False) if kept else ()
            whole = [line.removesuffix(b"\n") + b"\n" for line, at in before if at is None or at <= last]
            with files.write_atomically(path) as temporary:
                temporary.write_bytes(b"".join(whole))
        for path in (self.path / files.SHARED).glob("*.safetensors"):
            if path.stem.isdigit() and int(path.stem) > update:
                path.unlink()

    def _missing(self, name: str, error: OSError) -> UserError:
        """The error for a JSON file that cannot be read."""
        path = self.path / name
        if path.exists():
            return UserError(f"cannot read {path} ({error.strerror}); check its permissions.")
        if name != files.RUN and self.started:
            return UserError(f"{self.path} has no {name} yet; train it to its end.")
        return UserError(
            f"no run found at {self.path}: {files.what_is(self.path)}; pass the directory of a run, as `hcsac train` "
            "writes it."
        )

    def _require_same(self, identity: dict[str, Any]) -> None:
        stored = self.identity()
        for key, name in IDENTITY.items():
            if stored.get(key) != identity[key]:
                raise UserError(
                    f"{self.path} contains another run ({name}: {stored.get(key)!r}, not {identity[key]!r}); "
                    "choose another directory."
                )
        # A setting that is younger than the run had its default then.
        from hcsac.algorithms import recorded_settings  # loads torch, which reading a run does not need

        settings = recorded_settings(identity["agent"], stored["settings"]).as_dict()
        for key, value in deciding(identity["settings"]).items():
            other = settings[key]
            if other != value:
                raise UserError(
                    f"{self.path} contains another run (setting {key}: {other!r}, not {value!r}); "
                    "choose another directory, or give the same settings."
                )

    def _progress(self) -> str:
        if self.finished:
            return f"finished after {self.read_json(files.RESULT)['updates']} updates"
        updates = [record["update"] for name in (files.METRICS, files.EVALUATIONS) for record in self.tail(name)]
        return f"not finished, {max(updates, default=0)} updates logged"

    def _last_means(self) -> dict[str, float]:
        """Mean return of each task over the seeds and episodes of the last evaluation."""
        returns: dict[tuple[int, str], list[float]] = {}
        for record in self.lines(files.EVALUATIONS):
            returns.setdefault((record["update"], record["task"]), []).extend(record["returns"])
        last = max((update for update, _ in returns), default=None)
        return {task: sum(values) / len(values) for (update, task), values in returns.items() if update == last}


def _known(name: str, names: Iterable[str]) -> str:
    if name not in names:
        raise unknown("file of a run", name, names)
    return name


def _whole_lines(path: Path) -> Iterator[bytes]:
    if path.exists():
        with open(path, "rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))


def _record(line: bytes, name: str) -> dict[str, Any] | None:
    """The record in a line of that JSONL file; None where it is corrupt, or cut off."""
    try:
        return files.parse_object(line, files.JSONL_FILES.get(name, {"update": int}))
    except ValueError:  # no JSON, or bytes that are no text
        return None
