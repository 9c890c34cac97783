"""Minari datasets: the native format. Steps keep their physics state, metadata their task and behaviour return.

Minari and h5py are imported where a dataset is touched: a policy acts on machines that have neither.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hcsac.data.build import Origin, Source, build
from hcsac.data.dataset import Dataset
from hcsac.data.episode import Episode
from hcsac.data.mapped import map_dataset
from hcsac.data.validate import validate, validate_sizes
from hcsac.errors import UserError, unknown
from hcsac.tasks import box_size, get_task, has_simulator, make_env, robot_spaces, task_names, task_of_env

if TYPE_CHECKING:
    import h5py
    import minari
    from minari.data_collector.episode_buffer import EpisodeBuffer

SAMPLE = "sample/"  # refs that begin so are shipped inside the package
_SAMPLE_FOLDER = Path(__file__).parent.parent / "sample"
_NAME = re.compile(r"[-_\w]+(/[-_\w]+)*/[-_\w]+-v\d+")


@dataclass(frozen=True)
class Listing:
    """One dataset that can be named: where it is and what its metadata say."""

    ref: str
    path: Path
    metadata: dict[str, Any]


def write(
    name: str,
    task_name: str,
    episodes: Sequence[Episode],
    metadata: Mapping[str, Any] | None = None,
    compress: bool = True,
) -> None:
    """Write the dataset `name` (`namespace/name-v0`) into the local store; it never replaces one.

    `metadata` (JSON values: seed, level, command ...) is kept beside our own `task` and `behaviour_return`, the mean
    undiscounted return of the episodes. `compress` rewrites the file with gzip, which any Minari reads.
    Raises `UserError` for a bad or taken name, an unknown task, no episodes, or episodes that `validate` refuses.
    """
    import minari

    folder = require_free_name(name)
    if not episodes:
        raise UserError(f"dataset {name!r}: there is no episode to write.")
    env = make_env(task_name) if has_simulator(task_name) else None
    for number, episode in enumerate(episodes):
        validate(episode, f"dataset {name!r}, episode {number}")
    validate_sizes(episodes, [f"dataset {name!r}, episode {number}" for number in range(len(episodes))])
    spaces = robot_spaces(episodes[0].observation.shape[1], episodes[0].action.shape[1])
    if env is not None:
        _require_sizes_of(env, task_name, episodes[0])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # author, e-mail, permalink: ours are in `metadata`
            dataset = minari.create_dataset_from_buffers(
                name, [_to_buffer(e) for e in episodes], env=env,
                observation_space=None if env else spaces[0], action_space=None if env else spaces[1],
            )  # fmt: skip
        returns = [episode.episode_return for episode in episodes]
        own = {"task": task_name, "behaviour_return": float(np.mean(returns))}
        if compress:
            _compress(folder / "data" / "main_data.hdf5")
            own["dataset_size"] = float(dataset.storage.get_size())
        dataset.storage.update_metadata({**(metadata or {}), **own})
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)  # half a dataset must not look like one
        if isinstance(error, ValueError) and "serialising callables" in str(error):
            mend = "register its Gymnasium id with a string as entry_point"
            raise UserError(f"task {task_name!r} cannot be stored in a dataset; {mend}.") from error
        raise
    finally:
        if env is not None:
            env.close()


def name_of(namespace: str, task_name: str, level: str) -> str:
    """`NAMESPACE/TASK-LEVEL-v0`; what a dataset's name may not hold becomes -: walker-speed:3.5, walker-speed-3-5."""
    return f"{namespace}/{re.sub(r'[^-_0-9A-Za-z]', '-', task_name)}-{level}-v0"


def require_free_name(name: str) -> Path:
    """The folder a dataset of this name will have; `UserError` for a name that is bad, taken or the sample's."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is not a dataset name; write namespace/name-v0, in letters, digits, - and _, "
            "with a version at its end: walker/walk-medium-v0."
        )
    if name.startswith(SAMPLE):
        raise UserError(f"{name!r}: names that begin with {SAMPLE} belong to the shipped sample; choose another.")
    folder = _store() / name
    if folder.exists():
        raise UserError(f"dataset {name!r} already exists in {folder}; choose another name or version, or remove it.")
    return folder


def read(ref: str, task: str | None = None) -> tuple[str, list[Episode], dict[str, Any]]:
    """The task's name, the episodes and the metadata of one dataset, validated.

    `ref` is a Minari id in the local store, a Minari dataset's folder, `sample/NAME`, or any of these as `TASK=REF` for
    a dataset that does not say its own task (or `task` names it). Raises `UserError` if there is none, if its spaces
    are not Box, if its task is unknown or another one, or for anything that `validate` finds.
    """
    name, episodes, metadata = read_unchecked(ref, task)
    for number, episode in enumerate(episodes):
        validate(episode, f"dataset {ref!r}, episode {number}")
    if not episodes:
        raise UserError(f"dataset {ref!r} has no episode.")
    return name, episodes, metadata


def load(
    refs: str | Sequence[str],
    alignment: str = "correct",
    tasks: Sequence[str] | None = None,
    folder: str | Path | None = None,
) -> Dataset:
    """All of `refs` as one `Dataset`: refs of one task are joined, tasks are ordered by first appearance.

    Args:
        refs: as in `read`.
        alignment: "correct", or "off_by_one" to make a known mistake on purpose (see `hcsac.data.episode`).
        tasks: keep only these, in this order.
        folder: write the arrays into this folder and map its files, for data larger than memory; a folder that has
            the same data already is used as it is. Simulator states are not copied.

    Raises:
        UserError: as in `read`, for a task that is not among the data, or for a folder that has something else.
    """
    refs = [refs] if isinstance(refs, str) else list(refs)
    opened = [Stored(ref) for ref in refs]
    names = list(dict.fromkeys(stored.task for stored in opened))
    for name in tasks or []:
        if name not in names:
            raise unknown("task of this dataset", name, names)
    order = names if tasks is None else list(tasks)
    if len(set(order)) != len(order):
        raise UserError(f"tasks to select must be named once each, not {', '.join(order)}.")
    sources = [
        Source(name, f"dataset {stored.ref!r}", stored.lengths, stored)
        for name in order for stored in opened if stored.task == name
    ]  # fmt: skip
    origins = tuple(Origin(stored.task, ref) for ref, stored in zip(refs, opened, strict=True) if stored.task in order)
    if folder is None:
        return Dataset(**build(sources, alignment), origins=origins, alignment=alignment)
    made_from = [order, *(stored.state() for stored in opened)]
    return map_dataset(Path(folder), sources, origins, alignment, made_from)


def list_datasets() -> list[Listing]:
    """What the local store and the shipped sample hold, by name."""
    import minari

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # folders in the store that are no datasets
        local = minari.list_local_datasets()
    listings = [Listing(ref, _store() / ref, dict(metadata)) for ref, metadata in local.items()]
    for path in sorted(_SAMPLE_FOLDER.glob("*/data/metadata.json")):
        folder = path.parent.parent
        with suppress(ValueError):
            listings.append(Listing(SAMPLE + folder.name, folder, _metadata(folder)))
    return listings


class Stored:
    """One dataset on disk; its episodes are read one at a time, and not validated.

    Attributes:
        task: the task's name.
        metadata: as Minari keeps them.
        lengths: steps of every episode.

    Raises `UserError` as `read` does.
    """

    def __init__(self, ref: str, task: str | None = None):
        import minari

        self.ref, task = split_task(ref, task)
        self.folder = locate(self.ref)
        with self._readable():
            self._dataset = minari.MinariDataset(self.folder / "data")
            self.metadata = _metadata(self.folder)
            what = f"dataset {self.ref!r}: the {{}} space"
            box_size(self._dataset.observation_space, what.format("observation"))
            box_size(self._dataset.action_space, what.format("action"))
            self.task = _task_of(self.ref, self._dataset, self.metadata, task)
            steps = self._dataset.storage.get_episode_metadata(self._dataset.episode_indices)
            self.lengths = [int(episode["total_steps"]) for episode in steps]

    def __iter__(self) -> Iterator[Episode]:
        with self._readable():
            for episode in self._dataset.iterate_episodes():
                yield _from_minari(episode)

    def state(self) -> list[Any]:
        """What changes when the dataset does: where it is, its size in bytes and when it was written."""
        files = sorted(path.stat() for path in (self.folder / "data").iterdir())
        return [str(self.folder), self.task, [[file.st_size, file.st_mtime_ns] for file in files]]

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, KeyError, AssertionError, ImportError) as error:
            raise UserError(
                f"dataset {self.ref!r} in {self.folder} cannot be read ({error}); write it again."
            ) from error


def read_unchecked(ref: str, task: str | None = None) -> tuple[str, list[Episode], dict[str, Any]]:
    """As `read`, but faulty numbers pass: `check` is what reports them."""
    stored = Stored(ref, task)
    return stored.task, list(stored), stored.metadata


def locate(ref: str) -> Path:
    """The folder of a dataset; a `UserError` naming the nearest known name if there is none."""
    if ref.startswith(SAMPLE):
        folder = _SAMPLE_FOLDER / ref.removeprefix(SAMPLE)
    else:
        given = Path(ref).expanduser()
        if (given / "metadata.json").is_file() and given.name == "data":
            return given.resolve().parent
        folder = given if given.is_dir() else _store() / ref
        if given.is_dir() and not (given / "data" / "metadata.json").is_file():
            raise UserError(
                f"{given}: no Minari dataset in this folder; if it holds .npz episodes, use `hcsac data import` first."
            )
    if not (folder / "data" / "metadata.json").is_file():
        if Path(ref).expanduser().is_file():
            raise UserError(f"{ref} is a file; give a dataset's name, or a folder that holds a dataset.")
        raise unknown("dataset", ref, [listing.ref for listing in list_datasets()])
    return folder


def split_task(ref: str, task: str | None) -> tuple[str, str | None]:
    """`TASK=REF` -> (REF, TASK); `task` as given if REF is the name of a folder, or has no TASK."""
    if "=" in ref and not Path(ref).exists():
        given, ref = ref.split("=", 1)
        return ref, get_task(given).name
    return ref, task


def _task_of(ref: str, dataset: minari.MinariDataset, metadata: Mapping[str, Any], given: str | None) -> str:
    spec = dataset.env_spec
    held = metadata.get("task") or (task_of_env(spec.id, spec.kwargs) if spec is not None else None)
    if given is not None:
        get_task(given)
        if held is not None and held != given:
            raise UserError(f"dataset {ref!r} was logged under task {held!r}, not {given!r}; leave the task out.")
        return given
    if held is None:
        raise UserError(
            f"dataset {ref!r} does not say its task; write it as TASK={ref}, "
            f"TASK being one of {', '.join(task_names())}."
        )
    return str(held)


def _from_minari(episode: minari.EpisodeData) -> Episode:
    physics = (episode.infos or {}).get("physics")
    return Episode(
        observation=np.asarray(episode.observations, np.float32),
        action=np.asarray(episode.actions, np.float32),
        reward=np.asarray(episode.rewards, np.float32),
        terminated=np.asarray(episode.terminations, bool),
        truncated=np.asarray(episode.truncations, bool),
        physics=physics if isinstance(physics, np.ndarray) else None,
    )


def _to_buffer(episode: Episode) -> EpisodeBuffer:
    from minari.data_collector.episode_buffer import EpisodeBuffer

    return EpisodeBuffer(
        observations=episode.observation,
        actions=episode.action,
        rewards=episode.reward,
        terminations=episode.terminated,
        truncations=episode.truncated,
        infos=None if episode.physics is None else {"physics": episode.physics},
    )


def _require_sizes_of(env: Any, task_name: str, episode: Episode) -> None:
    for kind, space in (("observation", env.observation_space), ("action", env.action_space)):
        held, wanted = getattr(episode, kind).shape[1], box_size(space, kind)
        if held != wanted:
            raise UserError(
                f"{kind} size is {held} in the data, but {wanted} in task {task_name!r}; name its own task."
            )


def _compress(file: Path) -> None:
    """Rewrite an HDF5 file with every array as one gzip chunk (bytes shuffled: floats compress better)."""
    import h5py

    small = file.with_suffix(".small")

    def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Group):
            made: Any = target.require_group(name)
        else:
            one_chunk = {"chunks": item.shape, "compression": "gzip", "compression_opts": 9, "shuffle": True}
            options = one_chunk if item.shape and item.size else {}
            made = target.create_dataset(name, data=item[()], maxshape=item.maxshape, **options)
        for key, value in item.attrs.items():
            made.attrs[key] = value

    with h5py.File(file) as source, h5py.File(small, "w", track_order=True) as target:
        source.visititems(copy)
    os.replace(small, file)


def _metadata(folder: Path) -> dict[str, Any]:
    from minari.dataset.minari_storage import MinariStorage

    return dict(MinariStorage.read_raw_metadata(folder / "data"))


def _store() -> Path:
    from minari.storage import get_dataset_path

    return Path(get_dataset_path())
