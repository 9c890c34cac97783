"""Trained policies: load one, act, evaluate, render, export and distil it."""

from hcsac.policy.distil import Distilled, distil_policy
from hcsac.policy.export import Exported, export_policy
from hcsac.policy.policy import Policy, evaluate, load_policy
from hcsac.policy.video import render

__all__ = [
    "Distilled", "Exported", "Policy", "distil_policy", "evaluate", "export_policy", "load_policy", "render",
]  # fmt: skip
