"""Steps logged twice: whole episodes, or part of one inside another."""

from collections.abc import Iterator, Sequence

import numpy as np

from hcsac.data.checks.findings import Check, Finding, make_finding
from hcsac.data.episode import Episode

_WINDOW = 20  # steps that must be equal, to the last bit, before a stretch counts as a copy


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
    keys, owner, start = [], [], []
    for number, episode in enumerate(episodes):
        rows = _hashes(episode)
        windows = max(0, len(rows) - window + 1)
        keys.append(_windows(rows, windows, window))
        # States at rest repeat themselves; that is no copy.
        moves = np.abs(np.diff(episode.observation, axis=0)).max(axis=1) > 0
        resting = np.array([not moves[t : t + window - 1].any() for t in range(windows)], bool)
        keys[-1][resting] = np.arange(resting.sum(), dtype=np.uint64) + np.uint64(1 << 40) * np.uint64(number + 1)
        owner.append(np.full(windows, number))
        start.append(np.arange(windows))
    key, of, at = np.concatenate(keys), np.concatenate(owner), np.concatenate(start)
    order = np.argsort(key, kind="stable")
    same = np.flatnonzero(key[order][1:] == key[order][:-1])
    before, after = order[same], order[same + 1]
    pairs = sorted(
        zip(
            of[before].tolist(), of[after].tolist(), (at[after] - at[before]).tolist(), at[before].tolist(), strict=True
        )
    )
    for first, second, shift, begin, end in _runs(pairs):
        yield first, begin, second, begin + shift, end - begin + window


def _runs(pairs: list[tuple[int, int, int, int]]) -> Iterator[tuple[int, int, int, int, int]]:
    """Consecutive windows of one pair of episodes at one shift, joined: (first, second, shift, begin, last begin)."""
    index = 0
    while index < len(pairs):
        *which, begin = pairs[index]
        end = begin
        while index + 1 < len(pairs) and pairs[index + 1] == (*which, end + 1):
            index, end = index + 1, end + 1
        yield which[0], which[1], which[2], begin, end
        index += 1


def _hashes(episode: Episode) -> np.ndarray:
    """One 64-bit hash [T] of each state and action: a random linear form of their bits."""
    rows = np.concatenate([episode.observation[:-1], episode.action], axis=1) + np.float32(0)  # -0 is 0
    bits = np.ascontiguousarray(rows, np.float32).view(np.uint32).astype(np.uint64)
    random = np.random.default_rng(0).integers(1, 2**63, bits.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    mixed = (bits * random).sum(axis=1, dtype=np.uint64)
    return mixed ^ (mixed >> np.uint64(31))


def _windows(rows: np.ndarray, count: int, window: int) -> np.ndarray:
    """One hash [count] of each stretch of `window` rows, by Horner's rule."""
    key = np.zeros(count, np.uint64)
    for offset in range(window):
        key = key * np.uint64(0x9E3779B97F4A7C15) + rows[offset : offset + count]
    return key
