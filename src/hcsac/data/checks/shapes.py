"""Shapes, lengths, numbers, bounds, and where episodes end: what needs no model of the world."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from hcsac.data import validate
from hcsac.data.checks.findings import Finding, Look, found
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.tasks import box_size, make_env, task_names, terminates, time_limit


def form(episodes: Sequence[Episode]) -> list[Look]:
    """Shapes, equal lengths, finite numbers and action bounds; nothing else can be looked at before these are right."""
    return [
        _every(episodes, "shapes", "wrong shape", _shape_faults, _shapes),
        _every(episodes, "equal lengths", "unequal lengths", _each(validate.length_faults), _lengths),
        _every(episodes, "finite numbers", "not finite", _each(validate.finiteness_faults), _finite),
        _every(episodes, "action bounds", "action out of bounds", _each(validate.bound_faults), _bounds),
    ]


def robot(episodes: Sequence[Episode], task_name: str) -> Look:
    """Whether observations and actions have the sizes of the task's environment; needs sound `form`."""
    name = "robot"
    try:
        env = make_env(task_name)
    except UserError as error:
        return Look(name, f"the sizes of the task's environment are not known: {error}", skipped=True)
    wanted = [box_size(space, task_name) for space in (env.observation_space, env.action_space)]
    env.close()
    held = [episodes[0].observation.shape[1], episodes[0].action.shape[1]]
    said = f"{task_name} has observations of {wanted[0]} and actions of {wanted[1]} numbers"
    if held == wanted:
        return Look(name, f"{said}, as the data have.")
    what = f"{said}, the data hold {held[0]} and {held[1]}."
    return Look(name, what, (found("another robot", what),))


_Faults = Callable[[Sequence[Episode]], Iterator[str]]


def _every(
    episodes: Sequence[Episode], name: str, kind: str, faults: _Faults, good: Callable[[Sequence[Episode]], str]
) -> Look:
    said = list(faults(episodes))
    if not said:
        return Look(name, good(episodes))
    more = f" ({len(said) - 1} more such faults)" if len(said) > 1 else ""
    return Look(
        name, f"{len(said)} of {len(episodes)} episodes are not as they must be.", (found(kind, said[0] + more),)
    )


def _each(faults_of: Callable[[Episode], Iterator[str]]) -> _Faults:
    return lambda episodes: (f"episode {n}: {fault}" for n, e in enumerate(episodes) for fault in faults_of(e))


def _shape_faults(episodes: Sequence[Episode]) -> Iterator[str]:
    faults = list(_each(validate.shape_faults)(episodes))
    yield from faults
    if not faults:
        try:
            validate.validate_sizes(episodes, [f"episode {number}" for number in range(len(episodes))])
        except UserError as error:
            yield str(error)


def _shapes(episodes: Sequence[Episode]) -> str:
    first = episodes[0]
    return (
        f"{len(episodes)} episodes, observations of {first.observation.shape[1]}, actions of {first.action.shape[1]}."
    )


def _lengths(episodes: Sequence[Episode]) -> str:
    lengths = [len(episode) for episode in episodes]
    return f"{min(lengths)} to {max(lengths)} steps an episode, every array of an episode as long as its steps."


def _finite(episodes: Sequence[Episode]) -> str:
    return f"no NaN or infinity in {sum(len(episode) for episode in episodes)} steps."


def _bounds(episodes: Sequence[Episode]) -> str:
    return f"the largest action is {max(float(np.abs(e.action).max(initial=0)) for e in episodes):.6f}."


def boundaries(episodes: Sequence[Episode]) -> Look:
    """Whether each episode ends in its last step and nowhere else, and the next one begins elsewhere."""
    faults: list[Finding] = []
    for number, episode in enumerate(episodes):
        ends = np.flatnonzero(episode.terminated | episode.truncated)
        if (early := ends[ends < len(episode) - 1]).size:
            what = f"episode {number} ends in step {early[0]} but goes on to step {len(episode) - 1}."
            faults.append(found("end in the middle", what))
        if not ends.size:
            faults.append(found("no end", f"episode {number} has no end in its {len(episode)} steps."))
    for number, (before, after) in enumerate(pairwise(episodes)):
        if np.array_equal(before.observation[-1], after.observation[0]):
            what = f"episode {number + 1} begins exactly where episode {number} ends."
            faults.append(found("split episode", what))
    terminated = sum(bool(episode.terminated.any()) for episode in episodes)
    said = f"{terminated} episodes are terminated, {len(episodes) - terminated} truncated."
    return Look("episode boundaries", said, _first_of_each(faults))


def clock(episodes: Sequence[Episode], task_name: str, use_physics: bool) -> Look:
    """Whether the world's end and the clock's are told apart.

    `use_physics` asks the simulator whether the world ends in each last step; otherwise the task's time limit must do.
    """
    name, limit = "terminated or truncated", time_limit(task_name) if task_name in task_names() else None
    lengths = np.array([len(episode) for episode in episodes])
    ended = np.array([bool(episode.terminated[-1]) for episode in episodes])
    faults: list[Finding] = []
    if limit is not None and (lengths > limit).any():
        first = int(np.argmax(lengths > limit))
        what = f"episode {first} has {lengths[first]} steps, but {task_name} runs out of time after {limit}."
        faults.append(found("joined episodes", what))
    if use_physics and (really := _really(episodes, task_name)) is not None:
        said = "the last step of every episode replayed in the simulator: "
        said += f"the world ends in {int(really.sum())}, {int(ended.sum())} are stored as terminated."
        at_limit = lengths == limit if limit is not None else _all_as_long(lengths)
        for kind, odd, what in (
            ("termination as time limit", really & ~ended, "is stored as truncated, but the world ends there."),
            ("time limit as termination", ended & ~really & at_limit, "is stored as terminated, but only time is up."),
            ("unfounded termination", ended & ~really & ~at_limit, "is stored as terminated, but the world goes on."),
        ):
            faults += _odd(kind, odd, lengths, what)
        return Look(name, said, tuple(faults))
    return _by_the_clock(name, lengths, ended, limit, task_name, faults)


def _by_the_clock(
    name: str, lengths: np.ndarray, ended: np.ndarray, limit: int | None, task_name: str, faults: list[Finding]
) -> Look:
    if limit is None:
        if ended.all() and len(ended) > 2 and _all_as_long(lengths).all():
            faults += _odd("time limit as termination", ended, lengths, "is terminated, as are all, at the same step.")
        return Look(name, f"the time limit of {task_name} is not known; judged by the lengths alone.", tuple(faults))
    said = f"{int((lengths == limit).sum())} of {len(lengths)} episodes last to the time limit of {limit} steps."
    late = ended & (lengths == limit)
    faults += _odd("time limit as termination", late, lengths, "is stored as terminated in the very last step.")
    faults += _odd("early truncation", ~ended & (lengths < limit), lengths, f"is truncated before step {limit - 1}.")
    return Look(name, said, tuple(faults))


def _odd(kind: str, odd: np.ndarray, lengths: np.ndarray, what: str) -> list[Finding]:
    if not odd.any():
        return []
    first = int(np.argmax(odd))
    more = f" ({int(odd.sum()) - 1} more such episodes)" if odd.sum() > 1 else ""
    return [found(kind, f"the last step of episode {first}, step {lengths[first] - 1}, {what}{more}")]


def _all_as_long(lengths: np.ndarray) -> np.ndarray:
    return np.full(len(lengths), len(set(lengths.tolist())) == 1)


def _really(episodes: Sequence[Episode], task_name: str) -> np.ndarray | None:
    try:
        return terminates(
            task_name,
            np.stack([episode.physics[-2] for episode in episodes]),  # type: ignore[index]
            np.stack([episode.action[-1] for episode in episodes]),
        )
    except UserError:  # physics of another robot; `simulator` names it
        return None


def _first_of_each(faults: list[Finding]) -> tuple[Finding, ...]:
    """One finding of each kind, with the number of others."""
    kinds = dict.fromkeys(fault.kind for fault in faults)
    groups = [[fault for fault in faults if fault.kind == kind] for kind in kinds]
    return tuple(
        found(group[0].kind, group[0].evidence + (f" ({len(group) - 1} more such cases)" if len(group) > 1 else ""))
        for group in groups
    )
