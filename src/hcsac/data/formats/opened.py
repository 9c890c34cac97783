"""A dataset on disk, whatever its format: its task, and its episodes one at a time."""

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hcsac.data.build import bounds_of_task
from hcsac.data.episode import Episode
from hcsac.data.formats.base import FORMATS, DatasetFormat, describe_formats
from hcsac.data.refs import locate, split_part, split_task
from hcsac.errors import UserError
from hcsac.tasks import ActionBounds, get_task, rewards_of, suite_body, task_names

RESOLUTION = 1e-3  # of a column's spread within an episode: coarser steps lose what it says
SAME_REWARD = 1e-3  # of the largest reward: what may be rounding
_TYPES: dict[str, type[np.generic]] = {
    "observation": np.float32,
    "action": np.float32,
    "reward": np.float32,
    "terminated": np.bool_,
    "truncated": np.bool_,
}


def open_data(ref: str | Path, task: str | None = None) -> tuple[str, list[Episode]]:
    """The task's name and the episodes of one dataset, not validated.

    Args:
        ref: the name of a dataset as in `hcsac.load`, or its path.
        task: its task, where the dataset does not name it.

    Raises:
        UserError: there is no such dataset, it cannot be read, its task is unknown or another one, or it is empty.
    """
    opened = OpenedDataset(str(ref), task)
    return opened.task, opened.episodes()


class OpenedDataset:
    """One dataset on disk, or some of its episodes. Iterating reads them one at a time; they are not validated.

    Attributes:
        ref: its name, without a task in front; with [START:STOP] behind it where only these episodes are meant.
        path: its file or folder.
        format: the name of its format.
        plugin: the plug-in module that registered the format; None where hcsac itself did.
        task: the name of its task.

    Raises:
        UserError: there is no such dataset, no format or more than one matches it (those of plug-ins go before the
            built-in ones), or its task is unknown or another.
    """

    def __init__(self, ref: str, task: str | None = None, columns: Sequence[str] = ()):
        self.ref, task = split_task(ref, task)
        name, self._part = split_part(self.ref)
        self.path = locate(name)
        self.format, self._reader = _find_format(self.path)
        self.plugin = FORMATS.plugin(self.format)
        self.columns = {"columns": tuple(columns)} if columns else {}
        self.coarse: dict[int, str] = {}  # column of the observations -> what float32 loses of it, as far as read
        if columns and "columns" not in inspect.signature(self._reader.read).parameters:
            raise UserError(f"{self.path} is read as {self.format}, whose columns have names; leave --columns out.")
        self.task = self._resolve_task(task)

    def __iter__(self) -> Iterator[Episode]:
        with self._reading():
            read = self._reader.read(self.path, **self.columns)
            for number, item in enumerate(islice(read, self._part.start, self._part.stop), self._part.start or 0):
                if not isinstance(item, Episode):
                    raise UserError(
                        f"dataset format {self.format!r} gives {type(item).__name__} as episode {number} of "
                        f"{self.path}; its method read must yield hcsac.data.Episode."
                    )
                self._note_resolution(item.observation)
                yield self._rewarded(_converted(item))

    def episodes(self) -> list[Episode]:
        """All of them in memory; a `UserError` where there is none."""
        episodes = list(self)
        if not episodes:
            raise UserError(f"dataset {self.ref!r} has no episode; name one that has.")
        return episodes

    @property
    def streams(self) -> bool:
        """Whether the format knows the lengths of episodes without reading them."""
        return hasattr(self._reader, "lengths")

    @cached_property
    def lengths(self) -> list[int]:
        """Steps of every episode; all episodes are read for it where the format does not know them."""
        lengths = self._optional("lengths")
        if lengths is None:
            return [len(episode) for episode in self]
        return [int(length) for length in lengths][self._part]

    def bounds(self, size: int) -> ActionBounds:
        """Those of its `size` actions: given by its task, else by the dataset itself, else by the task's environment.

        Without any they are [-1, 1].
        """
        own = None if get_task(self.task).action_bounds is not None else self._optional("bounds")
        return own or bounds_of_task(self.task, size)

    @property
    def time_limit(self) -> int | None:
        """The steps after which the environment of the logs truncated an episode, where the dataset records it."""
        return self._optional("time_limit")

    @property
    def unread(self) -> list[str]:
        """What the dataset has and its format does not read."""
        return list(self._optional("unread") or ())

    def _note_resolution(self, observation: Any) -> None:
        """Remember columns of float64, as times and coordinates, whose values float32 can hardly tell apart."""
        values = np.asarray(observation)
        if values.dtype != np.float64 or values.ndim != 2 or not np.isfinite(values).all():
            return
        spread, largest = np.ptp(values, axis=0), np.abs(values).max(0)
        step = np.spacing(largest.clip(max=np.finfo(np.float32).max).astype(np.float32))
        for column in np.flatnonzero((spread > 0) & (step > RESOLUTION * spread)).tolist():
            self.coarse[column] = (
                f"observation column {column} spreads over {spread[column]:.3g} around {values[0, column]:.6g}, where "
                f"float32 has steps of {step[column]:.2g}; subtract an offset before it is logged"
            )

    def _rewarded(self, episode: Episode) -> Episode:
        """With the task's own rewards where none were logged, which a format that may have none says by NaN."""
        logged = not getattr(self._reader, "rewards_optional", False) or not np.isnan(episode.reward).all()
        if logged or not len(episode.reward):
            return episode
        reward = get_task(self.task).reward
        if reward is None:
            raise UserError(
                f"{self.path} has no rewards, and task {self.task!r} has no reward function to compute them by; "
                "register the task with one, or log rewards."
            )
        given = reward(episode.observation[1:], episode.action)
        return replace(episode, reward=np.asarray(given, np.float32).reshape(-1))

    @property
    def metadata(self) -> dict[str, Any]:
        """The dataset's metadata, as JSON values."""
        return dict(self._optional("metadata") or {})

    def state(self) -> list[Any]:
        """What changes when the data do, as JSON values: path, task, sizes in bytes and times of all files.

        Of a plug-in's format, its own source file is one of them.
        """
        files = [self.path, *self.path.rglob("*")]
        source = getattr(sys.modules.get(type(self._reader).__module__), "__file__", None)
        if self.plugin is not None and source is not None:
            files.append(Path(source))
        stats = sorted(path.stat() for path in files if path.is_file())
        part = [] if self._part == slice(None) else [self._part.start, self._part.stop]
        return [str(self.path), *part, self.task, [[file.st_size, file.st_mtime_ns] for file in stats]]

    def _resolve_task(self, given: str | None) -> str:
        own = self._optional("task")
        if given is not None:
            name = get_task(given).name
            if own is not None and own != name:
                self._require_rewards_of(name, str(own))
            return name
        if own is None:
            names = [*(name for name in task_names() if suite_body(name) is None), "one of the dm_control suite"]
            raise UserError(
                f"dataset {self.ref!r} does not name its task; write it as TASK={self.ref}, TASK being "
                f"{' or '.join(names)}, as walker-walk."
            )
        return str(own)

    def _require_rewards_of(self, name: str, own: str) -> None:
        """A task that is given is believed, unless its reward function says otherwise of the first episode."""
        if get_task(name).reward is None:
            return
        with self._reading():
            first = next(iter(self._reader.read(self.path, **self.columns)), None)
        if first is None:
            return
        expected = rewards_of(name, np.asarray(first.observation[1:], np.float32), np.asarray(first.action, np.float32))
        difference = float(np.abs(expected - first.reward).max())
        if difference > SAME_REWARD * max(1.0, float(np.abs(expected).max())):
            raise UserError(
                f"dataset {self.ref!r} was logged under task {own!r}, not {name!r}, whose rewards differ from the "
                f"logged ones by up to {difference:.3g}; leave the task out."
            )

    def _optional(self, method: str) -> Any:
        if not hasattr(self._reader, method):
            return None
        with self._reading():
            return getattr(self._reader, method)(self.path)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # a reader may fail in any way, above all a plug-in's
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(
                f"dataset {self.ref!r} in {self.path} cannot be read as {self.format} ({reason}); "
                "write it again, or fix its format."
            ) from error


def _find_format(path: Path) -> tuple[str, DatasetFormat]:
    found = [(name, item) for name, item in FORMATS.items() if _matches(name, item, path)]
    if not found:
        raise UserError(
            f"{path} has no known dataset format; known: {describe_formats()}. Give another path, or the plug-in that "
            "reads it: --plugin MODULE."
        )
    from_plugins = [(name, item) for name, item in found if FORMATS.plugin(name) is not None]
    found = from_plugins or found
    if len(found) > 1:
        names = " and ".join(name for name, _ in found)
        raise UserError(f"{path} matches several dataset formats, {names}; let only one of them match it.")
    return found[0]


def _matches(name: str, item: DatasetFormat, path: Path) -> bool:
    try:
        return bool(item.matches(path))
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"dataset format {name!r} fails to look at {path} ({reason}); fix its method matches."
        ) from error


def _converted(episode: Episode) -> Episode:
    """The episode with arrays of the types that `Episode` documents; nothing is copied that has them already."""
    with np.errstate(over="ignore"):  # `validate` reports infinity
        arrays = {name: np.asarray(getattr(episode, name), dtype) for name, dtype in _TYPES.items()}
    for name, array in arrays.items():
        if array.ndim == 0:
            raise ValueError(f"{name} is a single number")
    return Episode(**arrays, physics=None if episode.physics is None else np.asarray(episode.physics))
