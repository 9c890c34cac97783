"""Trained policies: load one, act, evaluate, render, export and distil it."""

from hcsac.policy.distil import Distilled, distil_policy
from hcsac.policy.export import Exported, export_policy
from hcsac.policy.offline import OfflineEvaluation, OfflineTask, evaluate_offline
from hcsac.policy.policy import Policy, evaluate, load_policy
from hcsac.policy.video import render

__all__ = [
    "Distilled", "Exported", "OfflineEvaluation", "OfflineTask", "Policy", "distil_policy", "evaluate",
    "evaluate_offline", "export_policy", "load_policy", "render",
]  # fmt: skip
