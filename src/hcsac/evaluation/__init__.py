"""A policy and tasks in, returns out."""

from hcsac.evaluation.render import RenderUnavailable, Rollout, View, find_backend
from hcsac.evaluation.rollout import FIRST_SEED, Act, Evaluator, random_policy
from hcsac.evaluation.statistics import mean_std, paired_interval, returns_table, score

__all__ = [
    "FIRST_SEED",
    "Act",
    "Evaluator",
    "RenderUnavailable",
    "Rollout",
    "View",
    "find_backend",
    "mean_std",
    "paired_interval",
    "random_policy",
    "returns_table",
    "score",
]
