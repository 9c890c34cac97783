"""Jumps that no single step can make, found in the observations alone.

Over one step, the observed pose changes as a product of pose and velocities at their midpoint (s + s') / 2. A quadratic
form of the midpoint, fitted to the data themselves, thus predicts s' - s in the columns that are poses, except at
contacts. Where an episode continues into another one, the prediction error is far larger in that one step. A violent
motion, as of an arm that slips off an object, lasts several steps.
"""

from collections.abc import Sequence

import numpy as np

from hcsac.data.checks.pieces import pieces
from hcsac.data.checks.steps import choose
from hcsac.data.episode import Episode

_LEAST_STEPS = 2000
_FIT_STEPS = 12_000
_MOST_FEATURES = 800
_EXPLAINED = 0.7  # share of a column's typical change that must be predicted for it to count as a pose
# Threshold in units of the 0.999 quantile of all steps: correct steps of four datasets reached 2.8, those of a
# synthetic system more than 3.5, merged episodes at least 8.6.
_MARGIN = 5.0
_QUANTILE = 0.999
_NEAR = 5  # steps around a jump in which no other error may reach half of the threshold


def jumps(episodes: Sequence[Episode]) -> list[tuple[int, int]] | None:
    """The (episode, step) of every jump, in time order; None with too few steps or columns that are poses."""
    total = sum(map(len, episodes))
    if total < _LEAST_STEPS:
        return None
    fitted = choose(episodes, _FIT_STEPS, seed=0)
    now = fitted.take(lambda e: e.observation).astype(np.float64)
    spread = now.std(axis=0)
    use = spread > 0
    mean, scale = now.mean(axis=0)[use], spread[use]
    features, change = _at_middle(now, fitted.take(lambda e: e.observation, 1), use, mean, scale)
    weight = np.linalg.solve(features.T @ features + np.eye(features.shape[1]), features.T @ change)
    typical = np.median(np.abs(change - features @ weight), axis=0)
    pose = 1 - typical / np.maximum(np.median(np.abs(change), axis=0), 1e-12) > _EXPLAINED
    if pose.sum() < 2:
        return None
    size, at, before = np.zeros(0), np.zeros(0, np.int64), 0  # of the largest errors
    most = int(np.ceil((1 - _QUANTILE) * total)) + 1
    steps = zip(
        pieces(episodes, lambda e: e.observation[:-1]),
        pieces(episodes, lambda e: e.observation[1:]),
        strict=True,
    )
    for now, following in steps:
        features, change = _at_middle(now, following, use, mean, scale)
        error = np.abs(change[:, pose] - features @ weight[:, pose])
        size = np.append(size, np.sqrt(np.mean((error / (typical[pose] + 1e-9)) ** 2, axis=1)))
        at = np.append(at, np.arange(before, before + len(now)))
        before += len(now)
        if len(size) > most:
            largest = np.argpartition(size, -most)[-most:]
            size, at = size[largest], at[largest]
    threshold = _MARGIN * _upper_quantile(size, total)
    lively = np.sort(at[size > threshold / 2])
    alone = np.searchsorted(lively, at + _NEAR, side="right") - np.searchsorted(lively, at - _NEAR) == 1
    far = np.sort(at[(size > threshold) & alone])
    start = np.cumsum([0, *map(len, episodes)])
    number = np.searchsorted(start, far, side="right") - 1
    return list(zip(number.tolist(), (far - start[number]).tolist(), strict=True))


def _at_middle(
    now: np.ndarray, following: np.ndarray, use: np.ndarray, mean: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The quadratic form of the midpoints, [n, F], and the changes from one observation to the next one, [n, D]."""
    change = (following.astype(np.float64) - now)[:, use] / scale
    return _quadratic((now[:, use] - mean) / scale + change / 2), change


def _upper_quantile(largest: np.ndarray, total: int) -> float:
    """The `_QUANTILE` of `total` values, of which these are the largest; interpolated as by `np.quantile`."""
    rank = _QUANTILE * (total - 1)
    low, high = np.sort(largest)[int(rank) - total :][:2]
    return float(low + (rank % 1) * (high - low))


def _quadratic(x: np.ndarray) -> np.ndarray:
    """x [n, D] -> 1, x, and products of two of its columns (a random subset if there are too many), float64 [n, F]."""
    first, second = np.triu_indices(x.shape[1])
    if len(first) > _MOST_FEATURES:
        drawn = np.random.default_rng(0).choice(len(first), _MOST_FEATURES, replace=False)
        first, second = first[drawn], second[drawn]
    return np.concatenate([np.ones((len(x), 1)), x, x[:, first] * x[:, second]], axis=1)
