"""Write a policy bundle: complete or not at all, replacing only an unchanged bundle of the same run."""

import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import save

from hcsac.errors import UserError
from hcsac.files import COMPARED, METADATA, MODEL_CARD, ONNX, POLICY, TENSORS, is_leftover
from hcsac.policy.bundle import digest, is_bundle, read_metadata
from hcsac.policy.metadata import last_evaluation, make_metadata
from hcsac.policy.model_card import model_card
from hcsac.policy.onnx import largest_difference, onnx_bytes
from hcsac.policy.state import PolicyState, corrupt
from hcsac.training import RunDirectory


@dataclass(frozen=True)
class Exported:
    """What was exported, and where to."""

    path: Path
    state: PolicyState
    onnx_seed: int
    difference: float | None  # largest |ONNX - PyTorch| of an action; None where onnxruntime is not installed


def export_policy(run: str | Path, output: str | Path | None = None, seed: int | None = None) -> Exported:
    """Write the policy of `run` at its last checkpoint as a bundle, which `hcsac.load_policy` reads.

    Args:
        output: directory of the bundle; None for `policy` in the directory of the run. An unchanged bundle of the
            same run is replaced.
        seed: export only this one; None for all of them, and the first as ONNX.

    Raises:
        UserError: there is no run, checkpoint, evaluation or seed, `output` contains something else, a task is not
            registered, or the actions of the ONNX file differ from PyTorch's. Nothing is written then.
    """
    directory = RunDirectory(run)
    state = PolicyState.of_run(directory)
    state = state if seed is None else state.only(seed)
    place = Path(os.path.realpath(directory.path / POLICY if output is None else output))
    require_replaceable(place, directory)
    metadata = make_metadata(directory, state)
    return write_bundle(place, directory, state, metadata | {"evaluation": last_evaluation(directory, state)})


def write_bundle(place: Path, run: RunDirectory, state: PolicyState, metadata: dict[str, Any]) -> Exported:
    """Write `state`, a policy of `run` or one made from it, and its metadata as a bundle into `place`.

    Raises:
        UserError: the actions of the ONNX file differ from PyTorch's, or `place` contains something else. Nothing is
            written then.
    """
    single = state.only(state.seeds[0])
    description = {
        "hcsac": version("hcsac"),
        "agent": state.algorithm,
        "seed": str(single.seeds[0]),
        "update": str(state.update),
    }
    graph = onnx_bytes(single, description)
    difference = largest_difference(graph, single)
    tensors = {name: tensor.contiguous() for name, tensor in state.network.state_dict().items()}
    files = {TENSORS: save(tensors), ONNX: graph, MODEL_CARD: model_card(metadata, difference).encode()}
    metadata = metadata | {"files": {name: digest(content) for name, content in files.items()}}
    require_replaceable(place, run, "distilled" in metadata)  # again: what came before took its time
    _replace(place, {**files, METADATA: (json.dumps(metadata, indent=2) + "\n").encode()})
    return Exported(place, state, single.seeds[0], difference)


def require_replaceable(place: Path, run: RunDirectory, distilled: bool = False) -> None:
    """Raise `UserError` if there is anything at `place` that a new bundle of `run`, of this kind, would not replace."""
    if not place.exists() or (place.is_dir() and not any(_content(place))):
        return
    if not place.is_dir() or not is_bundle(place):
        raise UserError(f"{place} exists and is not a policy bundle; choose another --output.")
    metadata = read_metadata(place)
    if metadata.get("run") != run.digest():
        raise UserError(f"{place} contains the policy of another run than {run.path}; choose another --output.")
    if ("distilled" in metadata) != distilled:
        kind = "an exported" if distilled else "a distilled"
        raise UserError(f"{place} contains {kind} policy of this run; choose another --output.")
    with corrupt(place / METADATA, "remove it or choose another --output"):
        written = dict(metadata["files"])
    for file in _content(place):
        if file.name in (METADATA, COMPARED):  # returns of the policy that is replaced are of no use
            continue
        if file.name not in written:
            raise UserError(
                f"{place} also contains {file.name}, which is not part of the bundle; choose another --output."
            )
        if not file.is_file() or digest(file.read_bytes()) != written[file.name]:
            raise UserError(f"{file} has been changed since it was exported; move it away or choose another --output.")


def _content(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if not is_leftover(path))
    except OSError as error:
        raise UserError(f"cannot read {place} ({error.strerror}); choose another --output.") from error


def _replace(place: Path, files: dict[str, bytes]) -> None:
    """Make `place` the directory of these files; the previous one is deleted once they are there."""
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
