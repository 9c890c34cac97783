"""A policy bundle: the directory that an exported policy is stored in, and how it is read.

`policy.json` describes the policy and contains the digests of the other files: `policy.safetensors` (observation
scaling and actor), `policy.onnx` (the same, of one seed, for other runtimes) and `README.md` (a model card).
"""

import hashlib
from pathlib import Path
from typing import Any

from safetensors.torch import load

from hcsac.errors import UserError
from hcsac.files import METADATA, TENSORS, parse_json
from hcsac.policy.state import PolicyState, corrupt, require_policy

FORMAT = 1  # raised when a reader of the last format would misread a new one
_FIX = "export the run again"


def is_bundle(path: Path) -> bool:
    """Whether `path` is, or was meant to be, a bundle."""
    return (path / METADATA).is_file()


def read_metadata(path: Path) -> dict[str, Any]:
    """The content of the bundle's `policy.json`.

    Raises:
        UserError: it is missing or corrupt, or of a newer hcsac.
    """
    file = path / METADATA
    with corrupt(file, _FIX):
        try:
            content = parse_json(file.read_text())
        except OSError as error:
            raise UserError(
                f"cannot read {file} ({error.strerror}); pass a bundle, as `hcsac export` writes it."
            ) from error
        if not isinstance(content, dict) or not isinstance(content.get("format"), int):
            raise ValueError("it has no format")
    if content["format"] > FORMAT:
        raise UserError(
            f"{path} was made by a newer hcsac (bundle format {content['format']}, this one reads {FORMAT}); "
            "upgrade hcsac."
        )
    return content


def read_state(path: Path) -> PolicyState:
    """The policy in the bundle at `path`; UserError where it is corrupt or of a newer hcsac."""
    metadata = read_metadata(path)
    file = path / TENSORS
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror}); {_FIX}.") from error
    with corrupt(path / METADATA, _FIX):
        expected = metadata["files"][TENSORS]
        tasks = [entry["name"] for entry in sorted(metadata["tasks"], key=lambda entry: entry["index"])]
        update = int(metadata["update"])
        require_policy(metadata, tasks)
    with corrupt(file, _FIX):
        if digest(content) != expected:
            raise ValueError("its digest is not the one in policy.json")
        return PolicyState.build(path, metadata, tasks, update, load(content))


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
