"""A checkpoint: one safetensors file with a digest, written atomically, never pickled."""

import errno
import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hcsac.errors import UserError, file_error
from hcsac.files import system_error, write_atomically

FIX = "train again in another directory"  # of a corrupt one


def save(path: Path, state: dict[str, Tensor], update: int) -> None:
    """Write `state` and the number of updates; a reader finds the old file or the new one, complete.

    The new one is read back before it takes the place of the old one.

    Raises:
        UserError: the system does not let it be written, or what is read back is not what was written.
    """
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    stamp = f"{update} {digest(tensors, update)}"  # one entry: the order of several would be random
    with write_atomically(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"update": stamp})
        except SafetensorError as error:
            raise system_error(error) or OSError(errno.EIO, "") from error
        load(temporary)


def load(path: Path, prefix: str | tuple[str, ...] = "") -> tuple[dict[str, Tensor], int]:
    """The state, or those entries of it whose names begin with `prefix`, and its number of updates.

    Raises:
        UserError: there is no checkpoint, it cannot be read, or it is corrupt.
    """
    if not path.exists():
        raise UserError(f"{path.parent} has no checkpoint yet; train longer, to its first one.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            number, stamped, expected = file.metadata()["update"].partition(" ")
        update = int(number)
        if stamped and expected != digest(tensors, update):  # checkpoints of hcsac 0.1 have none
            raise ValueError("its content does not match its digest")
    except OSError as error:
        raise file_error("read", path, error) from error
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise UserError(f"{path} is corrupt ({error}); {FIX}.") from error
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}, update


def digest(tensors: dict[str, Tensor], update: int) -> str:
    """Hexadecimal BLAKE2b of names, types, shapes and bytes of the tensors, and of the number of updates."""
    sum_ = hashlib.blake2b(str(update).encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        sum_.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.numel():
            sum_.update(tensor.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
    return sum_.hexdigest()


def part(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The entries under `name/`, without that prefix."""
    return {key.removeprefix(name + "/"): value for key, value in state.items() if key.startswith(name + "/")}


def join(**parts: dict[str, Tensor]) -> dict[str, torch.Tensor]:
    """The reverse of `part` for several parts."""
    return {f"{name}/{key}": value for name, entries in parts.items() for key, value in entries.items()}
