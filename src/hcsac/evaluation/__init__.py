"""Evaluation of policies in simulators: returns, their statistics, and rendered episodes."""

from hcsac.evaluation.action_noise import action_noise
from hcsac.evaluation.aggregate import (
    Pairwise,
    Profile,
    iqm,
    pairwise_improvement,
    performance_profile,
    probability_of_improvement,
    rank_correlation,
)
from hcsac.evaluation.comparison import failed_share, paired_difference
from hcsac.evaluation.render import RenderUnavailable, Rollout, View, find_backend
from hcsac.evaluation.rollout import FIRST_SEED, LONGEST, Act, Evaluator, Noise, random_policy
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
    "FIRST_SEED",
    "LONGEST",
    "Act",
    "Estimate",
    "Evaluator",
    "Noise",
    "Pairwise",
    "Profile",
    "RenderUnavailable",
    "Rollout",
    "View",
    "action_noise",
    "failed_share",
    "find_backend",
    "gap",
    "improvement",
    "improvements",
    "iqm",
    "mean_std",
    "normalise",
    "paired_difference",
    "paired_interval",
    "pairwise_improvement",
    "performance_profile",
    "probability_of_improvement",
    "random_policy",
    "rank_correlation",
    "returns_table",
    "score",
    "verdict",
]
