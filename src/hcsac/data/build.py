"""Episodes laid end to end, one at a time: into memory, or into files that are mapped instead of read."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from hcsac.data.episode import Episode, state_physics, transitions
from hcsac.data.validate import validate, validate_sizes
from hcsac.errors import UserError

Place = Callable[[str, tuple[int, ...], DTypeLike], np.ndarray]  # name, shape, type -> where to write


class Source(NamedTuple):
    """Episodes of one task, and how long each of them is before any is read."""

    task: str
    where: str  # what an error calls them
    lengths: Sequence[int]
    episodes: Iterable[Episode]


def in_memory(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """A fresh array."""
    return np.empty(shape, dtype)


def lay_out(
    sources: Sequence[Source], alignment: str, place: Place = in_memory, keep_physics: bool = True
) -> dict[str, Any]:
    """The fields of a `Dataset`, by name; sources of one task must stand together.

    No more than one episode is held beside the arrays. Raises `UserError` for sizes that differ, for anything that
    `validate` finds, and where there is nothing to lay out.
    """
    if not sources:
        raise UserError("no data: name at least one dataset.")
    for source in sources:
        if not len(source.lengths):
            raise UserError(f"{source.where} has no episode.")
    names = tuple(dict.fromkeys(source.task for source in sources))
    lengths = np.concatenate([np.asarray(source.lengths, np.int64) for source in sources])
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = int(start[-1])
    arrays: dict[str, np.ndarray] = {}
    first: tuple[Episode, str] | None = None
    returns: dict[str, list[float]] = {name: [] for name in names}
    number = 0
    for source in sources:
        for episode, index, length in zip(source.episodes, range(len(source.lengths)), source.lengths, strict=True):
            where = f"{source.where}, episode {index}"
            validate(episode, where)
            if len(episode) != length:
                raise UserError(f"{where} says that it has {length} steps, but holds {len(episode)}; write it again.")
            if first is None:
                first = (episode, source.where)
                S, A = episode.observation.shape[1], episode.action.shape[1]
                arrays = {
                    "every_observation": place("every_observation", (rows + len(lengths), S), np.float32),
                    "action": place("action", (rows, A), np.float32),
                    "reward": place("reward", (rows,), np.float32),
                    "terminated": place("terminated", (rows,), bool),
                    "task": place("task", (rows,), np.int64),
                }
                if keep_physics and episode.physics is not None:
                    shape = (rows, episode.physics.shape[1])
                    arrays["physics"] = place("physics", shape, episode.physics.dtype)
            validate_sizes([first[0], episode], [first[1], source.where])
            here = slice(int(start[number]), int(start[number + 1]))
            part = transitions(episode, alignment)
            arrays["every_observation"][here.start + number : here.stop + number + 1] = episode.observation
            arrays["action"][here] = part.action
            arrays["reward"][here] = part.reward
            arrays["terminated"][here] = part.terminated
            arrays["task"][here] = names.index(source.task)
            state = state_physics(episode)
            if "physics" in arrays and (state is None or state.shape[1] != arrays["physics"].shape[1]):
                del arrays["physics"]  # some have it, others have not
            elif "physics" in arrays:
                arrays["physics"][here] = state
            returns[source.task].append(episode.episode_return)
            number += 1
    return {
        "physics": None,
        **arrays,
        "episode_start": start,
        "task_names": names,
        "behaviour": {name: float(np.mean(values)) for name, values in returns.items()},
    }
