"""What is refused in a file of a stranger before anything of it is read: code, links to other files, absurd sizes."""

import os
import zipfile
from functools import lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from hcsac.errors import UserError

SMALL = 1 << 30  # bytes that a file may always unpack to
RATIO = 100  # times its size that a larger one may unpack to: real data are never so uniform


def require_plain_npz(file: Path) -> None:
    """Check that an .npz archive has arrays of numbers alone, as large as they say.

    Raises:
        UserError: pickled objects, a header that does not fit its content, or more than 1 GiB from a hundredth of it.
        zipfile.BadZipFile, ValueError, EOFError, OSError: it is no such archive.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _require_size(file, sum(member.file_size for member in members))
        for member in members:
            with archive.open(member) as content:
                _require_array(file, member, content)


def read_header(content: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of an array in NumPy's format; its numbers follow in `content`."""
    version = np.lib.format.read_magic(content)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(content)


def _require_array(file: Path, member: zipfile.ZipInfo, content: IO[bytes]) -> None:
    try:
        shape, _, dtype = read_header(content)
    except (SyntaxError, TokenError) as error:  # NumPy parses headers as Python's literals
        raise ValueError(f"the header of {member.filename} is damaged") from error
    name = member.filename.removesuffix(".npy")
    if dtype.hasobject:
        raise UserError(
            f"{file}: has pickled objects ({name}), which are never loaded since they can run code; "
            "save plain arrays of numbers with numpy.savez."
        )
    size = dtype.itemsize
    for length in shape:
        size *= length  # of Python's integers: it may be absurd
    if content.tell() + size != member.file_size:
        raise UserError(
            f"{file}: {name} declares {tuple(shape)} numbers of type {dtype}, but holds {member.file_size} bytes; "
            "copy the file again or leave it out."
        )


def require_plain_hdf5(file: Path) -> None:
    """Check that an HDF5 file keeps all of its arrays in itself, as numbers or text of a size that it can hold.

    Raises:
        UserError: an external link, arrays in other files, objects, or more than 1 GiB from a hundredth of it.
        OSError: it is no HDF5 file.
    """
    state = os.stat(file)
    _require_plain_hdf5(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _require_plain_hdf5(file: Path, changed: int, size: int) -> None:
    import h5py

    total, names = 0, list[bytes]()
    with h5py.File(file) as opened:
        # Neither visit may raise inside.
        external = h5py.h5l.TYPE_EXTERNAL
        outside = opened.id.links.visit(lambda name, info: name if info.type == external else None, info=True)
        if outside is not None:
            raise UserError(f"{file}: {outside.decode(errors='replace')} is a link to another file; copy the data in.")
        h5py.h5o.visit(opened.id, names.append)
        for name in names:
            found = h5py.h5o.open(opened.id, name)
            if isinstance(found, h5py.h5d.DatasetID):
                _require_own(file, name.decode(errors="replace"), found)
                total += found.dtype.itemsize * found.get_space().get_simple_extent_npoints()
    _require_size(file, total)


def _require_own(file: Path, name: str, dataset: Any) -> None:
    """That the content of an `h5py.h5d.DatasetID` is in the file, and numbers or text."""
    import h5py

    plan = dataset.get_create_plist()
    if plan.get_external_count() or plan.get_layout() == h5py.h5d.VIRTUAL:
        raise UserError(f"{file}: {name} is kept in another file; copy the data in.")
    if dataset.dtype.kind == "O" and h5py.check_string_dtype(dataset.dtype) is None:
        raise UserError(f"{file}: {name} has the type {dataset.dtype}, not numbers; save plain arrays.")


def _require_size(file: Path, unpacked: int) -> None:
    size = file.stat().st_size
    if unpacked > max(SMALL, RATIO * size):
        raise UserError(
            f"{file}: {size} bytes that unpack to {unpacked}, which no real data do; copy the file again or leave it "
            "out."
        )
