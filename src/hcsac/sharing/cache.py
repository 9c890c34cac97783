"""Tables that are computed once and stored in the user's cache folder, which may be emptied at any time."""

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

import numpy as np

from hcsac.files import cache_folder

_DIGEST = hashlib.sha256().digest_size  # bytes after the array in each file: of all the bytes before them
_READ = 1 << 20


def cached(key: str, shape: tuple[int, int], blocks: Callable[[], Iterable[np.ndarray]]) -> np.ndarray:
    """The float32 table [N, M] stored under `key`, mapped; made of `blocks` [n, M] if there is none, or a corrupt one.

    If the cache folder cannot be written to, the table is computed in memory each time.
    """
    path = cache_folder("rewards") / f"{key}.npy"
    table = _open(path, shape)
    if table is not None:
        return table
    try:
        _write(path, shape, blocks())
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        return np.concatenate(list(blocks()))


def _open(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """The table in the file, or None if it is missing, incomplete or of another shape."""
    try:
        if not _is_complete(path):
            return None
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return table if table.shape == shape and table.dtype == np.float32 else None


def _is_complete(path: Path) -> bool:
    digest, left = hashlib.sha256(), path.stat().st_size - _DIGEST
    with open(path, "rb") as file:
        while left > 0 and (part := file.read(min(left, _READ))):
            digest.update(part)
            left -= len(part)
        return file.read() == digest.digest()


def _write(path: Path, shape: tuple[int, int], blocks: Iterable[np.ndarray]) -> None:
    """Write the file block by block, under another name until it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
        try:
            for part in chain([_header(shape)], map(_raw, blocks)):
                digest.update(part)
                file.write(part)
            file.write(digest.digest())
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


def _header(shape: tuple[int, int]) -> bytes:
    """The header of an .npy file of that table."""
    header = io.BytesIO()
    content = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, content)
    return header.getvalue()


def _raw(block: np.ndarray) -> bytes:
    return np.ascontiguousarray(block, np.float32).tobytes()
