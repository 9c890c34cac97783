"""Training and what comes out of it."""

from hcsac.training.directory import RunDirectory
from hcsac.training.loop import train
from hcsac.training.policy import Policy, evaluate, load_policy

__all__ = ["Policy", "RunDirectory", "evaluate", "load_policy", "train"]
