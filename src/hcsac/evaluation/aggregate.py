"""Aggregate statistics over runs and tasks (Agarwal et al. 2021, arXiv 2108.13264, "rliable").

Scores are a matrix [R, M] of R seeds and M tasks. NaN means that there is no such run: it is left out, and so is a task
without runs. Intervals are 95 % percentile bootstrap intervals, stratified by task: the runs of each task are drawn
with replacement, independently of other tasks. As in rliable, that is so also where one training gives the runs of
several tasks, so the intervals do not include their correlation.

Where no task has two runs, the ends of the interval are NaN. Equal runs give an interval of width 0. Functions that
draw random numbers take a seed and are reproducible.
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
    """[K, K]: probability that a run of the row's algorithm exceeds one of the column's; 1/2 on the diagonal."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def iqm(scores: np.ndarray, draws: int = 10_000, seed: int = 0) -> Estimate:
    """Interquartile mean of scores [R, M]: the mean of all runs but the lowest and the highest quarter.

    As in rliable, a quarter is rounded down to whole runs: of three runs none is left out.
    """
    from scipy.stats import trim_mean

    tasks = _runs(scores)
    if not tasks:
        return Estimate(np.nan, np.nan, np.nan)
    value = float(trim_mean(np.concatenate(tasks), 0.25))
    if not _several_runs(tasks):
        return Estimate(value, np.nan, np.nan)
    generator = np.random.default_rng(seed)
    samples = [runs[generator.integers(0, len(runs), (draws, len(runs)))] for runs in tasks]
    low, high = np.quantile(trim_mean(np.concatenate(samples, axis=1), 0.25, axis=1), ENDS)
    return Estimate(value, float(low), float(high))


def performance_profile(scores: np.ndarray, thresholds: np.ndarray, draws: int = 2_000, seed: int = 0) -> Profile:
    """Share of the runs in scores [R, M] that exceed each of thresholds [T]: the run-score distribution."""
    tasks = _runs(scores)
    unknown = np.full(len(thresholds), np.nan)
    if not tasks:
        return Profile(thresholds, unknown, unknown, unknown)
    above = [(runs[:, None] > thresholds).astype(float) for runs in tasks]
    share = np.concatenate(above).mean(0)
    if not _several_runs(tasks):
        return Profile(thresholds, share, unknown, unknown)
    generator = np.random.default_rng(seed)
    sums = [_counts(len(runs), draws, generator) @ exceeds for runs, exceeds in zip(tasks, above, strict=True)]
    low, high = np.quantile(np.sum(sums, axis=0).T / len(np.concatenate(tasks)), ENDS, axis=1)
    return Profile(thresholds, share, low, high)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation of two lists of numbers, [n] and [n]; NaN for fewer than 3 or where all are equal."""
    from scipy.stats import spearmanr

    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(spearmanr(x, y)[0])


def probability_of_improvement(x: np.ndarray, y: np.ndarray, draws: int = 2_000, seed: int = 0) -> Estimate:
    """Mean over tasks of P(X > Y) + P(X = Y) / 2, from scores x [Rx, M], y [Ry, M]: Mann and Whitney's U / (Rx Ry).

    The runs of x and of y are resampled independently, within each task. Tasks that only one of them has are left out.
    """
    value, low, high = (float(numbers[0, 1]) for numbers in pairwise_improvement([x, y], draws, seed))
    return Estimate(value, low, high)


def pairwise_improvement(scores: Sequence[np.ndarray], draws: int = 2_000, seed: int = 0) -> Pairwise:
    """`probability_of_improvement` of each of K algorithms over each other, from scores [R_k, M] on the same M tasks.

    All comparisons of an algorithm use the same bootstrap samples of it.
    """
    generator = np.random.default_rng(seed)
    algorithms = [[(runs, _counts(len(runs), draws, generator)) for runs in _columns(own)] for own in scores]
    value, low, high = (np.full((len(scores), len(scores)), fill) for fill in (0.5, np.nan, np.nan))
    for i, first in enumerate(algorithms):
        for j, second in enumerate(algorithms[:i]):
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
    """The existing runs of each task."""
    return [column[~np.isnan(column)] for column in scores.T]


def _runs(scores: np.ndarray) -> list[np.ndarray]:
    return [runs for runs in _columns(scores) if len(runs)]


def _several_runs(tasks: list[np.ndarray]) -> bool:
    return any(len(runs) > 1 for runs in tasks)


def _counts(runs: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """How often each of the runs is drawn, [draws, runs], when as many are drawn with replacement."""
    if runs == 0:
        return np.zeros((draws, 0))
    return generator.multinomial(runs, np.full(runs, 1 / runs), draws).astype(float)
