"""Flat logs: the rows of many episodes one after the other, each an observation and what was done there."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from hcsac.data.episode import Episode
from hcsac.data.formats.columns import Column
from hcsac.data.formats.ends import KNOWN, Ends, read_ends, require_understood
from hcsac.errors import UserError


class Rows(NamedTuple):
    """The T rows of one episode: the action of a row is chosen at its observation, and earns its reward."""

    observation: np.ndarray  # [T, S]
    action: np.ndarray  # [T, A]
    reward: np.ndarray | None  # [T] or [T, 1]
    terminated: np.ndarray  # [T] bool
    next_observation: np.ndarray | None = None  # [T, S]
    physics: np.ndarray | None = None  # [T, P]
    next_physics: np.ndarray | None = None  # [T, P]


def to_episode(rows: Rows, where: str) -> Episode | None:
    """The transitions of the rows; None where there is none.

    Where the log does not know what the last action led to, there are two cases. If it ended in a terminal state, the
    transition is kept, since its reward and end matter, and its last observation is written in place of the terminal
    one, of which no value is ever asked. Otherwise the transition is left out. Rewards that are not logged are NaN.

    Raises:
        UserError: `next_observation` is not the observation of the next row.
    """
    count, ended = len(rows.observation), bool(rows.terminated[-1])
    reward = np.full(count, np.nan, np.float32) if rows.reward is None else rows.reward.reshape(-1)
    if rows.next_observation is not None:
        _require_continuous(rows.observation, rows.next_observation, where)
        last = rows.next_observation[-1:]
    elif ended:
        last = rows.observation[-1:]
    else:
        last, count = rows.observation[:0], count - 1
    if count == 0:
        return None
    terminated = rows.terminated[:count]
    if terminated[:-1].any():
        raise UserError(
            f"{where}: row {int(np.argmax(terminated))} ends in a terminal state, and rows of the same episode follow; "
            "end the episode there."
        )
    truncated = np.zeros(count, bool)
    truncated[-1] = not terminated[-1]
    return Episode(
        observation=np.concatenate([rows.observation, last]),
        action=rows.action[:count],
        reward=reward[:count],
        terminated=terminated,
        truncated=truncated,
        physics=_physics(rows, count),
    )


def spans(ends: np.ndarray) -> Iterator[tuple[int, int]]:
    """First row of every episode and the row after its last one; ends [N] bool. Rows after the last end are one."""
    first = 0
    for stop in (np.flatnonzero(ends) + 1).tolist():
        yield first, stop
        first = stop
    if first < len(ends):
        yield first, len(ends)


def _physics(rows: Rows, count: int) -> np.ndarray | None:
    """The simulator states of all observations, [T+1, P], if the last one is known."""
    if rows.physics is None:
        return None
    if rows.next_physics is not None:
        return np.concatenate([rows.physics[:count], rows.next_physics[count - 1 : count]])
    return rows.physics if len(rows.physics) > count else None


def _require_continuous(observation: np.ndarray, following: np.ndarray, where: str) -> None:
    differ = (observation[1:] != following[:-1]).any(1) & ~np.isnan(following[:-1]).any(1)
    if differ.any():
        raise UserError(
            f"{where}: the next observation of row {int(np.argmax(differ))} is not the observation of the row after "
            "it; mark an end of an episode there, or put the rows into the order in which they were logged."
        )


class Names(NamedTuple):
    """Which arrays of a file hold what."""

    observation: str
    action: str
    reward: str | None = None
    next_observation: str | None = None
    physics: tuple[str, ...] = ()  # joined, as qpos and qvel
    next_physics: tuple[str, ...] = ()


def read_flat(columns: Mapping[str, Column], names: Names, where: str) -> Iterator[Episode]:
    """The episodes of a file with an array for each kind, of N rows each, in their order.

    Raises:
        UserError: arrays of unequal length or without numbers, no end of an episode, ends that are not understood, or
            as `to_episode`.
    """
    kinds = {name: columns[name] for name in _all(names)}
    count = kinds[names.observation].shape[0]
    for name, column in kinds.items():
        if not column.shape or column.shape[0] != count:
            raise UserError(
                f"{where}: {name} has shape {tuple(column.shape)}, but {names.observation} has {count} rows; cut them "
                "to the rows that belong together."
            )
    require_understood((name for name in columns if name not in kinds and "/" not in name), where)
    ends = _ends(columns, where, count)
    border = ends.terminated | ends.truncated
    if not border.any():
        raise UserError(f"{where}: no row ends an episode; add an array timeouts that is 1 in the last row of each.")

    def joined(of: tuple[str, ...], rows: slice) -> np.ndarray | None:
        return np.concatenate([_table(kinds[name][rows], f"{where}: {name}") for name in of], 1) if of else None

    for first, stop in spans(border):
        rows = slice(first, stop)
        following = names.next_observation
        episode = to_episode(
            Rows(
                observation=_table(kinds[names.observation][rows], f"{where}: {names.observation}"),
                action=_table(kinds[names.action][rows], f"{where}: {names.action}"),
                reward=None if names.reward is None else kinds[names.reward][rows],
                terminated=ends.terminated[rows],
                next_observation=None if following is None else _table(kinds[following][rows], f"{where}: {following}"),
                physics=joined(names.physics, rows),
                next_physics=joined(names.next_physics, rows),
            ),
            f"{where}, rows {first} to {stop - 1}",
        )
        if episode is not None:
            yield episode


def count_steps(columns: Mapping[str, Column], following: bool, where: str) -> list[int]:
    """Steps of every episode of `read_flat`; `following`: whether the file has next observations."""
    ends = _ends(columns, where)
    steps = [
        stop - first - (not (following or ends.terminated[stop - 1]))
        for first, stop in spans(ends.terminated | ends.truncated)
    ]
    return [count for count in steps if count]


def _ends(columns: Mapping[str, Column], where: str, count: int | None = None) -> Ends:
    """The ends of `count` rows, or of as many as the arrays of ends have."""
    flags = {name: columns[name][:] for name in columns if name in KNOWN}
    return read_ends(flags, max(map(len, flags.values()), default=0) if count is None else count, where)


def _all(names: Names) -> list[str]:
    single = (names.observation, names.action, names.reward, names.next_observation)
    return [name for name in (*single, *names.physics, *names.next_physics) if name is not None]


def _table(array: np.ndarray, where: str) -> np.ndarray:
    """[T, size] of numbers; a column becomes [T, 1]."""
    if array.dtype.kind not in "fiub" or array.ndim > 2:
        raise UserError(f"{where} has shape {array.shape} and type {array.dtype}; it must be [rows, size], of numbers.")
    return array if array.ndim == 2 else array[:, None]
