"""The agents by name."""

from collections.abc import Sequence

import torch

from hcsac.algorithms.base import Agent, Scaling
from hcsac.algorithms.bc import BehaviouralCloning
from hcsac.algorithms.conservative_sac import ConservativeSAC
from hcsac.algorithms.deterministic import DeterministicPolicy, Single
from hcsac.algorithms.presets import AGENTS, PRESETS, preset
from hcsac.errors import UserError, unknown
from hcsac.settings import Settings
from hcsac.sharing.selection import directions

__all__ = [
    "AGENTS",
    "PRESETS",
    "Agent",
    "BehaviouralCloning",
    "ConservativeSAC",
    "DeterministicPolicy",
    "Scaling",
    "Single",
    "make_agent",
    "make_policy",
    "preset",
    "resolve",
]

UTDS_CRITICS = 5  # the smallest ensemble whose spread UTDS trusts (Bai et al. 2023)

# What each name fixes, whatever the preset says: the three SAC agents differ in nothing else.
_FIXED: dict[str, dict[str, str]] = {
    "bc": {"sharing": "none"},
    "csac": {"sharing": "none", "embedding": "none"},
    "mtcsac": {"sharing": "none"},
    "hcsac": {},
}


def resolve(agent: str, settings: Settings, tasks: Sequence[str]) -> Settings:
    """The settings as this agent runs them on these tasks, with what the machine decides filled in.

    Raises:
        UserError: no such agent, CSAC on more than one task, settings that exclude each other, or no GPU.
    """
    if agent not in AGENTS:
        raise unknown("agent", agent, AGENTS)
    if agent == "csac" and len(tasks) > 1:
        raise UserError(
            f"csac learns one task, but the data hold {', '.join(tasks)}; pick one with --tasks or use mtcsac."
        )
    if settings.cql_backward == "sampled" and settings.next_actions == "online_at_next":
        raise UserError(
            "cql_backward = 'sampled' picks among actions at s; with next_actions = 'online_at_next' use 'all'."
        )
    cuda = torch.cuda.is_available()
    if settings.device == "cuda" and not cuda:
        raise UserError("setting device = 'cuda', but PyTorch sees no GPU here; use --device cpu or auto.")
    changes: dict[str, str] = dict(_FIXED[agent])
    changes |= _resolve_sharing(settings.replace(changes), tasks)
    if settings.device == "auto":
        changes["device"] = "cuda" if cuda else "cpu"
    if settings.precision == "auto":
        changes["precision"] = "bf16" if _fast_bf16(cuda and settings.device != "cpu") else "float32"
    return settings.replace(changes)


def _resolve_sharing(settings: Settings, tasks: Sequence[str]) -> dict[str, str]:
    """What the sharing rule says of rewards and targets, where the settings leave that open."""
    rule, critics = settings.sharing, settings.critics
    implied = {"reward_rule": ("uds", "zero", "keep"), "target_pessimism": ("utds", "lcb", "min")}
    changes = {}
    for name, (special, there, elsewhere) in implied.items():
        given = getattr(settings, name)
        if rule == special and given not in (None, there):
            raise UserError(
                f"sharing = {rule!r} means {name} = {there!r}, not {given!r}; leave {name} out or use 'all'."
            )
        changes[name] = given or (there if rule == special else elsewhere)
    if rule == "utds" and critics < UTDS_CRITICS:
        raise UserError(
            f"sharing = 'utds' needs an ensemble of at least {UTDS_CRITICS} critics, not {critics}; add --critics 5."
        )
    if changes["target_pessimism"] == "lcb" and critics < 2:
        raise UserError("target_pessimism = 'lcb' needs the spread of at least 2 critics, not 1; add --critics 5.")
    if rule != "none":
        directions(settings.share, tasks)
    return changes


def make_agent(
    agent: str,
    observation_size: int,
    action_size: int,
    tasks: int,
    settings: Settings,
    seeds: Sequence[int],
    scaling: Scaling,
    compiled: bool = False,
) -> BehaviouralCloning | ConservativeSAC:
    """The agent of that name, from resolved settings."""
    device = torch.device(settings.device)
    return _kind(agent)(observation_size, action_size, tasks, settings, seeds, scaling, device, compiled)


def make_policy(
    agent: str, observation_size: int, action_size: int, tasks: int, settings: Settings, replicas: int
) -> DeterministicPolicy:
    """The policy of such an agent on the CPU, without critics; its tensors wait to be loaded."""
    weights = [torch.Generator()] * replicas
    actor = _kind(agent).Actor(observation_size, action_size, tasks, settings, weights)
    return DeterministicPolicy(
        actor, Scaling(torch.zeros(observation_size), torch.ones(observation_size), torch.device("cpu"))
    )


def _kind(agent: str) -> type[BehaviouralCloning] | type[ConservativeSAC]:
    if agent not in AGENTS:
        raise unknown("agent", agent, AGENTS)
    return BehaviouralCloning if agent == "bc" else ConservativeSAC


def _fast_bf16(on_gpu: bool) -> bool:
    if on_gpu:
        return torch.cuda.get_device_capability() >= (8, 0)
    capability: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # absent from older releases
    return bool(capability.get("avx512_bf16") or capability.get("amx_bf16"))
