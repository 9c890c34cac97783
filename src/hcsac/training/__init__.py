"""Training, and the records it leaves in a run directory."""

from hcsac.training.callbacks import Callback
from hcsac.training.progress import Progress
from hcsac.training.results import last_returns, learning_curve, summary
from hcsac.training.run_directory import RunDirectory
from hcsac.training.setup import train
from hcsac.training.sharing_log import SharedUse, TransitionHistory, transition_history
from hcsac.training.trackers import require_trackers

__all__ = [
    "Callback",
    "Progress",
    "RunDirectory",
    "SharedUse",
    "TransitionHistory",
    "last_returns",
    "learning_curve",
    "require_trackers",
    "summary",
    "train",
    "transition_history",
]
