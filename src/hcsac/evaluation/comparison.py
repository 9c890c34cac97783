"""Failed episodes of a policy, and the difference between two policies on the same initial states.

Returns are arrays [R, episodes] of R seeds; episode e starts from the same initial state in every seed.
"""

import numpy as np

from hcsac.evaluation.statistics import ENDS, Estimate


def failed_share(returns: np.ndarray) -> np.ndarray:
    """Share of failed episodes of every seed [R], from returns [R, episodes].

    An episode has failed if its return is below the median of all these returns by more than half of the median's
    magnitude: where returns are positive, if it is below half of the median. So a policy that is equally bad in every
    episode has no failed one. NaN where a return is NaN.
    """
    median = np.median(returns)
    if np.isnan(median):
        return np.full(len(returns), np.nan)
    return (returns < median - abs(median) / 2).mean(1)


def paired_difference(
    returns: np.ndarray, baseline: np.ndarray, same_seeds: bool, draws: int = 10_000, seed: int = 0
) -> Estimate:
    """Mean return minus that of a baseline on the same initial states, with its 95 % bootstrap interval.

    Each bootstrap sample draws initial states, the same for both sides and for all seeds, and seeds of training, all
    with replacement and independently of each other (the pigeonhole bootstrap of crossed factors: Owen 2007, Annals of
    Applied Statistics 1(2), 386-411). So the interval covers other seeds and other initial states. Drawing episodes
    within each seed instead, as `paired_interval` does, takes the effect of an initial state for independent between
    seeds, and is too narrow where some states are harder for one of the two policies.

    For normal returns of 50 episodes with equal variances of seeds, initial states (of each side) and rest, it covered
    the true difference in 77 of 100 experiments with three seeds, 89 with five and 93 with ten; without variance of
    seeds in 96. Where neither seeds nor initial states matter, it is up to 1.7 times as wide as it needs to be.

    Args:
        returns: [R, episodes].
        baseline: [R', episodes], from the same initial states.
        same_seeds: whether row r of both belongs to the same seed: rows are then drawn in pairs, else on each side
            independently.
    """
    generator = np.random.default_rng(seed)
    own = _drawn(len(returns), draws, generator)
    other = own if same_seeds else _drawn(len(baseline), draws, generator)
    episodes = _drawn(returns.shape[1], draws, generator)
    differences = ((own @ returns - other @ baseline) * episodes).sum(1)
    low, high = np.quantile(differences, ENDS)
    return Estimate(float(returns.mean() - baseline.mean()), float(low), float(high))


def _drawn(count: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """The weight of each of `count` things in every sample, [draws, count], when as many are drawn with replacement."""
    return generator.multinomial(count, np.full(count, 1 / count), draws) / count
