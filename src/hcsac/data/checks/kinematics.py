"""Jumps that no single step can make, found in the observations alone.

Over one step, what a robot observes of its pose changes as a product of its pose and its velocities, whose middle is
(s + s') / 2. A quadratic form of this middle, fitted to the data themselves, so predicts s' - s in those columns that
are poses, up to the blows of contacts. An episode that goes on into another one breaks it by far.
"""

from collections.abc import Sequence

import numpy as np

from hcsac.data.episode import Episode

_LEAST_STEPS = 2000
_FIT_STEPS = 12_000
_MOST_FEATURES = 800
_EXPLAINED = 0.7  # of a column's usual change, for it to count as a pose
_MARGIN = 3.5  # times what 999 in 1000 steps stay under; good steps reached 2.8, the joints of four sets 8.6 and more


def jumps(episodes: Sequence[Episode]) -> list[np.ndarray] | None:
    """For each episode, whether each step is a jump, [T] bool; None where too few columns or steps tell."""
    now = np.concatenate([episode.observation[:-1] for episode in episodes]).astype(np.float64)
    change = np.concatenate([np.diff(episode.observation, axis=0) for episode in episodes]).astype(np.float64)
    if len(now) < _LEAST_STEPS:
        return None
    spread = now.std(axis=0)
    use = spread > 0
    change = change[:, use] / spread[use]
    middle = (now[:, use] - now[:, use].mean(axis=0)) / spread[use] + change / 2
    features = _quadratic(middle)
    seen = np.random.default_rng(0).permutation(len(now))[:_FIT_STEPS]
    gram = features[seen].T @ features[seen]
    weight = np.linalg.solve(gram + np.eye(len(gram)), features[seen].T @ change[seen])
    missed = np.abs(change - features @ weight)
    usual = np.median(missed, axis=0)
    pose = 1 - usual / np.maximum(np.median(np.abs(change), axis=0), 1e-12) > _EXPLAINED
    if pose.sum() < 2:
        return None
    size = np.sqrt(np.mean((missed[:, pose] / (usual[pose] + 1e-9)) ** 2, axis=1))
    far = size > _MARGIN * np.quantile(size, 0.999)
    return np.split(far, np.cumsum([len(episode) for episode in episodes])[:-1])


def _quadratic(x: np.ndarray) -> np.ndarray:
    """x [n, D] -> a one, x, and products of two of its columns (drawn, where there are too many), float64 [n, F]."""
    first, second = np.triu_indices(x.shape[1])
    if len(first) > _MOST_FEATURES:
        drawn = np.random.default_rng(0).choice(len(first), _MOST_FEATURES, replace=False)
        first, second = first[drawn], second[drawn]
    return np.concatenate([np.ones((len(x), 1)), x, x[:, first] * x[:, second]], axis=1)
