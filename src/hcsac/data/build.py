"""Episodes written end to end, one at a time: into memory, or into files that are mapped instead of read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from hcsac.data.episode import Episode, state_physics, transitions
from hcsac.data.validate import validate, validate_bounds, validate_sizes
from hcsac.errors import UserError
from hcsac.tasks import ActionBounds, action_bounds, task_names

Place = Callable[[str, tuple[int, ...], DTypeLike], np.ndarray]  # name, shape, type -> array to write into


class Origin(NamedTuple):
    """Where episodes of one task were loaded from."""

    task: str
    ref: str  # the dataset's name as it was given
    plugin: str | None = None  # the module that registered its format, unless hcsac itself did


class Source(NamedTuple):
    """Episodes of one task, and how long each of them is before any is read."""

    task: str
    where: str  # what an error calls them
    lengths: Sequence[int]
    episodes: Iterable[Episode]
    bounds: Callable[[int], ActionBounds]  # number of actions -> theirs


def bounds_of_task(task: str, size: int) -> ActionBounds:
    """Those that are known of a task of this name; [-1, 1] where none are."""
    return (action_bounds(task, size) if task in task_names() else None) or ActionBounds.unit(size)


def in_memory(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """A fresh array."""
    return np.empty(shape, dtype)


def build(
    sources: Sequence[Source], alignment: str, place: Place = in_memory, keep_physics: bool = True
) -> dict[str, Any]:
    """The arrays and task names of a `Dataset`, by field; sources of one task must be neighbours.

    At most one episode is in memory beside the arrays. Actions are scaled into [-1, 1].

    Raises:
        UserError: sizes or bounds of actions differ, `validate` finds something, or there is no episode.
    """
    if not sources:
        raise UserError("no data: name at least one dataset.")
    for source in sources:
        if not len(source.lengths):
            raise UserError(f"{source.where} has no episode.")
    names = tuple(dict.fromkeys(source.task for source in sources))
    lengths = np.concatenate([np.asarray(source.lengths, np.int64) for source in sources])
    writer: _Writer | None = None
    first: tuple[Episode, str] | None = None
    for source, episode, bounds in _validated(sources):
        if first is None or writer is None:
            first = (episode, source.where)
            writer = _Writer(episode, bounds, lengths, place, keep_physics)
        validate_sizes([first[0], episode], [first[1], source.where])
        if not bounds.equals(writer.bounds):
            raise UserError(
                f"actions range over {writer.bounds} in {first[1]} and over {bounds} in {source.where}; one policy "
                "needs tasks of the same robot: give both tasks the same action_bounds."
            )
        writer.add(episode, names.index(source.task), alignment)
    assert writer is not None
    return {"physics": None, **writer.arrays, "task_names": names, "bounds": writer.bounds}


def _validated(sources: Sequence[Source]) -> Iterator[tuple[Source, Episode, ActionBounds]]:
    for source in sources:
        count, bounds = 0, None
        for count, episode in enumerate(source.episodes, start=1):
            if count > len(source.lengths):
                raise UserError(f"{source.where} lists {count - 1} episodes but has more; write it again.")
            where = f"{source.where}, episode {count - 1}"
            validate(episode, where)
            bounds = bounds or source.bounds(episode.action.shape[1])
            validate_bounds(episode, bounds, where)
            if len(episode) != source.lengths[count - 1]:
                listed = source.lengths[count - 1]
                raise UserError(f"{where} is listed with {listed} steps but has {len(episode)}; write it again.")
            yield source, episode, bounds
        if count < len(source.lengths):
            raise UserError(f"{source.where} lists {len(source.lengths)} episodes but has {count}; write it again.")


class _Writer:
    """The arrays of a `Dataset`, made in their final size and filled episode by episode.

    Args:
        first: the episode whose sizes all must have.
        bounds: of the actions of all.
        lengths: steps of every episode, [episodes].
    """

    def __init__(self, first: Episode, bounds: ActionBounds, lengths: np.ndarray, place: Place, keep_physics: bool):
        self.bounds = bounds
        self.start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows, episodes = int(self.start[-1]), len(lengths)
        shapes: dict[str, tuple[tuple[int, ...], DTypeLike]] = {
            "observations": ((rows + episodes, first.observation.shape[1]), np.float32),
            "action": ((rows, first.action.shape[1]), np.float32),
            "reward": ((rows,), np.float32),
            "terminated": ((rows,), bool),
            "task": ((rows,), np.int64),
            "episode_return": ((episodes,), np.float64),
        }
        if keep_physics and first.physics is not None:
            shapes["physics"] = ((rows, first.physics.shape[1]), first.physics.dtype)
        self.arrays = {name: place(name, shape, dtype) for name, (shape, dtype) in shapes.items()}
        self.arrays["episode_start"] = place("episode_start", (episodes + 1,), np.int64)
        self.arrays["episode_start"][:] = self.start
        self.count = 0

    def add(self, episode: Episode, task: int, alignment: str) -> None:
        """Write the next episode, of the task of that index."""
        number, arrays = self.count, self.arrays
        start, stop = int(self.start[number]), int(self.start[number + 1])
        part = transitions(episode, alignment)
        arrays["observations"][start + number : stop + number + 1] = episode.observation
        arrays["action"][start:stop] = self.bounds.inside(part.action)
        arrays["reward"][start:stop] = part.reward
        arrays["terminated"][start:stop] = part.terminated
        arrays["task"][start:stop] = task
        arrays["episode_return"][number] = episode.episode_return
        self._add_physics(state_physics(episode), start, stop)
        self.count += 1

    def _add_physics(self, state: np.ndarray | None, start: int, stop: int) -> None:
        kept = self.arrays.get("physics")
        if kept is None:
            return
        if state is None or state.shape[1] != kept.shape[1]:
            del self.arrays["physics"]  # kept only where every episode has it
        else:
            kept[start:stop] = state
