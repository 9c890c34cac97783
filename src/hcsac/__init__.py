"""hcsac: one policy for all tasks of a robot, learned from logged data alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hcsac.lazy import at_first_use

if TYPE_CHECKING:
    from hcsac.algorithms import Algorithm, algorithm, preset
    from hcsac.data import Dataset, Episode, dataset_format, load
    from hcsac.errors import UserError
    from hcsac.experiments.metrics import metric
    from hcsac.policy import Policy, distil_policy, evaluate, export_policy, load_policy
    from hcsac.settings import Settings
    from hcsac.sharing.rules import Selection, sharing_rule
    from hcsac.tasks import Task, make_env, register_task, walker_speed
    from hcsac.training import Callback, RunDirectory, train
    from hcsac.types import Spec

__all__ = [
    "Algorithm", "Callback", "Dataset", "Episode", "Policy", "RunDirectory", "Selection", "Settings", "Spec", "Task",
    "UserError", "algorithm", "dataset_format", "distil_policy", "evaluate", "export_policy", "load", "load_policy",
    "make_env", "metric", "preset", "register_task", "sharing_rule", "train", "walker_speed",
]  # fmt: skip

# Where each name lives. It is imported when it is first used: a process that only steps a simulator needs no torch.
__getattr__ = at_first_use(
    __name__,
    {
        "algorithms": ("Algorithm", "algorithm", "preset"),
        "data": ("Dataset", "Episode", "dataset_format", "load"),
        "errors": ("UserError",),
        "experiments.metrics": ("metric",),
        "policy": ("Policy", "distil_policy", "evaluate", "export_policy", "load_policy"),
        "settings": ("Settings",),
        "sharing.rules": ("Selection", "sharing_rule"),
        "tasks": ("Task", "make_env", "register_task", "walker_speed"),
        "training": ("Callback", "RunDirectory", "train"),
        "types": ("Spec",),
        **dict.fromkeys(
            ("cli", "collection", "evaluation", "files", "networks", "losses", "registry", "sharing", "experiments"), ()
        ),
    },
)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
