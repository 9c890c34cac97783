"""A checkpoint: one safetensors file, written atomically, never pickled."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hcsac.errors import UserError

MEND = "train again in another directory"


def save(path: Path, state: dict[str, Tensor], update: int) -> None:
    """Write `state` and the number of updates it has seen; a reader finds the old file or the new one, whole."""
    temporary = path.with_suffix(".tmp")
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    save_file(tensors, temporary, metadata={"update": str(update)})
    os.replace(temporary, path)


def load(path: Path, prefix: str | tuple[str, ...] = "") -> tuple[dict[str, Tensor], int]:
    """The state, or those entries of it whose names begin with `prefix`, and its number of updates.

    Raises:
        UserError: there is no checkpoint, or it is not one of ours.
    """
    if not path.exists():
        raise UserError(f"{path.parent} holds no checkpoint yet; train longer, to its first evaluation.")
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in names}, int(file.metadata()["update"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); {MEND}.") from error


def part(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The entries under `name/`, with the prefix taken off."""
    return {key.removeprefix(name + "/"): value for key, value in state.items() if key.startswith(name + "/")}


def join(**parts: dict[str, Tensor]) -> dict[str, torch.Tensor]:
    """The reverse of `part` for several parts."""
    return {f"{name}/{key}": value for name, entries in parts.items() for key, value in entries.items()}
