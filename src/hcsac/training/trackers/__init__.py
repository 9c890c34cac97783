"""Experiment trackers, one module a tool: TensorBoard for every run, the others by name (`--track`)."""

from collections.abc import Sequence

from hcsac.errors import unknown
from hcsac.training.trackers.base import Tracker
from hcsac.training.trackers.mlflow import MLflow
from hcsac.training.trackers.tensorboard import TensorBoard
from hcsac.training.trackers.trackio import Trackio
from hcsac.training.trackers.wandb import WandB

TRACKERS: dict[str, type[Tracker]] = {kind.name: kind for kind in (TensorBoard, WandB, MLflow, Trackio)}


def require_trackers(names: Sequence[str]) -> None:
    """Check before anything is written that these trackers can be used.

    Raises:
        UserError: an unknown name, or a library that is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
        TRACKERS[name].require()


def make_trackers(names: Sequence[str]) -> list[Tracker]:
    """TensorBoard and the trackers of these names, each once, not yet started."""
    return [TRACKERS[name]() for name in dict.fromkeys(("tensorboard", *names))]
