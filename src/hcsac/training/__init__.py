"""Training and what comes out of it."""

from hcsac.training.directory import RunDirectory
from hcsac.training.ledger import Borrowing, RowHistory, borrowers
from hcsac.training.loop import train
from hcsac.training.policy import Policy, evaluate, load_policy
from hcsac.training.progress import Progress
from hcsac.training.results import last_returns, learning_curve, summary
from hcsac.training.trackers import require_trackers
from hcsac.training.video import render

__all__ = [
    "Borrowing",
    "Policy",
    "Progress",
    "RowHistory",
    "RunDirectory",
    "borrowers",
    "evaluate",
    "last_returns",
    "learning_curve",
    "load_policy",
    "render",
    "require_trackers",
    "summary",
    "train",
]
