"""Datasets by name: write one into the local Minari store, read one, load several as a `Dataset`.

Minari and h5py are imported where a dataset is read or written: a policy acts on machines that have neither.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hcsac.data.build import Origin, Source, bounds_of_task, build
from hcsac.data.dataset import Dataset
from hcsac.data.episode import Episode
from hcsac.data.formats import OpenedDataset
from hcsac.data.mapped import map_dataset
from hcsac.data.refs import local_store, require_free_name
from hcsac.data.relabel import relabelled
from hcsac.data.validate import validate, validate_bounds, validate_sizes
from hcsac.errors import UserError, unknown
from hcsac.files import sync, told
from hcsac.tasks import ActionBounds, box_size, get_task, has_simulator, make_env, robot_spaces, task_names

if TYPE_CHECKING:
    import h5py
    from minari.data_collector.episode_buffer import EpisodeBuffer

_UNFINISHED = ".unfinished-"
# Of h5py; bytes are shuffled, because floats compress better so. docs/speed.md compares others.
_GZIP = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def write(
    name: str,
    task_name: str,
    episodes: Iterable[Episode],
    metadata: Mapping[str, Any] | None = None,
    compress: bool = True,
    bounds: Callable[[int], ActionBounds] | None = None,
) -> None:
    """Write the dataset `name` (`namespace/name-v0`) into the local store; it never replaces one.

    Args:
        episodes: read once; of a generator only one is in memory at a time.
        metadata: JSON values (seed, level, command ...), kept beside `task` and `behaviour_return`, the mean
            undiscounted return of the episodes.
        compress: rewrite the file with gzip, which any Minari reads.
        bounds: number of actions -> theirs, written as the dataset's action space; None for those of the task.

    Raises:
        UserError: a bad or taken name, an unknown task, no episodes, or episodes that `validate` refuses.
    """
    import minari

    folder = require_free_name(name)
    coming = _validated(f"dataset {name!r}", episodes)
    first = next(coming, None)
    if first is None:
        raise UserError(f"dataset {name!r}: there is no episode to write.")
    env = make_env(task_name) if has_simulator(task_name) else None
    size = first.action.shape[1]
    within = bounds(size) if bounds is not None else bounds_of_task(task_name, size)
    spaces = robot_spaces(first.observation.shape[1], within)
    returns: list[float] = []

    def buffers() -> Iterator[EpisodeBuffer]:
        for number, episode in enumerate(chain([first], coming)):
            validate_bounds(episode, within, f"dataset {name!r}, episode {number}")
            returns.append(episode.episode_return)
            yield _to_buffer(episode)

    try:
        if env is not None:
            _require_sizes_of(env, task_name, first)
        with told(folder), _made_aside(folder) as made, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # author, e-mail, permalink: ours are in `metadata`
            dataset = minari.create_dataset_from_buffers(
                name,
                buffers(),  # read once, in order
                env=env,
                observation_space=None if env else spaces[0],
                action_space=spaces[1],
            )
            own: dict[str, Any] = {"task": task_name, "behaviour_return": float(np.mean(returns))}
            if compress:
                _compress(made / "data" / "main_data.hdf5")
                own["dataset_size"] = float(dataset.storage.get_size())
            dataset.storage.update_metadata({**(metadata or {}), **own})
    except ValueError as error:
        if "serialising callables" not in str(error):
            raise
        raise UserError(
            f"task {task_name!r} cannot be stored in a dataset; register its Gymnasium id with a string as entry_point."
        ) from error
    finally:
        if env is not None:
            env.close()


def read(ref: str, task: str | None = None) -> tuple[str, list[Episode], dict[str, Any]]:
    """The task's name, the episodes and the metadata of one dataset, validated.

    Args:
        ref: a Minari id in the local store, `sample/NAME`, or the path of a dataset in any registered format; or one of
            these as `TASK=REF`, for a dataset that does not name its own task; `REF[START:STOP]` are some of its
            episodes, as REF[:10] the first ten.
        task: the same task, in place of `TASK=REF`.

    Raises:
        UserError: there is no such dataset, it cannot be read, its task is unknown or another one, or `validate` finds
            something.
    """
    opened = OpenedDataset(ref, task)
    episodes = list(opened)
    bounds: ActionBounds | None = None
    for number, episode in enumerate(episodes):
        where = f"dataset {ref!r}, episode {number}"
        validate(episode, where)
        bounds = bounds or opened.bounds(episode.action.shape[1])
        validate_bounds(episode, bounds, where)
    if not episodes:
        raise UserError(f"dataset {ref!r} has no episode.")
    return opened.task, episodes, opened.metadata


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
        tasks: keep only these, in this order. A task that nothing was logged for has all episodes of `refs`, with its
            own rewards.
        folder: write the arrays into this folder and map its files, for data larger than memory; a folder that has
            the same data already is used as it is. Simulator states are not copied.

    Raises:
        UserError: as in `read`, for a task that does not exist or whose rewards cannot be recomputed, or for a folder
            that has something else.
    """
    refs = [refs] if isinstance(refs, str) else list(refs)
    opened = [OpenedDataset(ref) for ref in refs]
    names = list(dict.fromkeys(one.task for one in opened))
    order = names if tasks is None else list(tasks)
    if len(set(order)) != len(order):
        raise UserError(f"tasks to select must be named once each, not {', '.join(order)}.")
    new = [name for name in order if name not in names]
    for name in new:
        _require_new_task(name, names, alignment)
    origins = tuple(
        Origin(one.task, ref, one.plugin) for ref, one in zip(refs, opened, strict=True) if one.task in order or new
    )

    def chosen(source_of: Callable[[OpenedDataset], Source]) -> list[Source]:
        sources = [source_of(one) for one in opened if one.task in order or new]
        return [_as_task(one, name) for name in order for one in sources if one.task == name or name in new]

    if folder is None:
        return Dataset(**build(chosen(_source), alignment), origins=origins, alignment=alignment)
    made_from = [order, *(one.state() for one in opened)]
    return map_dataset(Path(folder), lambda: chosen(_streamed), origins, alignment, made_from)


def _require_new_task(name: str, logged: Sequence[str], alignment: str) -> None:
    """Raise `UserError` unless logs of other tasks can be paid by this one's rewards."""
    try:
        get_task(name)
    except UserError as error:
        raise unknown("task", name, [*logged, *task_names()]) from error
    if alignment != "correct":
        raise UserError(
            f"nothing was logged for task {name!r}, and rewards are recomputed with alignment = 'correct' only, not "
            f"{alignment!r}; leave one of the two out."
        )


def _as_task(source: Source, task: str) -> Source:
    """The same episodes, with the rewards of that task where they were logged for another one."""
    if source.task == task:
        return source
    where = f"{source.where} as task {task!r}"
    return source._replace(task=task, where=where, episodes=relabelled(_validated(source.where, source.episodes), task))


def _validated(name: str, episodes: Iterable[Episode]) -> Iterator[Episode]:
    """The episodes of what is called so, each validated, and of the sizes of the first one."""
    first: tuple[Episode, str] | None = None
    for number, episode in enumerate(episodes):
        where = f"{name}, episode {number}"
        validate(episode, where)
        first = first or (episode, where)
        validate_sizes([first[0], episode], [first[1], where])
        yield episode


def _source(opened: OpenedDataset) -> Source:
    """To be read into memory; also read only once where the format does not know the lengths."""
    if opened.streams:
        return _streamed(opened)
    episodes = list(opened)
    lengths = [len(episode) for episode in episodes]
    return Source(opened.task, f"dataset {opened.ref!r}", lengths, episodes, opened.bounds)


def _streamed(opened: OpenedDataset) -> Source:
    """To be read one episode at a time."""
    return Source(opened.task, f"dataset {opened.ref!r}", opened.lengths, opened, opened.bounds)


@contextmanager
def _made_aside(folder: Path) -> Iterator[Path]:
    """Where to make a dataset: in a store of its own, hidden in the local one; whole, it moves to `folder`.

    However the process ends, half a dataset never looks like one.
    """
    from minari.namespace import create_namespace

    store, variable = local_store(), "MINARI_DATASETS_PATH"
    _remove_unfinished(store)
    mine = f"{_UNFINISHED}{platform.node()}-{os.getpid()}-"
    hidden = Path(tempfile.mkdtemp(prefix=mine, dir=store))  # Minari does not list names with a dot
    name, held = folder.relative_to(store), os.environ.get(variable)
    os.environ[variable] = str(hidden)  # Minari has no other way to be told
    try:
        yield hidden / name
        os.environ[variable] = str(store)
        with suppress(ValueError):  # it exists already
            create_namespace(name.parent.as_posix())
        require_free_name(name.as_posix())
        for path in (hidden / name).rglob("*"):
            sync(path)
        os.rename(hidden / name, folder)
        sync(folder.parent)
    finally:
        if held is None:
            del os.environ[variable]
        else:
            os.environ[variable] = held
        shutil.rmtree(hidden, ignore_errors=True)


def _remove_unfinished(store: Path) -> None:
    """Remove what processes of this machine left in the store that were killed while they made a dataset."""
    mine = f"{_UNFINISHED}{platform.node()}-"
    for path in store.glob(f"{mine}*-*"):
        number = path.name.removeprefix(mine).split("-")[0]
        try:
            os.kill(int(number), 0)  # sends nothing
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except (ValueError, OSError):
            continue  # not ours, or of another user


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
        size, wanted = getattr(episode, kind).shape[1], box_size(space, kind)
        if size != wanted:
            raise UserError(
                f"{kind} size is {size} in the data, but {wanted} in task {task_name!r}; name its own task."
            )


def _compress(file: Path, filters: Mapping[str, Any] = _GZIP) -> None:
    """Rewrite an HDF5 file with every array as one chunk, compressed by these filters of h5py."""
    import h5py

    small = file.with_suffix(".small")

    def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Group):
            copied: Any = target.require_group(name)
        else:
            options = {"chunks": item.shape, **filters} if item.shape and item.size else {}
            copied = target.create_dataset(name, data=item[()], maxshape=item.maxshape, **options)
        for key, value in item.attrs.items():
            copied.attrs[key] = value

    with h5py.File(file) as source, h5py.File(small, "w", track_order=True) as target:
        source.visititems(copy)
    os.replace(small, file)
