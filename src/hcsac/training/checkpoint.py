"""A checkpoint: one safetensors file, written atomically, never pickled."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hcsac.errors import UserError
from hcsac.files import write_atomically

FIX = "train again in another directory"  # of a corrupt one


def save(path: Path, state: dict[str, Tensor], update: int) -> None:
    """Write `state` and the number of updates; a reader finds the old file or the new one, complete."""
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    with write_atomically(path) as temporary:
        save_file(tensors, temporary, metadata={"update": str(update)})


def load(path: Path, prefix: str | tuple[str, ...] = "") -> tuple[dict[str, Tensor], int]:
    """The state, or those entries of it whose names begin with `prefix`, and its number of updates.

    Raises:
        UserError: there is no checkpoint, or it is corrupt.
    """
    if not path.exists():
        raise UserError(f"{path.parent} has no checkpoint yet; train longer, to its first evaluation.")
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in names}, int(file.metadata()["update"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is corrupt ({error}); {FIX}.") from error


def part(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The entries under `name/`, without that prefix."""
    return {key.removeprefix(name + "/"): value for key, value in state.items() if key.startswith(name + "/")}


def join(**parts: dict[str, Tensor]) -> dict[str, torch.Tensor]:
    """The reverse of `part` for several parts."""
    return {f"{name}/{key}": value for name, entries in parts.items() for key, value in entries.items()}
