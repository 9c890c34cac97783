"""Arrays of a file by name, read a few rows at a time: from .npz archives, HDF5 files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Protocol, Self

import numpy as np

from hcsac.data.formats.untrusted import read_header, require_plain_hdf5, require_plain_npz


class Column(Protocol):
    """An array of which rows are read in ascending order."""

    shape: tuple[int, ...]

    def __getitem__(self, rows: slice) -> np.ndarray: ...


class Columns(Mapping[str, Column]):
    """Arrays by name; what is open for them is closed with it, as a context manager."""

    def __init__(self) -> None:
        self.open = ExitStack()
        self.names: list[str] = []

    def column(self, name: str) -> Column:
        """The array of one of the `names`."""
        raise NotImplementedError

    def __getitem__(self, name: str) -> Column:
        if name not in self.names:
            raise KeyError(name)
        return self.column(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.open.close()


class NpzColumns(Columns):
    """The arrays of an .npz archive. Rows are read as they are needed: an archive may be larger than memory."""

    def __init__(self, file: Path):
        super().__init__()
        require_plain_npz(file)
        self.archive = self.open.enter_context(zipfile.ZipFile(file))
        self.names = [name.removesuffix(".npy") for name in self.archive.namelist()]

    def column(self, name: str) -> Column:
        """See `Columns`."""
        return _Member(self.open.enter_context(self.archive.open(f"{name}.npy")))


class _Member:
    """One array of an archive."""

    def __init__(self, content: IO[bytes]):
        self.content = content
        self.shape, fortran, self.dtype = read_header(content)
        self.at = 0
        self.whole = None
        if fortran or not self.shape:  # rows are not together in the file
            flat = np.frombuffer(content.read(), self.dtype)
            self.whole = flat.reshape(self.shape[::-1]).T if fortran else flat.reshape(self.shape)

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        if self.whole is not None:
            return self.whole[start:stop]
        size = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        self.content.seek((start - self.at) * size, 1)
        self.at = stop
        part = np.frombuffer(self.content.read((stop - start) * size), self.dtype)
        return part.reshape(stop - start, *self.shape[1:])


class Hdf5Columns(Columns):
    """The arrays of an HDF5 file, those of groups as group/name."""

    def __init__(self, file: Path):
        import h5py

        super().__init__()
        require_plain_hdf5(file)
        self.file = self.open.enter_context(h5py.File(file))
        self.file.visititems(self._note)

    def _note(self, name: str, item: Any) -> None:
        if hasattr(item, "shape"):
            self.names.append(name)

    def column(self, name: str) -> Column:
        """See `Columns`."""
        return self.file[name]
