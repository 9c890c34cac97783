"""Training, and the records it leaves in a run directory."""

from typing import TYPE_CHECKING

from hcsac.lazy import at_first_use

if TYPE_CHECKING:
    from hcsac.training.callbacks import Callback
    from hcsac.training.progress import Progress
    from hcsac.training.results import last_returns, learning_curve, summary, updates_done
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
    "updates_done",
]

# Where each is defined: who reads a run needs no torch.
__getattr__ = at_first_use(
    __name__,
    {
        "callbacks": ("Callback",),
        "progress": ("Progress",),
        "results": ("last_returns", "learning_curve", "summary", "updates_done"),
        "run_directory": ("RunDirectory",),
        "setup": ("train",),
        "sharing_log": ("SharedUse", "TransitionHistory", "transition_history"),
        "trackers": ("require_trackers",),
    },
)
