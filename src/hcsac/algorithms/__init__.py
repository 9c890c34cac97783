"""The algorithms by name: what `hcsac train NAME` trains."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch

from hcsac.algorithms import bc, conservative_sac, iql, one_step, rebrac, td3_bc  # noqa: F401 (they register themselves)
from hcsac.algorithms.adam import Adam
from hcsac.algorithms.algorithm import Algorithm, Random, polyak_update
from hcsac.algorithms.policy import DeterministicPolicy, Scaling, SingleReplicaPolicy
from hcsac.algorithms.presets import (
    DEFAULT_ALGORITHM,
    DEFAULT_PRESET,
    PRESETS,
    changed,
    owners_of,
    preset,
    preset_names,
    recorded_settings,
    settings_of,
)
from hcsac.algorithms.registry import ALGORITHMS, algorithm, sentence
from hcsac.errors import UserError
from hcsac.networks.embedding import give_numbers
from hcsac.registry import SHARING_RULES
from hcsac.settings import Settings
from hcsac.sharing.rules import resolve_rule, rule_of
from hcsac.sharing.selection import directions
from hcsac.tasks.registry import TASKS
from hcsac.types import Parameter, Spec

__all__ = [
    "ALGORITHMS",
    "DEFAULT_ALGORITHM",
    "DEFAULT_PRESET",
    "PRESETS",
    "Adam",
    "Algorithm",
    "DeterministicPolicy",
    "Random",
    "Scaling",
    "SingleReplicaPolicy",
    "algorithm",
    "changed",
    "make_algorithm",
    "make_policy",
    "owners_of",
    "plugins_of",
    "polyak_update",
    "preset",
    "preset_names",
    "recorded_settings",
    "resolve",
    "sentence",
    "settings_of",
]


def resolve(name: str, settings: Settings, tasks: Sequence[str], relabels: bool = False) -> Settings:
    """The settings as this algorithm runs them on these tasks, with what the machine decides filled in.

    Args:
        relabels: whether the rewards of all tasks can be recomputed for the data, which `sharing = auto` depends on.

    Raises:
        UserError: no such algorithm, several tasks for one that learns one alone, settings of another algorithm,
            settings that exclude each other, or no such device.
    """
    kind = ALGORITHMS.get(name)
    if not isinstance(settings, kind.settings_type):
        raise UserError(
            f"{name} takes {kind.settings_type.__name__}, not {type(settings).__name__}; "
            f"start from hcsac.preset('slides', {name!r})."
        )
    if len(tasks) > 1 and not kind.multi_task:
        raise UserError(
            f"{name} learns one task, but the data have {', '.join(tasks)}; choose one with --tasks or use "
            "an algorithm of several tasks, as mtcsac."
        )
    if settings.actors > 1 and not kind.several_actors:
        raise UserError(f"{name} trains a single actor, not actors = {settings.actors}; leave the setting at 1.")
    if getattr(settings, "sharing", None) == "auto":
        shares = relabels and len(tasks) > 1
        settings = settings.replace({"sharing": "all", "reward_rule": "recompute"} if shares else {"sharing": "none"})
    settings = settings.replace(resolve_rule(settings))
    rule = rule_of(settings)
    if rule is not None:
        directions(getattr(settings, "share", None), tasks)
        if rule.needs_values and not kind.has_values():
            raise UserError(
                f"sharing = {rule.name!r} selects by values, and {name} has none (it gives no `score`); "
                "choose a rule that needs none, as all."
            )
    settings.require_consistent()
    if settings.embedding == "number" and Parameter.of(tasks) is None:
        raise UserError(
            f"embedding = 'number' needs tasks that differ by a number, as walker-speed:1 and walker-speed:2, not "
            f"{', '.join(tasks)}; use another embedding, or --task-parameter."
        )
    return settings.replace(_of_this_machine(settings))


def _of_this_machine(settings: Settings) -> dict[str, str]:
    """Device and precision, where they are left to the machine."""
    cuda, device = torch.cuda.is_available(), settings.device
    if device != "auto" and not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UserError(f"setting device = {device!r} is not a choice; give auto, cpu, cuda or cuda:N.")
    if device.startswith("cuda") and not cuda:
        raise UserError(f"setting device = {device!r}, but PyTorch sees no GPU here; use --device cpu or auto.")
    if device.startswith("cuda:") and int(device[5:]) >= torch.cuda.device_count():
        raise UserError(
            f"setting device = {device!r}, but PyTorch sees GPUs 0 to {torch.cuda.device_count() - 1} here; "
            "give one of these."
        )
    device = ("cuda" if cuda else "cpu") if device == "auto" else device
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if _fast_bf16(device.startswith("cuda")) else "float32"
    return {"device": device, "precision": precision}


def make_algorithm(
    name: str,
    spec: Spec,
    settings: Settings,
    seeds: Sequence[int],
    scaling: Scaling | None = None,
    compiled: bool = False,
) -> Algorithm:
    """The algorithm of that name, from resolved settings."""
    made: Algorithm = ALGORITHMS.get(name)(spec, settings, seeds, scaling, compiled)
    return made


def make_policy(name: str, spec: Spec, settings: Any, replicas: int) -> DeterministicPolicy:
    """The policy of such an algorithm on the CPU, without critics; its tensors wait to be loaded."""
    kind = ALGORITHMS.get(name)
    candidates = kind.candidates_of(settings)
    weights = [torch.Generator()] * (replicas * candidates * settings.actors)
    actor = kind.Actor(spec.observation_size, spec.action_size, len(spec.tasks), settings, weights)
    give_numbers(actor, spec.tasks)
    choice = torch.zeros(replicas, len(spec.tasks), dtype=torch.int64) if candidates > 1 else None
    scaling = Scaling.identity(spec.observation_size)
    return DeterministicPolicy(actor, scaling, settings.actors, choice, settings.noise_scale)


def plugins_of(name: str, settings: Settings, tasks: Sequence[str]) -> set[str]:
    """The plug-in modules that registered the algorithm, its sharing rule and the tasks."""
    rule = rule_of(settings)
    found = {ALGORITHMS.plugin(name), *map(TASKS.plugin, tasks)}
    if rule is not None:
        found.add(SHARING_RULES.plugin(rule.name))
    return {module for module in found if module is not None}


def _fast_bf16(on_gpu: bool) -> bool:
    if on_gpu:
        return torch.cuda.get_device_capability() >= (8, 0)
    capability: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # absent from older releases
    return bool(capability.get("avx512_bf16") or capability.get("amx_bf16"))
