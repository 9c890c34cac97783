"""Steps logged twice: whole episodes, or part of one inside another."""

from collections.abc import Iterator, Sequence

import numpy as np

from hcsac.data.checks.findings import Check, Finding, make_finding
from hcsac.data.checks.pieces import ROWS
from hcsac.data.episode import Episode

_WINDOW = 20  # steps that must be equal, to the last bit, before a stretch counts as a copy
_TOGETHER = 2_000_000  # windows compared at once


def check_repeats(episodes: Sequence[Episode]) -> Check:
    """Stretches of at least 20 steps (or of the shortest episode) whose states and actions occur elsewhere, too."""
    window = max(2, min(_WINDOW, min(len(episode) for episode in episodes)))
    copies = list(_copies(episodes, window))
    steps = sum(length for *_, length in copies)
    findings: list[Finding] = []
    for kind, chosen in (
        ("duplicated-episode", [copy for copy in copies if _whole(copy, episodes)]),
        ("repeated-steps", [copy for copy in copies if not _whole(copy, episodes)]),
    ):
        if chosen:
            first, at, second, there, length = chosen[0]
            what = f"steps {at} to {at + length - 1} of episode {first} occur again in episode {second}, "
            what += f"steps {there} to {there + length - 1}"
            more = f" ({len(chosen) - 1} more such copies)" if len(chosen) > 1 else ""
            findings.append(make_finding(kind, f"{what}{more}."))
    total = sum(len(episode) for episode in episodes)
    message = f"{steps} of {total} steps occur twice (a copy is a stretch of {window} or more equal steps)."
    return Check("repeated steps", message, tuple(findings), numbers={"copied_steps": steps})


def _whole(copy: tuple[int, int, int, int, int], episodes: Sequence[Episode]) -> bool:
    first, _, second, _, length = copy
    return length == max(len(episodes[first]), len(episodes[second]))


def _copies(episodes: Sequence[Episode], window: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(episode, step, other episode, its step, length), the longest stretches, in time order."""
    start = np.cumsum([0, *map(len, episodes)])
    shares = -(-int(start[-1]) // _TOGETHER)
    found = [_equal_windows(episodes, start, window, share, shares) for share in range(shares)]
    before, after = np.concatenate(found, axis=1)
    first, second = (np.searchsorted(start, at, side="right") - 1 for at in (before, after))
    begin = before - start[first]
    shift = after - start[second] - begin
    order = np.lexsort((begin, shift, second, first))
    rows = np.stack([first, second, shift, begin], axis=1)[order]
    # Consecutive windows of one pair of episodes at one shift are one copy.
    breaks = np.flatnonzero((np.diff(rows, axis=0) != (0, 0, 0, 1)).any(axis=1)) + 1
    for run in np.split(rows, breaks) if len(rows) else ():
        number, other, by, at = run[0].tolist()
        yield number, at, other, at + by, len(run) - 1 + window


def _equal_windows(episodes: Sequence[Episode], start: np.ndarray, window: int, share: int, shares: int) -> np.ndarray:
    """Pairs [2, n] of the first steps of equal windows, each counted from the first step of all episodes.

    Only the windows whose hash falls into this share of all hashes are compared: memory does not grow with the data.
    """
    keys, places = [], []
    for number, episode in enumerate(episodes):
        for first in range(0, max(0, len(episode) - window + 1), ROWS):
            key = _windows(_hashes(episode, first, first + ROWS + window - 1), window)
            chosen = (key >> np.uint64(32)) % np.uint64(shares) == share
            chosen &= _moves(episode.observation[first : first + len(key) + window - 1], window)
            keys.append(key[chosen])
            places.append(np.flatnonzero(chosen) + start[number] + first)
    key, at = np.concatenate([np.zeros(0, np.uint64), *keys]), np.concatenate([np.zeros(0, np.int64), *places])
    order = np.argsort(key, kind="stable")
    key = key[order]
    same = np.flatnonzero(key[1:] == key[:-1])
    return np.stack([at[order[same]], at[order[same + 1]]])


def _moves(observation: np.ndarray, window: int) -> np.ndarray:
    """Whether the state changes within each window; states at rest repeat themselves, which is no copy."""
    changes = np.append(0, np.cumsum((observation[1:] != observation[:-1]).any(axis=1)))
    return np.asarray(changes[window - 1 :] > changes[: len(changes) - window + 1])


def _hashes(episode: Episode, first: int, end: int) -> np.ndarray:
    """One 64-bit hash of each state and action from step `first` to `end`: a random linear form of their bits."""
    rows = np.concatenate([episode.observation[:-1][first:end], episode.action[first:end]], axis=1) + np.float32(0)
    bits = np.ascontiguousarray(rows, np.float32).view(np.uint32).astype(np.uint64)  # -0 is 0
    random = np.random.default_rng(0).integers(1, 2**63, bits.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    mixed = (bits * random).sum(axis=1, dtype=np.uint64)
    return mixed ^ (mixed >> np.uint64(31))


def _windows(rows: np.ndarray, window: int) -> np.ndarray:
    """One hash of each stretch of `window` rows, by Horner's rule."""
    key = np.zeros(len(rows) - window + 1, np.uint64)
    for offset in range(window):
        key = key * np.uint64(0x9E3779B97F4A7C15) + rows[offset : offset + len(key)]
    return key
