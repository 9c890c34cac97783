"""A policy and tasks in, returns out."""

from hcsac.evaluation.rollout import Act, Evaluator, random_policy

__all__ = ["Act", "Evaluator", "random_policy"]
