"""A policy bundle: the directory that a policy leaves its run as, and how it is read.

`policy.json` says what the policy is and holds the digests of the other files: `policy.safetensors` (observation
scaling and actor), `policy.onnx` (the same, of one seed, for other runtimes) and `README.md` (a card for people).
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.torch import load

from hcsac.errors import UserError
from hcsac.policy.state import PolicyState, damage_told

FORMAT = 1  # raised when a reader of the last format would misread a new one
RECORD, TENSORS, ONNX, CARD = "policy.json", "policy.safetensors", "policy.onnx", "README.md"
_MEND = "export the run again"


def is_bundle(path: Path) -> bool:
    """Whether `path` is, or was meant to be, a bundle."""
    return (path / RECORD).is_file()


def read_record(path: Path) -> dict[str, Any]:
    """What the bundle's `policy.json` says.

    Raises:
        UserError: it is missing or damaged, or a later hcsac made it.
    """
    file = path / RECORD
    with damage_told(file, _MEND):
        try:
            content = json.loads(file.read_text())
        except OSError as error:
            raise UserError(f"cannot read {file} ({error.strerror}); give a bundle made by `hcsac export`.") from error
        if not isinstance(content, dict) or not isinstance(content.get("format"), int):
            raise ValueError("it does not say its format")
    if content["format"] > FORMAT:
        raise UserError(
            f"{path} was made by a newer hcsac (bundle format {content['format']}, this one reads {FORMAT}); "
            "upgrade hcsac."
        )
    return content


def state_of(path: Path) -> PolicyState:
    """The policy in the bundle at `path`; UserError where it is damaged or a later hcsac made it."""
    record = read_record(path)
    file = path / TENSORS
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror}); {_MEND}.") from error
    with damage_told(path / RECORD, _MEND):
        expected = record["files"][TENSORS]
        tasks = [entry["name"] for entry in sorted(record["tasks"], key=lambda entry: entry["index"])]
        update = int(record["update"])
    with damage_told(file, _MEND):
        if digest(content) != expected:
            raise ValueError("it is not the file that was written")
        return PolicyState.build(record, tasks, update, load(content))


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
