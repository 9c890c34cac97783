"""The directory of a run: what is in it, and that nothing else is ever written over."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hcsac.errors import UserError

FORMAT = 1  # of the directory; raised when a reader of the last format would misread a new one

# What of run.json, beside the settings, makes a run that run.
WHAT = ("agent", "seeds", "tasks", "alignment", "fingerprint")


class RunDirectory:
    """`run.json` (what is trained), `metrics.jsonl`, `evaluations.jsonl`, `sharing.jsonl` and `sharing/` (the ledger),
    `tensorboard/`, `trackers.json` where there are more trackers, `checkpoint.safetensors` and, once finished,
    `result.json`."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @property
    def checkpoint(self) -> Path:
        """The state at the last evaluation."""
        return self.path / "checkpoint.safetensors"

    @property
    def finished(self) -> bool:
        """Whether training reached its last update."""
        return (self.path / "result.json").exists()

    def begin(self, identity: dict[str, Any], resume: bool) -> None:
        """Claim the directory for the run that `identity` describes.

        Raises:
            UserError: it holds another run, or the same one and `resume` is not set, or files that are not ours.
        """
        if (self.path / "run.json").exists():
            if not resume:
                raise UserError(
                    f"{self.path} already holds a run; choose another directory, or --resume to continue it."
                )
            self._require_same(identity)
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(f"{self.path} exists and is not a run; choose another directory.")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_json("run.json", {"format": FORMAT, **identity})
        except OSError as error:
            raise UserError(f"cannot write to {self.path} ({error.strerror}); choose another directory.") from error

    def identity(self) -> dict[str, Any]:
        """What `run.json` says.

        Raises:
            UserError: this is not the directory of a run, or a later hcsac made it.
        """
        content = self.read_json("run.json")
        made = content.get("format", 1)  # the first runs did not say it
        if not isinstance(made, int) or made > FORMAT:
            raise UserError(
                f"{self.path} was made by a newer hcsac (run format {made}, this one reads {FORMAT}); upgrade hcsac."
            )
        return content

    def digest(self) -> str:
        """Hexadecimal digest of what makes this run this run: data, agent, seeds and settings."""
        held = self.identity()
        content = {key: held.get(key) for key in (*WHAT, "settings")}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the run; UserError where it is missing or damaged."""
        try:
            content = json.loads((self.path / name).read_text())
        except OSError as error:
            raise UserError(
                f"{self.path} holds no {name}; give the directory of a run made by `hcsac train`."
            ) from error
        except ValueError as error:
            raise UserError(f"{self.path / name} is damaged ({error}); restore it or train again elsewhere.") from error
        if not isinstance(content, dict):
            raise UserError(f"{self.path / name} is damaged (no JSON object); restore it or train again elsewhere.")
        return content

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file atomically."""
        temporary = self.path / f".{name}.tmp"
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(temporary, self.path / name)

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The records of a JSONL file of the run, oldest first; none where it does not exist.

        Corrupt lines are skipped (`corruption` counts them), and so is a last line that is still being written, or was
        when the run was killed.
        """
        yield from (record for line in self._whole_lines(name) if (record := _record(line)) is not None)

    def corruption(self) -> list[str]:
        """A sentence for every JSONL file of the run of which readers skip corrupt lines."""
        sentences = []
        for path in sorted(self.path.glob("*.jsonl")):
            count = sum(_record(line) is None for line in self._whole_lines(path.name))
            if count:
                lines = "line" if count == 1 else "lines"
                sentences.append(f"{path.name}: {count} corrupt {lines} skipped")
        return sentences

    def tail(self, name: str) -> Iterator[dict[str, Any]]:
        """The last whole record of a JSONL file of the run, if there is one; reads no more than its end."""
        path = self.path / name
        if path.exists():
            with open(path, "rb") as file:
                file.seek(max(0, path.stat().st_size - 65_536))
                lines = file.read().split(b"\n")[:-1]
            records = (record for line in reversed(lines) if (record := _record(line)) is not None)
            yield from islice(records, 1)

    def append(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records to a JSONL file of the run."""
        with open(self.path / name, "a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)

    def forget_after(self, update: int) -> None:
        """Drop the records later than the checkpoint from which a run continues, and what is damaged among them."""
        for path in self.path.glob("*.jsonl"):
            lines = path.read_bytes().splitlines(keepends=True)
            updates = [None if record is None else record["update"] for record in map(_record, lines)]
            held = [n for n, at in enumerate(updates) if at is not None and at <= update]
            before = zip(lines[: held[-1] + 1], updates, strict=False) if held else ()
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(b"".join(line for line, at in before if at is None or at <= update))
            os.replace(temporary, path)
        for path in (self.path / "sharing").glob("*.safetensors"):
            if path.stem.isdigit() and int(path.stem) > update:
                path.unlink()

    def _whole_lines(self, name: str) -> Iterator[bytes]:
        path = self.path / name
        if path.exists():
            with open(path, "rb") as file:
                yield from (line for line in file if line.endswith(b"\n"))

    def _require_same(self, identity: dict[str, Any]) -> None:
        held = self.identity()
        for key in WHAT:
            if held.get(key) != identity[key]:
                raise UserError(
                    f"{self.path} holds another run: its {key} is {held.get(key)!r}, not {identity[key]!r}; "
                    "choose another directory."
                )
        for key, value in identity["settings"].items():
            if held["settings"].get(key) != value:
                other = held["settings"].get(key)
                raise UserError(
                    f"{self.path} holds another run: its setting {key} is {other!r}, not {value!r}; "
                    "choose another directory, or give the same settings."
                )


def _record(line: bytes) -> dict[str, Any] | None:
    """What a line of a JSONL file says; None where it is damaged, or cut off."""
    try:
        record = json.loads(line)
    except ValueError:  # no JSON, or bytes that are no text
        return None
    return record if isinstance(record, dict) and isinstance(record.get("update"), int) else None
