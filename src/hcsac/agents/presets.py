"""Presets as data: what each named set changes from the defaults of `Settings` (which are the slides')."""

from typing import Any

from hcsac.errors import unknown
from hcsac.settings import Settings

AGENTS = ("bc", "csac", "mtcsac", "hcsac")

_SMALL = {"hidden_size": 256, "batch_size": 256}  # the authors' code leaves BC and CSAC at this size

_REPORT: dict[str, Any] = {
    "hidden_size": 1024,
    "batch_size": 1024,
    "actor_learning_rate": 1e-4,
    "critic_learning_rate": 3e-4,
    "target_rate": 0.01,
    "cql_weight": 10.0,
    "backup_entropy": False,
    "next_actions": "target_at_next",
    "embedding": "concat",
}

# name -> (for every agent, for single agents)
PRESETS: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]]]] = {
    "slides": ({}, {}),
    "report": (_REPORT, {"bc": {**_SMALL, "actor_learning_rate": 1e-3}, "csac": _SMALL}),
    "quick": (
        {
            "hidden_layers": 2,
            "embedding": "onehot",
            "standardise_observations": True,
            "cql_samples": 4,
            "bc_warmup": 2000,
            "share_interval": 25,
            "updates": 4000,
            "evaluate_interval": 25,
            "evaluation_episodes": 5,
            "log_interval": 100,
        },
        {},
    ),
}


def preset(name: str, agent: str) -> Settings:
    """The complete settings of a preset for an agent.

    Raises:
        UserError: no such preset or agent; the sentence says the nearest right one.
    """
    if agent not in AGENTS:
        raise unknown("agent", agent, AGENTS)
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    common, single = PRESETS[name]
    return Settings().replace(common | single.get(agent, {}))
