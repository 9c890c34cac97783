"""Trained policies: load one, act, evaluate, render and export it."""

from hcsac.policy.export import Exported, export_policy
from hcsac.policy.policy import Policy, evaluate, load_policy
from hcsac.policy.video import render

__all__ = ["Exported", "Policy", "evaluate", "export_policy", "load_policy", "render"]
