"""Names of datasets, and where each of them is: in the local Minari store, in the shipped sample, or at a path."""

import os
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hcsac.errors import UserError, file_error, unknown
from hcsac.files import parse_object
from hcsac.tasks import get_task

SAMPLE = "sample/"  # names that begin so are shipped inside the package
_SAMPLE_FOLDER = Path(__file__).parent.parent / "sample"
_NAME = re.compile(r"(?=[^/]{2}|./.+/)[-_\w]+(/[-_\w]+)*/[-_\w]+-v\d+")  # Minari's namespaces have two letters
_PART = re.compile(r"(.+)\[(\d*):(\d*)\]")
_METADATA = Path("data") / "metadata.json"  # of a Minari dataset


@dataclass(frozen=True)
class Listing:
    """One dataset that can be named: where it is, and its metadata."""

    ref: str
    path: Path
    metadata: dict[str, Any]


def name_of(namespace: str, task_name: str, level: str) -> str:
    """`NAMESPACE/TASK-LEVEL-v0`; what no dataset's name may have becomes -: walker-speed-3-5 for walker-speed:3.5."""
    return f"{namespace}/{re.sub(r'[^-_0-9A-Za-z]', '-', task_name)}-{level}-v0"


def require_free_name(name: str) -> Path:
    """The folder a dataset of this name will have; `UserError` for a name that is bad, taken or the sample's."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is not a dataset name; write namespace/name-v0, in letters, digits, - and _, with a namespace "
            "of two letters or more and a version at its end: walker/walk-medium-v0."
        )
    if name.startswith(SAMPLE):
        raise UserError(f"{name!r}: names that begin with {SAMPLE} belong to the shipped sample; choose another.")
    folder = local_store() / name
    if folder.exists():
        raise UserError(f"dataset {name!r} already exists in {folder}; choose another name or version, or remove it.")
    return folder


def list_datasets() -> list[Listing]:
    """The datasets of the local Minari store and of the shipped sample, by name."""
    import minari

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # folders in the store that are no datasets
        local = minari.list_local_datasets()
    listings = [Listing(ref, local_store() / ref, dict(metadata)) for ref, metadata in local.items()]
    for path in sorted(_SAMPLE_FOLDER.glob(f"*/{_METADATA}")):
        folder = path.parent.parent
        with suppress(ValueError):
            listings.append(Listing(SAMPLE + folder.name, folder, read_metadata(folder)))
    return listings


def locate(ref: str) -> Path:
    """The file or folder of a dataset, in whatever format.

    Raises:
        UserError: there is none; it says the nearest known name.
    """
    if ref.startswith(SAMPLE):
        stored = _SAMPLE_FOLDER / ref.removeprefix(SAMPLE)
    else:
        path = Path(os.path.expanduser(ref))
        if os.path.exists(path):
            inside = path.name == "data" and (path / "metadata.json").is_file()
            return path.resolve().parent if inside else path
        if path.is_absolute() or ref.startswith((".", "~")):
            raise UserError(f"{ref}: no such file or folder; give the path of a dataset, or the name of one.")
        stored = local_store() / ref
    if not os.path.isfile(stored / _METADATA):  # Path's own raise where a name is too long
        raise unknown("dataset", ref, [listing.ref for listing in list_datasets()])
    return stored


def split_task(ref: str, task: str | None) -> tuple[str, str | None]:
    """`TASK=REF` -> (REF, TASK); `task` as given if REF is the path of a file or folder, or has no TASK."""
    if "=" in ref and not os.path.exists(ref):
        given, ref = ref.split("=", 1)
        return ref, get_task(given).name
    return ref, task


def split_part(ref: str) -> tuple[str, slice]:
    """`REF[START:STOP]` -> (REF, those episodes); all of them if it is the path of a file or folder, or has no part.

    Raises:
        UserError: the part is empty.
    """
    found = _PART.fullmatch(ref)
    if found is None or os.path.exists(ref):
        return ref, slice(None)
    start, stop = int(found[2] or 0), int(found[3]) if found[3] else None
    if stop is not None and stop <= start:
        raise UserError(f"{ref!r} has no episode; write START below STOP, as in {found[1]}[0:10] for the first ten.")
    return found[1], slice(start, stop)


def read_metadata(folder: Path) -> dict[str, Any]:
    """The metadata of a Minari dataset's folder, as Minari keeps them.

    Raises:
        UserError: they cannot be read, or are no JSON object.
    """
    file = folder / _METADATA
    try:
        return parse_object(file.read_text())
    except OSError as error:
        raise file_error("read", file, error) from error
    except ValueError as error:
        raise UserError(f"{file} is corrupt ({error}); copy the dataset again.") from error


def local_store() -> Path:
    """Minari's folder of datasets: MINARI_DATASETS_PATH, or the default of Minari."""
    from minari.storage import get_dataset_path

    return Path(get_dataset_path())
