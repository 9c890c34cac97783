"""Write a policy bundle: complete or not at all, and over nothing but an untouched bundle of the same run."""

import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save

from hcsac.errors import UserError
from hcsac.policy.bundle import CARD, ONNX, RECORD, TENSORS, digest, is_bundle, read_record
from hcsac.policy.model_card import card_text
from hcsac.policy.onnx import largest_difference, onnx_bytes
from hcsac.policy.record import make_record
from hcsac.policy.state import PolicyState, damage_told
from hcsac.training import RunDirectory


@dataclass(frozen=True)
class Exported:
    """What was written, and where."""

    path: Path
    state: PolicyState
    onnx_seed: int
    difference: float | None  # the largest between ONNX and PyTorch; None where onnxruntime is not installed


def export_policy(run: str | Path, output: str | Path | None = None, seed: int | None = None) -> Exported:
    """Write the policy of `run` at its last checkpoint as a bundle, which `hcsac.load_policy` reads.

    Args:
        output: the bundle's directory; None for `policy` inside the run's. An untouched bundle of the same run is
            replaced.
        seed: export this one alone; None for all of them, and the first as ONNX.

    Raises:
        UserError: there is no run, checkpoint, evaluation or seed, `output` holds something else, a task is not
            registered, or the ONNX file does not compute what PyTorch does. Nothing is written then.
    """
    directory = RunDirectory(run)
    state = PolicyState.of_run(directory)
    state = state if seed is None else state.only(seed)
    place = Path(os.path.realpath(directory.path / "policy" if output is None else output))
    _require_ours(place, directory)
    single = state.only(state.seeds[0])
    record = make_record(directory, state, single.seeds[0])
    known = {"hcsac": version("hcsac"), "agent": state.agent, "seed": str(single.seeds[0]), "update": str(state.update)}
    graph = onnx_bytes(single, known)
    difference = largest_difference(graph, single)
    tensors = {name: tensor.contiguous() for name, tensor in state.network.state_dict().items()}
    files = {TENSORS: save(tensors), ONNX: graph, CARD: card_text(record, difference).encode()}
    record["files"] = {name: digest(content) for name, content in files.items()}
    _require_ours(place, directory)  # still: the comparison took its time
    _put(place, {**files, RECORD: (json.dumps(record, indent=2) + "\n").encode()})
    return Exported(place, state, single.seeds[0], difference)


def _require_ours(place: Path, run: RunDirectory) -> None:
    """Raise `UserError` if there is anything at `place` that a new export of `run` would not make again."""
    if not place.exists() or (place.is_dir() and not any(_inside(place))):
        return
    if not place.is_dir() or not is_bundle(place):
        raise UserError(f"{place} exists and is not a policy bundle; choose another --output.")
    record = read_record(place)
    if record.get("run") != run.digest():
        raise UserError(f"{place} holds the policy of another run than {run.path}; choose another --output.")
    with damage_told(place / RECORD, "remove it or choose another --output"):
        written = dict(record["files"])
    for file in _inside(place):
        if file.name == RECORD:
            continue
        if file.name not in written:
            raise UserError(f"{place} also holds {file.name}, which is not of the bundle; choose another --output.")
        if not file.is_file() or digest(file.read_bytes()) != written[file.name]:
            raise UserError(f"{file} was changed since it was exported; move it away or choose another --output.")


def _inside(place: Path) -> list[Path]:
    try:
        return sorted(place.iterdir())
    except OSError as error:
        raise UserError(f"cannot read {place} ({error.strerror}); choose another --output.") from error


def _put(place: Path, files: dict[str, bytes]) -> None:
    """Make `place` the directory of these files; what was there is gone only when they are in its place."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as beside:
            new, old = Path(beside) / "new", Path(beside) / "old"
            new.mkdir()
            for name, content in files.items():
                (new / name).write_bytes(content)
            if place.exists():
                os.rename(place, old)
            try:
                os.rename(new, place)
            except OSError:
                if old.exists():
                    os.rename(old, place)
                raise
    except OSError as error:
        raise UserError(f"cannot write to {place} ({error.strerror}); choose another --output.") from error
