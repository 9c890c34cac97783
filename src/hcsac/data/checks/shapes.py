"""Shapes, lengths, numbers, bounds, and the ends of episodes: checks that need no simulator."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from hcsac.data import validate
from hcsac.data.checks.findings import Check, Finding, make_finding
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.tasks import ActionBounds, box_size, make_env, task_names, terminates, time_limit

_SHARED = 3  # truncated episodes of one length that show a time limit


def check_arrays(episodes: Sequence[Episode], bounds: ActionBounds) -> list[Check]:
    """Shapes, equal lengths, finite numbers and action bounds; no other check can run before these pass."""
    return [
        _every(episodes, "shapes", "wrong-shape", _shape_faults, _shapes),
        _every(episodes, "equal lengths", "unequal-lengths", _each(validate.length_faults), _lengths),
        _every(episodes, "finite numbers", "not-finite", _each(validate.finiteness_faults), _finite),
        _every(
            episodes,
            "action bounds",
            "action-out-of-bounds",
            _each(lambda e: validate.bound_faults(e, bounds)),
            lambda every: _nearest(every, bounds),
        ),
    ]


def check_sizes(episodes: Sequence[Episode], task_name: str) -> Check:
    """Whether observations and actions have the sizes of the task's environment; `check_arrays` must have passed."""
    name = "sizes"
    try:
        env = make_env(task_name)
    except UserError as error:
        return Check(name, f"the sizes of the task's environment are not known: {error}", skipped=True)
    wanted = [box_size(space, task_name) for space in (env.observation_space, env.action_space)]
    env.close()
    sizes = [episodes[0].observation.shape[1], episodes[0].action.shape[1]]
    message = f"{task_name} has observation size {wanted[0]} and action size {wanted[1]}"
    if sizes == wanted:
        return Check(name, f"{message}, as the data have.")
    what = f"{message}, the data have {sizes[0]} and {sizes[1]}."
    return Check(name, what, (make_finding("size-mismatch", what),))


_Faults = Callable[[Sequence[Episode]], Iterator[str]]


def _every(
    episodes: Sequence[Episode], name: str, kind: str, faults: _Faults, good: Callable[[Sequence[Episode]], str]
) -> Check:
    found = list(faults(episodes))
    if not found:
        return Check(name, good(episodes))
    more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
    message = f"{len(found)} problem{'s' if len(found) > 1 else ''} in {len(episodes)} episodes."
    return Check(name, message, (make_finding(kind, found[0] + more),))


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
        f"{len(episodes)} episodes, observation size {first.observation.shape[1]}, action size {first.action.shape[1]}."
    )


def _lengths(episodes: Sequence[Episode]) -> str:
    lengths = [len(episode) for episode in episodes]
    return f"{min(lengths)} to {max(lengths)} steps an episode, all arrays of an episode equally long."


def _finite(episodes: Sequence[Episode]) -> str:
    return f"no NaN or infinity in {sum(len(episode) for episode in episodes)} steps."


def _nearest(episodes: Sequence[Episode], bounds: ActionBounds) -> str:
    largest = max(float(np.abs(bounds.inside(e.action)).max(initial=0)) for e in episodes)
    if bounds.is_unit:
        return f"the largest action is {largest:.6f}."
    return f"the actions reach {largest:.1%} of their bounds, {bounds}."


def check_boundaries(episodes: Sequence[Episode]) -> Check:
    """Whether each episode ends in its last step and nowhere else, and no episode continues the one before."""
    faults: list[Finding] = []
    for number, episode in enumerate(episodes):
        ends = np.flatnonzero(episode.terminated | episode.truncated)
        if (early := ends[ends < len(episode) - 1]).size:
            what = f"episode {number} ends in step {early[0]} but has steps up to {len(episode) - 1}."
            faults.append(make_finding("end-before-last-step", what))
        if not ends.size:
            faults.append(
                make_finding(
                    "missing-end", f"episode {number} is neither terminated nor truncated in its {len(episode)} steps."
                )
            )
    starts = Counter(episode.observation[0].tobytes() for episode in episodes)
    for number, (before, after) in enumerate(pairwise(episodes)):
        fixed = starts[after.observation[0].tobytes()] > 1  # a state that episodes are reset to may also end one
        if not fixed and np.array_equal(before.observation[-1], after.observation[0]):
            what = f"episode {number + 1} starts exactly where episode {number} ends."
            faults.append(make_finding("split-episode", what))
    terminated = sum(bool(episode.terminated.any()) for episode in episodes)
    message = f"{terminated} episodes are terminated, {len(episodes) - terminated} truncated."
    return Check("episode boundaries", message, _first_of_each(faults))


def limit_of(episodes: Sequence[Episode], task_name: str, recorded: int | None) -> int | None:
    """The time limit of the episodes in steps: of the data, where they tell of one, else of the task's environment.

    They tell it where three or more truncated episodes, and half of all truncated, are equally long, and none is
    terminated later; else where they record their environment's, `recorded`.
    """
    lengths = np.array([len(episode) for episode in episodes])
    terminated = np.array([bool(episode.terminated[-1]) for episode in episodes])
    values, counts = np.unique(lengths[~terminated], return_counts=True)
    if counts.max(initial=0) >= max(_SHARED, counts.sum() / 2):
        usual = int(values[np.argmax(counts)])
        if lengths[terminated].max(initial=0) <= usual:
            return usual
    if recorded is not None:
        return recorded
    return time_limit(task_name) if task_name in task_names() else None


def check_time_limit(episodes: Sequence[Episode], task_name: str, limit: int | None, use_physics: bool) -> Check:
    """Whether terminal states and time limits, of `limit` steps, are stored as such.

    `use_physics` replays each last step to see whether it reaches a terminal state; otherwise the episodes' lengths are
    compared with the limit.
    """
    name = "terminated or truncated"
    lengths = np.array([len(episode) for episode in episodes])
    terminated = np.array([bool(episode.terminated[-1]) for episode in episodes])
    faults: list[Finding] = []
    if limit is not None and (lengths > limit).any():
        first = int(np.argmax(lengths > limit))
        what = f"episode {first} has {lengths[first]} steps, but the time limit is {limit}: is the rest another one?"
        faults.append(make_finding("episodes-perhaps-merged", what))
    if use_physics and (terminal := _terminal(episodes, task_name)) is not None:
        message = "the last step of every episode replayed in the simulator: "
        message += f"{int(terminal.sum())} reach a terminal state, {int(terminated.sum())} are stored as terminated."
        at_limit = lengths == limit if limit is not None else _all_as_long(lengths)
        wrong = terminated & ~terminal
        for kind, odd, what in (
            (
                "termination-as-time-limit",
                terminal & ~terminated,
                "is stored as truncated, but reaches a terminal state.",
            ),
            (
                "time-limit-as-termination",
                wrong & at_limit,
                "is stored as terminated, but only reaches the time limit.",
            ),
            ("unfounded-termination", wrong & ~at_limit, "is stored as terminated, but reaches no terminal state."),
        ):
            faults += _odd(kind, odd, lengths, what)
        return Check(name, message, tuple(faults))
    return _by_length(name, lengths, terminated, limit, task_name, faults)


def _by_length(
    name: str, lengths: np.ndarray, terminated: np.ndarray, limit: int | None, task_name: str, faults: list[Finding]
) -> Check:
    if limit is None:
        if terminated.all() and len(terminated) > 2 and _all_as_long(lengths).all():
            faults += _odd(
                "termination-at-time-limit", terminated, lengths, "is terminated, as are all, at the same step."
            )
        return Check(
            name, f"the time limit of {task_name} is not known; only the lengths were compared.", tuple(faults)
        )
    message = f"{int((lengths == limit).sum())} of {len(lengths)} episodes reach the time limit of {limit} steps."
    late = terminated & (lengths == limit)
    faults += _odd("termination-at-time-limit", late, lengths, "is stored as terminated at the time limit.")
    faults += _odd(
        "early-truncation", ~terminated & (lengths < limit), lengths, f"is truncated before step {limit - 1}."
    )
    return Check(name, message, tuple(faults))


def _odd(kind: str, odd: np.ndarray, lengths: np.ndarray, what: str) -> list[Finding]:
    if not odd.any():
        return []
    first = int(np.argmax(odd))
    more = f" ({int(odd.sum()) - 1} more such episodes)" if odd.sum() > 1 else ""
    return [make_finding(kind, f"the last step of episode {first}, step {lengths[first] - 1}, {what}{more}")]


def _all_as_long(lengths: np.ndarray) -> np.ndarray:
    return np.full(len(lengths), len(set(lengths.tolist())) == 1)


def _terminal(episodes: Sequence[Episode], task_name: str) -> np.ndarray | None:
    try:
        return terminates(
            task_name,
            np.stack([episode.physics[-2] for episode in episodes]),  # type: ignore[index]
            np.stack([episode.action[-1] for episode in episodes]),
        )
    except UserError:  # simulator states of another robot; `simulate` reports it
        return None


def _first_of_each(faults: list[Finding]) -> tuple[Finding, ...]:
    """One finding of each kind, with the number of others."""
    kinds = dict.fromkeys(fault.kind for fault in faults)
    groups = [[fault for fault in faults if fault.kind == kind] for kind in kinds]
    return tuple(
        make_finding(
            group[0].kind, group[0].evidence + (f" ({len(group) - 1} more such cases)" if len(group) > 1 else "")
        )
        for group in groups
    )
