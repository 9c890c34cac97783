"""How logs say where episodes end: the names of such arrays, and what they mean together."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from hcsac.errors import UserError

TERMINATED = ("terminated", "terminal", "terminals", "is_terminal", "terminations", "next.terminated")
TRUNCATED = ("truncated", "truncations", "timeout", "timeouts", "next.truncated")
DONE = ("done", "dones")  # the end of an episode, for whatever reason
KNOWN = (*TERMINATED, *TRUNCATED, *DONE)
# Where an episode is cut, and not why: of RLDS, and of LeRobot, whose every last frame is done.
BORDERS = ("is_first", "is_last", "next.done", "next.success")
_WORDS = (
    "end", "ended", "done", "terminal", "terminated", "termination", "truncated", "truncation", "timeout", "last",
    "reset", "fail", "failed", "failure", "success",
)  # fmt: skip
_LOOKS_LIKE_AN_END = re.compile(rf"(^|[^a-z])(is_?)?({'|'.join(_WORDS)})s?(_?flags?)?$", re.IGNORECASE)


class Ends(NamedTuple):
    """Which steps end an episode, each [T] bool."""

    terminated: np.ndarray  # in a terminal state
    truncated: np.ndarray  # otherwise


def read_ends(arrays: Mapping[str, np.ndarray], rows: int, where: str) -> Ends:
    """What the arrays with the names of `KNOWN` say of `rows` rows; without any of them, that nothing ends.

    `done` alone is a terminal state; a row that is done and truncated, as Gymnasium's old interface has them, is
    truncated.

    Raises:
        UserError: an array of another length, with values other than 0 and 1, or two that contradict each other.
    """
    flags = {name: _flags(array, rows, f"{where}: {name}") for name, array in arrays.items() if name in KNOWN}
    terminated, truncated, done = (_one_of(flags, names, where) for names in (TERMINATED, TRUNCATED, DONE))
    nothing = np.zeros(rows, bool)
    cut = nothing if truncated is None else truncated
    if terminated is None:
        return Ends(nothing if done is None else done & ~cut, cut)
    if done is not None:
        if (terminated & ~done).any():
            raise UserError(f"{where}: rows are terminal and not done; keep the array that is right.")
        cut = cut | (done & ~terminated)
    return Ends(terminated, cut)


def require_understood(names: Iterable[str], where: str) -> None:
    """Raise `UserError` where one of these names, of arrays that are not read, may be that of an end of episodes."""
    for name in names:
        if name not in (*KNOWN, *BORDERS) and _LOOKS_LIKE_AN_END.search(name):
            raise UserError(
                f"{where}: {name} may say where episodes end, and is not understood; call it terminated (a terminal "
                "state) or truncated (a time limit), or remove it."
            )


def _flags(array: np.ndarray, rows: int, where: str) -> np.ndarray:
    flat = np.asarray(array)
    if flat.dtype.kind not in "fiub" or flat.size != len(flat):
        raise UserError(f"{where} has shape {flat.shape} and type {flat.dtype}; it must be 0 or 1 for each row.")
    flat = flat.reshape(-1)
    if len(flat) != rows:
        raise UserError(f"{where} has {len(flat)} rows, but there are {rows}; cut them to those that belong together.")
    if not np.isin(flat, (0, 1)).all():
        raise UserError(f"{where} has values other than 0 and 1; it must be 1 where an episode ends, else 0.")
    return flat.astype(bool)


def _one_of(flags: Mapping[str, np.ndarray], names: tuple[str, ...], where: str) -> np.ndarray | None:
    found = [name for name in names if name in flags]
    for name in found[1:]:
        if not np.array_equal(flags[name], flags[found[0]]):
            raise UserError(f"{where}: {found[0]} and {name} differ; keep the one that is right.")
    return flags[found[0]] if found else None
