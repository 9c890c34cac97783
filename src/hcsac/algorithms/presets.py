"""Presets: what each named set changes from an algorithm's own defaults, where the algorithm has the setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hcsac.algorithms.registry import ALGORITHMS
from hcsac.errors import UserError, unknown
from hcsac.settings import Settings, Sharing, applicable, require_unique_names
from hcsac.sharing.rules import rule_settings

PAPER: dict[str, Any] = {
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

# Ours, for the sample and two cores: values settle within the budget (faster targets and rates), imitation keeps the
# policy on its feet until they have, and every update is cheap.
QUICK: dict[str, Any] = {
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
    "share_interval": 0.1,
    "updates": 4000,
    "evaluate_interval": 0.25,
    "evaluation_episodes": 5,
    "log_interval": 100,
    "precision": "auto",
}

# Ours, for the best policy on two cores; first choices, from the leads in docs/measurements.md.
BEST: dict[str, Any] = {
    "hidden_layers": 2,
    "embedding": "onehot",
    "standardise_observations": True,
    "actor_learning_rate": 1e-3,
    "critic_learning_rate": 1e-3,
    "actor_decay": "cosine",
    "critic_decay": "linear",
    "critic_layer_norm": "all",
    "policy_average": 0.999,
    "actors": 5,
    "disagreement_noise": 2.0,
    "start_weight": 8.0,
    "sharing": "auto",
    "share_interval": 0.1,
    "updates": 10_000,
    "evaluate_interval": 0.25,
    "evaluation_episodes": 5,
    "final_episodes": 50,
    "precision": "auto",
}

# slides: the method's slides, which are the defaults. paper: its authors' report. quick, best: ours.
PRESETS: dict[str, dict[str, Any]] = {"slides": {}, "paper": PAPER, "quick": QUICK, "best": BEST}
ALIASES = {"report": "paper", "default": "slides"}  # names of earlier versions, and the plain word
DEFAULT_PRESET, DEFAULT_ALGORITHM = "best", "one_step"  # of `hcsac train` and `hcsac.train`


def settings_of(name: str) -> type[Settings]:
    """The complete settings class of an algorithm: its own, and those of every sharing rule where it shares.

    Raises:
        UserError: no such algorithm.
    """
    kind = ALGORITHMS.get(name).settings_type
    return _complete(name, kind, rule_settings() if issubclass(kind, Sharing) else ())  # type: ignore[arg-type]


@cache
def _complete(name: str, kind: type[Settings], rules: tuple[type, ...]) -> type[Settings]:
    def reduce(self: Settings) -> tuple[Any, ...]:
        return recorded_settings, (name, self.as_dict())  # a worker makes the class anew

    body = {"__reduce__": reduce, "__doc__": kind.__doc__, "__module__": kind.__module__}
    complete: type[Settings] = dataclass(frozen=True, repr=False)(type(kind.__name__, (*rules, kind), body))
    require_unique_names(complete)
    return complete


def recorded_settings(name: str, content: Mapping[str, Any]) -> Settings:
    """The settings that a run's or a study's record holds; what the algorithm does not have is left out.

    Records of the first format list every setting for every algorithm.

    Raises:
        UserError: no such algorithm, or a value that its setting does not allow.
    """
    kind = settings_of(name)
    known = applicable(kind, content)
    if isinstance(norm := known.get("critic_layer_norm"), bool):  # of the first layer, in earlier records
        known["critic_layer_norm"] = "first" if norm else "none"
    return kind().replace(known)


def changed(name: str, settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings of an algorithm with changes from a file or the command line.

    Raises:
        UserError: a name that the algorithm does not have (it says which have it, or the nearest), or a wrong value.
    """
    for key in changes.keys() - applicable(type(settings), changes).keys():
        if owners := owners_of(key):
            raise UserError(f"{name} has no setting {key!r} ({', '.join(owners)} have it); leave it out.")
    return settings.replace(changes)


def owners_of(setting: str) -> list[str]:
    """The algorithms that have a setting of that name."""
    return [name for name in ALGORITHMS.names() if applicable(settings_of(name), {setting: None})]


def preset_names(name: str) -> tuple[str, ...]:
    """The presets of an algorithm."""
    return tuple(dict.fromkeys((*PRESETS, *ALGORITHMS.get(name).presets)))


def preset(name: str, algorithm: str) -> Settings:
    """The complete settings of a preset for an algorithm.

    Raises:
        UserError: no such preset or algorithm; the sentence says the nearest right one.
    """
    kind, known = settings_of(algorithm), preset_names(algorithm)
    name = ALIASES.get(name, name)
    if name not in known:
        raise unknown("preset", name, known)
    common = applicable(kind, PRESETS.get(name, {}))
    if not ALGORITHMS.get(algorithm).several_actors:
        common.pop("actors", None)
    return kind().replace(common | dict(ALGORITHMS.get(algorithm).presets.get(name, {})))
