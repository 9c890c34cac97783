"""A policy and tasks in, returns out."""

from hcsac.evaluation.aggregate import (
    Pairwise,
    Profile,
    iqm,
    pairwise_improvement,
    performance_profile,
    probability_of_improvement,
)
from hcsac.evaluation.rollout import Act, Evaluator, random_policy
from hcsac.evaluation.statistics import (
    Estimate,
    gap,
    improvement,
    improvements,
    mean_std,
    normalise,
    paired_interval,
    returns_table,
    score,
    verdict,
)

__all__ = [
    "Act",
    "Estimate",
    "Evaluator",
    "Pairwise",
    "Profile",
    "gap",
    "improvement",
    "improvements",
    "iqm",
    "mean_std",
    "normalise",
    "paired_interval",
    "pairwise_improvement",
    "performance_profile",
    "probability_of_improvement",
    "random_policy",
    "returns_table",
    "score",
    "verdict",
]
