"""What every episode must satisfy before it is used; the first problem is one clear sentence."""

from collections.abc import Iterator, Sequence

import numpy as np

from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.tasks import ActionBounds


def validate(episode: Episode, where: str) -> None:
    """Raise `UserError`, naming `where` (a file, a dataset and episode), for the first problem but those of bounds."""
    for faults in (shape_faults, length_faults, finiteness_faults):
        for fault in faults(episode):
            raise UserError(f"{where}: {fault}")


def validate_bounds(episode: Episode, bounds: ActionBounds, where: str) -> None:
    """Raise `UserError`, naming `where`, for the first action outside its bounds."""
    for fault in bound_faults(episode, bounds):
        raise UserError(f"{where}: {fault}")


def validate_sizes(episodes: Sequence[Episode], names: Sequence[str]) -> None:
    """Raise `UserError` unless all episodes, called `names`, have the first one's observation and action sizes."""
    for episode, name in zip(episodes, names, strict=True):
        for kind in ("observation", "action"):
            first, size = getattr(episodes[0], kind).shape[1], getattr(episode, kind).shape[1]
            if size != first:
                raise UserError(
                    f"{kind} sizes differ: {names[0]} has {first}, {name} has {size}; "
                    "one policy needs tasks of the same robot."
                )


def shape_faults(episode: Episode) -> Iterator[str]:
    """Arrays with the wrong number of dimensions, and episodes without a step."""
    wanted = {"observation": 2, "action": 2, "reward": 1, "terminated": 1, "truncated": 1, "physics": 2}
    for name, ndim in wanted.items():
        array = getattr(episode, name)
        if array is not None and array.ndim != ndim:
            yield f"{name} has shape {array.shape}, but must have {ndim} dimension{'s' if ndim > 1 else ''}."
    if len(episode.reward) == 0:
        yield "the episode has no step; leave it out."


def length_faults(episode: Episode) -> Iterator[str]:
    """Arrays longer or shorter than the steps between the observations."""
    steps = len(episode.observation) - 1
    for name in ("action", "reward", "terminated", "truncated"):
        length = len(getattr(episode, name))
        if length != steps:
            yield (
                f"{length} rows of {name} for {steps + 1} observations; there must be {steps}, one for each step "
                "between two observations; cut the longer array."
            )
    if episode.physics is not None and len(episode.physics) != steps + 1:
        yield f"{len(episode.physics)} simulator states for {steps + 1} observations; there must be one for each."


def finiteness_faults(episode: Episode) -> Iterator[str]:
    """NaN and infinity."""
    for name in ("observation", "action", "reward", "physics"):
        array = getattr(episode, name)
        if array is not None and not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            yield f"{name} has NaN or infinity, first in row {row}; leave this episode out or log it again."


def bound_faults(episode: Episode, bounds: ActionBounds) -> Iterator[str]:
    """Actions outside their bounds; not for another number of actions, which `validate_sizes` finds."""
    wrong = bounds.exceeded(episode.action) if episode.action.shape[1] == len(bounds.low) else np.zeros(0)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        yield (
            f"action {column} is {episode.action[row, column]:g} in step {row}, but must lie in "
            f"[{bounds.low[column]:g}, {bounds.high[column]:g}]; give the bounds of the robot's actions, by the task's "
            "action_bounds or by --action-low and --action-high of an import, or mend the log."
        )
