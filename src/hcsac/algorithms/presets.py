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
    # Ours, for the sample and two cores: values settle within the budget (faster targets and rates), imitation keeps
    # the policy on its feet until they have, and every update is cheap.
    "quick": (
        {
            "hidden_layers": 2,
            "embedding": "onehot",
            "standardise_observations": True,
            "actor_learning_rate": 1e-3,
            "critic_learning_rate": 1e-3,
            "target_rate": 0.02,
            "backup_entropy": False,
            "initial_temperature": 0.1,
            "bc_warmup": 1500,
            "bc_weight": 5.0,
            "cql_samples": 4,
            "cql_backward": "sampled",
            "share_interval": 20,
            "updates": 4000,
            "evaluate_interval": 20,
            "evaluation_episodes": 5,
            "log_interval": 100,
            "precision": "auto",
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
