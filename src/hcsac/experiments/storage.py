"""A study kept in a storage that fsspec reaches (s3://, gs://, file://, ...), mirrored in local directories.

The order of the files makes a mirror safe. Records are pushed before the checkpoint, and `result.json`, which marks a
run as finished, comes last; a pull takes the reverse order. So whenever a machine stops, a pull finds a checkpoint
whose records are complete. Later records may be there too: resuming from the checkpoint drops them and writes them
again.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from hcsac import files
from hcsac.errors import UserError, unknown
from hcsac.training import Callback

# Uploads to these are atomic; elsewhere a file is uploaded under another name, then renamed.
WHOLE_UPLOADS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory"}
_WRITTEN = (
    "mtime",
    "LastModified",
    "updated",
    "last_modified",
    "created",
)  # names of the time in different file systems
_UNFINISHED = (".tmp", ".part")
_LOCAL = (*_UNFINISHED, files.LOCK, files.PREVIOUS)  # what the storage does not get


def is_url(output: str | Path) -> bool:
    """Whether an output is a URL of a storage, not a path."""
    return isinstance(output, str) and "://" in output


class Mirror:
    """A local directory and the URL of a storage that it mirrors. No file of a run contains that URL.

    Raises:
        UserError: the protocol is unknown, or its library is not installed.
    """

    def __init__(self, url: str, folder: Path):
        self.url, self.folder = url.rstrip("/"), folder
        self._fs, self._root = _reach(self.url)
        self._whole_uploads = self.url.split("://")[0] in WHOLE_UPLOADS
        self._pushed: dict[str, tuple[int, int]] = {}

    def below(self, path: Path) -> "Mirror":
        """The mirror of a subdirectory."""
        return Mirror(f"{self.url}/{path.relative_to(self.folder).as_posix()}", path)

    def pull(self, small: bool = False) -> None:
        """Make the directory a copy of the storage.

        Args:
            small: leave out checkpoints and TensorBoard files, which no table or report needs.
        """
        self._fs.invalidate_cache(self._root)
        found = {name.removeprefix(self._root).lstrip("/"): info
                 for name, info in self._fs.find(self._root, detail=True).items()}  # fmt: skip
        stored = {name: info for name, info in found.items() if name and not name.endswith(_UNFINISHED)}
        for name in sorted(stored, key=_rank, reverse=True):
            if not (small and _is_large(name)):
                self._fetch(name, stored[name])
        for name in set(self._files()) - set(stored):
            (self.folder / name).unlink()

    def push(self, *names: str) -> None:
        """Store these files of the directory, in this order; files that did not change are skipped."""
        for name in names:
            state = _state(self.folder / name)
            if self._pushed.get(name) != state:
                self._store(name)
                self._pushed[name] = state

    def push_run(self) -> None:
        """Store the changed files of a run, its checkpoint after its records."""
        self.push(*sorted(self._files(), key=_rank))

    def move(self, path: Path, new_path: Path) -> None:
        """Rename a subdirectory in the storage, as it was renamed here."""
        source, target = (f"{self._root}/{p.relative_to(self.folder).as_posix()}" for p in (path, new_path))
        if not self._whole_uploads:
            if self._fs.exists(source):
                self._fs.mv(source, target, recursive=True)
            return
        self._fs.invalidate_cache(source)
        names = self._fs.find(
            source
        )  # one by one: such storages have no directories, and some cannot move several files
        for name in names:
            self._fs.cp_file(name, target + name.removeprefix(source))
        for name in names:
            self._fs.rm_file(name)

    @contextmanager
    def errors_naming_url(self) -> Iterator[None]:
        """Errors name the URL instead of the local directory, which the user did not choose."""
        try:
            yield
        except UserError as error:
            raise UserError(str(error).replace(str(self.folder), self.url)) from error

    def _files(self) -> list[str]:
        paths = (path for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith(_LOCAL))
        return [path.relative_to(self.folder).as_posix() for path in paths]

    def _fetch(self, name: str, info: dict[str, Any]) -> None:
        path, written = self.folder / name, _written(info)
        if written is not None and path.exists():
            local = path.stat()
            if local.st_size == info["size"] and abs(local.st_mtime - written) < 1e-3:
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        self._fs.get_file(f"{self._root}/{name}", str(part))
        if written is not None:  # by it the next pull recognises the file, and `study status` an interrupted run
            os.utime(part, (written, written))
        os.replace(part, path)
        self._pushed[name] = _state(path)

    def _store(self, name: str) -> None:
        source, target = str(self.folder / name), f"{self._root}/{name}"
        if self._whole_uploads:
            self._fs.put_file(source, target)
            return
        self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        self._fs.put_file(source, target + ".part")
        self._fs.mv(target + ".part", target)


class MirrorRun(Callback):
    """Stores the directory of a run at every checkpoint and at the end of its training."""

    def __init__(self, mirror: Mirror):
        self.mirror = mirror

    def on_checkpoint(self, update: int) -> None:
        """Store what is new."""
        self.mirror.push_run()

    def on_end(self, result: Mapping[str, Any]) -> None:
        """Store the rest."""
        self.mirror.push_run()


@contextmanager
def opened(output: str | Path) -> Iterator[tuple[Path, Mirror | None]]:
    """The directory to run a study in; for a URL a temporary one, with its mirror.

    Raises:
        UserError: the storage cannot be reached.
    """
    if not is_url(output):
        yield Path(output), None
        return
    with tempfile.TemporaryDirectory(prefix="hcsac-", ignore_cleanup_errors=True) as folder:
        mirror = Mirror(str(output), Path(folder))
        _pull_small(mirror)
        with mirror.errors_naming_url():
            yield mirror.folder, mirror


def local_copy(url: str) -> Path:
    """Copy the study at `url` to the user's cache, without checkpoints and TensorBoard files; return the directory.

    Raises:
        UserError: the storage cannot be reached, or nothing is stored there.
    """
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", url.rstrip("/").rsplit("/", 1)[-1])
    name = f"{words}-{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:12]}"
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hcsac" / "studies" / name
    mirror = Mirror(url, folder)
    _pull_small(mirror)
    if not any((folder / name).exists() for name in files.STUDIES):
        raise UserError(f"no study found in {url!r}; pass the --output of `hcsac study run`.")
    return folder


def _reach(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path in it."""
    import fsspec  # type: ignore[import-untyped]

    protocol = url.split("://")[0]
    try:
        fs, root = fsspec.url_to_fs(url)
    except ValueError as error:
        if protocol in fsspec.available_protocols():
            raise UserError(f"cannot use the storage {url} ({error}); fix the URL.") from error
        raise unknown("storage protocol", protocol, fsspec.available_protocols()) from error
    except ImportError as error:
        missing = getattr(error.__cause__ or error, "name", None) or protocol
        raise UserError(
            f"{protocol}:// storage needs the library {missing}, which is not installed; pip install {missing}."
        ) from error
    return fs, root.rstrip("/")


def _pull_small(mirror: Mirror) -> None:
    try:
        mirror.pull(small=True)
    except Exception as error:  # every file system raises its own errors
        raise UserError(
            f"cannot read the storage {mirror.url} ({type(error).__name__}: {error}); check the URL and the "
            "permissions of this machine."
        ) from error


def _rank(name: str) -> tuple[int, str]:
    """A run's files in the order in which they are pushed."""
    last = name.rsplit("/", 1)[-1]
    ranks = {"run.json": 0, "checkpoint.safetensors": 3, "result.json": 4}
    return ranks.get(last, 2 if last.endswith(".jsonl") else 1), name


def _is_large(name: str) -> bool:
    return name.endswith("checkpoint.safetensors") or "tensorboard" in name.split("/")


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _written(info: dict[str, Any]) -> float | None:
    """When a file was written, in seconds since 1970, if the file system knows."""
    when = next((info[key] for key in _WRITTEN if info.get(key) is not None), None)
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when)
        except ValueError:
            return None
    if isinstance(when, datetime):
        return when.timestamp()
    return float(when) if isinstance(when, int | float) else None
