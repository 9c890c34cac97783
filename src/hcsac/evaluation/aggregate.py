"""Numbers drawn from many runs of many tasks at once (Agarwal et al. 2021, arXiv 2108.13264, "rliable").

Scores are a matrix [R, M] of R seeds and M tasks. NaN says that there is no such run: it is left out, and a task
without any run counts for nothing. Intervals are 95 % percentile bootstrap intervals, stratified: within every task its
runs are drawn with replacement, whatever is drawn in another task. Where one training gives the runs of several tasks
these are drawn apart all the same, as rliable does, so the interval does not know that they rise and fall together.

A single seed tells nothing of other seeds: where no task has two runs, the ends of the interval are NaN. Runs that are
all alike give an interval of no width. What is random takes the seed of its generator and repeats.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hcsac.evaluation.statistics import ENDS, Estimate


class Profile(NamedTuple):
    """Share of runs above each threshold, with pointwise bands; all [T]."""

    thresholds: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Pairwise(NamedTuple):
    """[K, K]: how likely a run of the row's agent exceeds one of the column's; 1/2 without interval on the diagonal."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def iqm(scores: np.ndarray, draws: int = 10_000, seed: int = 0) -> Estimate:
    """Interquartile mean of scores [R, M]: what is left of all runs without the lowest and the highest quarter.

    As in rliable, a quarter is rounded down to whole runs, so that three runs are all kept.
    """
    from scipy.stats import trim_mean

    tasks = _runs(scores)
    if not tasks:
        return Estimate(np.nan, np.nan, np.nan)
    value = float(trim_mean(np.concatenate(tasks), 0.25))
    if not _spread(tasks):
        return Estimate(value, np.nan, np.nan)
    generator = np.random.default_rng(seed)
    drawn = [runs[generator.integers(0, len(runs), (draws, len(runs)))] for runs in tasks]
    low, high = np.quantile(trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1), ENDS)
    return Estimate(value, float(low), float(high))


def performance_profile(scores: np.ndarray, thresholds: np.ndarray, draws: int = 2_000, seed: int = 0) -> Profile:
    """Share of the runs in scores [R, M] that exceed each of thresholds [T]: the run-score distribution."""
    tasks = _runs(scores)
    nothing = np.full(len(thresholds), np.nan)
    if not tasks:
        return Profile(thresholds, nothing, nothing, nothing)
    above = [(runs[:, None] > thresholds).astype(float) for runs in tasks]
    share = np.concatenate(above).mean(0)
    if not _spread(tasks):
        return Profile(thresholds, share, nothing, nothing)
    generator = np.random.default_rng(seed)
    counted = [_counts(len(runs), draws, generator) @ over for runs, over in zip(tasks, above, strict=True)]
    low, high = np.quantile(np.sum(counted, axis=0).T / len(np.concatenate(tasks)), ENDS, axis=1)
    return Profile(thresholds, share, low, high)


def probability_of_improvement(x: np.ndarray, y: np.ndarray, draws: int = 2_000, seed: int = 0) -> Estimate:
    """Mean over tasks of P(X > Y) + P(X = Y) / 2, from scores x [Rx, M], y [Ry, M]: Mann and Whitney's U / (Rx Ry).

    The runs of x and of y are drawn apart, within each task. Tasks that only one of them has are left out.
    """
    value, low, high = (float(numbers[0, 1]) for numbers in pairwise_improvement([x, y], draws, seed))
    return Estimate(value, low, high)


def pairwise_improvement(scores: Sequence[np.ndarray], draws: int = 2_000, seed: int = 0) -> Pairwise:
    """`probability_of_improvement` of each of K agents over each other, from their scores [R_k, M] on the same M tasks.

    The bootstrap draws of an agent serve all its comparisons.
    """
    generator = np.random.default_rng(seed)
    agents = [[(runs, _counts(len(runs), draws, generator)) for runs in _columns(own)] for own in scores]
    value, low, high = (np.full((len(scores), len(scores)), fill) for fill in (0.5, np.nan, np.nan))
    for i, first in enumerate(agents):
        for j, second in enumerate(agents[:i]):
            points, samples, sizes = [], [], [0]
            for (x, times_x), (y, times_y) in zip(first, second, strict=True):
                if len(x) and len(y):
                    wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)  # [Rx, Ry]
                    points.append(wins.mean())
                    samples.append(np.einsum("dy,dy->d", times_x @ wins, times_y) / wins.size)
                    sizes += [len(x), len(y)]
            value[i, j] = np.mean(points) if points else np.nan
            if max(sizes) > 1:
                low[i, j], high[i, j] = np.quantile(np.mean(samples, axis=0), ENDS)
            value[j, i], low[j, i], high[j, i] = 1 - value[i, j], 1 - high[i, j], 1 - low[i, j]
    return Pairwise(value, low, high)


def _columns(scores: np.ndarray) -> list[np.ndarray]:
    """The runs that there are, task by task."""
    return [column[~np.isnan(column)] for column in scores.T]


def _runs(scores: np.ndarray) -> list[np.ndarray]:
    return [runs for runs in _columns(scores) if len(runs)]


def _spread(tasks: list[np.ndarray]) -> bool:
    return any(len(runs) > 1 for runs in tasks)


def _counts(runs: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """How often each run is met when as many as there are are drawn with replacement, [draws, runs]."""
    if runs == 0:
        return np.zeros((draws, 0))
    return generator.multinomial(runs, np.full(runs, 1 / runs), draws).astype(float)
