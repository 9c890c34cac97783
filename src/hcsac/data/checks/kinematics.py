"""Jumps that no single step can make, found in the observations alone.

Over one step, the observed pose changes as a product of pose and velocities at their midpoint (s + s') / 2. A quadratic
form of the midpoint, fitted to the data themselves, thus predicts s' - s in the columns that are poses, except at
contacts. Where an episode continues into another one, the prediction error is far larger.
"""

from collections.abc import Sequence

import numpy as np

from hcsac.data.episode import Episode

_LEAST_STEPS = 2000
_FIT_STEPS = 12_000
_MOST_FEATURES = 800
_EXPLAINED = 0.7  # share of a column's typical change that must be predicted for it to count as a pose
# Threshold in units of the 0.999 quantile of all steps: correct steps of four datasets reached 2.8, merged episodes at
# least 8.6.
_MARGIN = 3.5


def jumps(episodes: Sequence[Episode]) -> list[np.ndarray] | None:
    """For each episode, whether each step is a jump, [T] bool; None with too few steps or columns that are poses."""
    now = np.concatenate([episode.observation[:-1] for episode in episodes]).astype(np.float64)
    change = np.concatenate([np.diff(episode.observation, axis=0) for episode in episodes]).astype(np.float64)
    if len(now) < _LEAST_STEPS:
        return None
    spread = now.std(axis=0)
    use = spread > 0
    change = change[:, use] / spread[use]
    middle = (now[:, use] - now[:, use].mean(axis=0)) / spread[use] + change / 2
    features = _quadratic(middle)
    fitted = np.random.default_rng(0).permutation(len(now))[:_FIT_STEPS]
    gram = features[fitted].T @ features[fitted]
    weight = np.linalg.solve(gram + np.eye(len(gram)), features[fitted].T @ change[fitted])
    error = np.abs(change - features @ weight)
    typical = np.median(error, axis=0)
    pose = 1 - typical / np.maximum(np.median(np.abs(change), axis=0), 1e-12) > _EXPLAINED
    if pose.sum() < 2:
        return None
    size = np.sqrt(np.mean((error[:, pose] / (typical[pose] + 1e-9)) ** 2, axis=1))
    far = size > _MARGIN * np.quantile(size, 0.999)
    return np.split(far, np.cumsum([len(episode) for episode in episodes])[:-1])


def _quadratic(x: np.ndarray) -> np.ndarray:
    """x [n, D] -> 1, x, and products of two of its columns (a random subset if there are too many), float64 [n, F]."""
    first, second = np.triu_indices(x.shape[1])
    if len(first) > _MOST_FEATURES:
        drawn = np.random.default_rng(0).choice(len(first), _MOST_FEATURES, replace=False)
        first, second = first[drawn], second[drawn]
    return np.concatenate([np.ones((len(x), 1)), x, x[:, first] * x[:, second]], axis=1)
