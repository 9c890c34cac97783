"""Sharing rules: how a task selects among the transitions of other tasks. Each is one function and its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.registry import SHARING_RULES
from hcsac.settings import Fields, require_unique_names, setting
from hcsac.sharing.neighbours import nearest_own_states, share_of_own
from hcsac.sharing.outcome import better_outcomes


class Selection(NamedTuple):
    """What a rule takes of n candidates, and why."""

    taken: np.ndarray  # [n] bool
    weight: np.ndarray | None = None  # [n] float32 in [0, 1]; None where every transition taken counts 1
    threshold: float = float("nan")  # the value that a transition must reach; NaN where the rule has none
    temperature: float = float("nan")  # of the weights, handed on to the next sharing; NaN where the rule has none


class Memory(NamedTuple):
    """What a rule gets of the last sharing step of the same task and replica."""

    temperature: float  # NaN at the first
    updates: int  # between two sharings
    of_data: Any = None  # what the rule's `of_data` has computed for the task, once


# Q_i of the transitions of D_i [m], Q_i of the candidates for task i [n] (NaN where the rule needs no values), all
# settings of the run, the last sharing -> what is taken.
Choose = Callable[[np.ndarray, np.ndarray, Any, Memory], Selection]
# D, task, the tasks that share with it (their transitions are the candidates, in this order), settings -> anything.
OfData = Callable[[Dataset, int, Sequence[int], Any], Any]


@dataclass(frozen=True)
class SharingRule:
    """A rule and its requirements (see `sharing_rule`)."""

    name: str
    choose: Choose
    needs_values: bool = False
    weighted: Callable[[Any], bool] = lambda settings: False
    implies: Mapping[str, Any] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)
    settings: type[Fields] | None = None
    advantages: bool = False
    of_data: OfData | None = None


def sharing_rule(
    name: str,
    *,
    needs_values: bool = False,
    weighted: bool | Callable[[Any], bool] = False,
    implies: Mapping[str, Any] | None = None,
    at_least: Mapping[str, float] | None = None,
    settings: type[Fields] | None = None,
    advantages: bool = False,
    of_data: OfData | None = None,
) -> Callable[[Choose], Choose]:
    """Register a function (own, candidates, settings, memory) -> `Selection` as the sharing rule `name`.

    Args:
        needs_values: whether it looks at values; an algorithm must then have them (`Algorithm.score`).
        weighted: whether it gives weights, or a function of the settings that says so.
        implies: setting -> value that the rule means, where it is not given.
        at_least: setting -> the least value with which the rule makes sense.
        settings: a dataclass of the rule's own settings, which every algorithm that shares then has.
        advantages: whether the values it looks at are advantages, Q(s, a) - V(s).
        of_data: a function (dataset, task, sources, settings), called once for each task that others share with; what
            it returns is `memory.of_data`.

    Raises:
        UserError: the name is taken, or a setting has the name of another one.
    """
    if settings is not None:
        require_unique_names(settings)
    gives_weights = weighted if callable(weighted) else lambda _: bool(weighted)

    def register(choose: Choose) -> Choose:
        rule = SharingRule(
            name, choose, needs_values or advantages, gives_weights, implies or {}, at_least or {}, settings,
            advantages, of_data,
        )  # fmt: skip
        SHARING_RULES.add(name, rule, choose.__module__)
        return choose

    return register


def rule_of(settings: Any) -> SharingRule | None:
    """The rule that a run shares by; None where it shares nothing, and for `auto`, which `resolve` replaces."""
    name = getattr(settings, "sharing", "none")
    return None if name in ("none", "auto") else SHARING_RULES.get(name)


def rule_settings() -> tuple[type[Fields], ...]:
    """The settings classes of all rules."""
    return tuple(rule.settings for _, rule in SHARING_RULES.items() if rule.settings is not None)


def resolve_rule(settings: Any) -> dict[str, Any]:
    """Setting -> value that the sharing rule implies, or that stands for None.

    Raises:
        UserError: a setting is given that contradicts the rule, that the algorithm lacks, or that is too small for it.
    """
    rule = rule_of(settings)
    changes: dict[str, Any] = {}
    if rule is not None:
        for name, value in rule.implies.items():
            changes[name] = _implied(rule, name, value, settings)
        for name, least in rule.at_least.items():
            _require_at_least(rule, name, least, settings)
    for entry in fields(settings):
        if getattr(settings, entry.name) is None and entry.metadata["resolved"] is not None:
            changes.setdefault(entry.name, entry.metadata["resolved"])
    return changes


def unresolved(settings: Any) -> dict[str, Any]:
    """The reverse of `resolve_rule` for a run that did not record what was given: None where that gives the same."""
    rule = rule_of(settings)
    implied = {} if rule is None else rule.implies
    stands_for_none = {
        entry.name: implied.get(entry.name, entry.metadata["resolved"])
        for entry in fields(settings)
        if entry.metadata["resolved"] is not None
    }
    return {name: None for name, value in stands_for_none.items() if getattr(settings, name) == value}


def _implied(rule: SharingRule, name: str, value: Any, settings: Any) -> Any:
    if not hasattr(settings, name):
        raise UserError(
            f"sharing = {rule.name!r} means {name} = {value!r}, a setting that this algorithm lacks; "
            "choose another rule or algorithm."
        )
    given = getattr(settings, name)
    if given not in (None, value):
        raise UserError(
            f"sharing = {rule.name!r} means {name} = {value!r}, not {given!r}; leave {name} out or use 'all'."
        )
    return value


def _require_at_least(rule: SharingRule, name: str, least: float, settings: Any) -> None:
    value = getattr(settings, name, None)
    if value is None or value < least:
        flag = f"--{name.replace('_', '-')} {least:g}"
        raise UserError(f"sharing = {rule.name!r} needs {name} of at least {least:g}, not {value}; add {flag}.")


@dataclass(frozen=True, repr=False)
class QuantileSettings(Fields, group="Sharing rule quantile"):
    """Of the slides' rule."""

    share_quantile: float = setting(0.95, "quantile of a task's own Q values that a shared transition must reach", 0, 1)


@dataclass(frozen=True, repr=False)
class CDSSettings(Fields, group="Sharing rule cds"):
    """Of conservative data sharing."""

    cds_quantile: float = setting(0.9, "quantile k of a task's own Q values that cds requires (Yu et al. 2021)", 0, 1)
    cds_soft: bool = setting(False, "take every transition and weigh its losses by sigma(Delta / temperature)")
    cds_decay: float = setting(
        0.995, "decay per update of the running average of |Delta| used as temperature by cds_soft", 0, 1
    )


@dataclass(frozen=True, repr=False)
class AdvantageSettings(Fields, group="Sharing rule advantage"):
    """Of the choice by advantages."""

    advantage_quantile: float = setting(0.5, "quantile of a task's own advantages that `advantage` requires", 0, 1)


@dataclass(frozen=True, repr=False)
class NearbySettings(Fields, group="Sharing rule nearby"):
    """Of the choice by values at nearby states."""

    nearby_quantile: float = setting(
        0.5, "quantile of a task's own Q values at the nearest states that `nearby` requires", 0, 1
    )
    nearby_count: int = setting(10, "how many nearest own states `nearby` compares with", 1, 1000)


@dataclass(frozen=True, repr=False)
class CommonSettings(Fields, group="Sharing rule common"):
    """Of the choice by what both tasks do alike."""

    common_share: float = setting(
        0.25, "part of a transition's nearest that must be the task's own for `common` (1/2: both tasks do the same)",
        0, 1,
    )  # fmt: skip
    common_count: int = setting(20, "how many nearest transitions `common` looks at", 1, 1000)


@sharing_rule("all")
def take_all(own: np.ndarray, candidates: np.ndarray, settings: Any, memory: Memory) -> Selection:
    """Every transition, whatever its value."""
    return Selection(np.ones(len(candidates), bool))


@sharing_rule("quantile", needs_values=True, settings=QuantileSettings)
def quantile(own: np.ndarray, candidates: np.ndarray, settings: Any, memory: Memory) -> Selection:
    """The slides' Algorithm 1 (k = 95): transitions whose value is among the highest of the task's own."""
    return above_quantile(own, candidates, settings.share_quantile)


@sharing_rule("cds", needs_values=True, weighted=lambda settings: settings.cds_soft, settings=CDSSettings)
def cds(own: np.ndarray, candidates: np.ndarray, settings: Any, memory: Memory) -> Selection:
    """Conservative data sharing (Yu et al. 2021, arXiv 2109.08128, section 5; k = 90), basic or soft."""
    if settings.cds_soft:
        decay = settings.cds_decay**memory.updates
        return soft_weights(own, candidates, settings.cds_quantile, memory.temperature, decay)
    return above_quantile(own, candidates, settings.cds_quantile)


@sharing_rule("advantage", advantages=True, settings=AdvantageSettings)
def advantage(own: np.ndarray, candidates: np.ndarray, settings: Any, memory: Memory) -> Selection:
    """Transitions whose advantage is among the higher ones of the task's own: better actions, not better states."""
    return above_quantile(own, candidates, settings.advantage_quantile)


@sharing_rule("nearby", needs_values=True, of_data=nearest_own_states, settings=NearbySettings)
def nearby(own: np.ndarray, candidates: np.ndarray, settings: Any, memory: Memory) -> Selection:
    """Transitions whose value is among the higher ones of the task's own at the nearest states."""
    return above_nearby(own, candidates, memory.of_data, settings.nearby_quantile)


@sharing_rule("common", of_data=share_of_own, settings=CommonSettings)
def common(own: np.ndarray, candidates: np.ndarray, settings: Any, memory: Memory) -> Selection:
    """Transitions of what both tasks do alike: enough of the nearest ones are the task's own; no values needed."""
    return Selection(memory.of_data >= settings.common_share)


@sharing_rule("outcome", implies={"reward_rule": "recompute"}, of_data=better_outcomes)
def outcome(own: np.ndarray, candidates: np.ndarray, settings: Any, memory: Memory) -> Selection:
    """Transitions whose logged episodes go on better, as this task pays them, than its own do at that step."""
    gain, known = memory.of_data
    return Selection(known & (gain > 0))


sharing_rule("uds", implies={"reward_rule": "zero"})(take_all)  # Yu et al. 2022, arXiv 2202.01741
sharing_rule("utds", implies={"target_pessimism": "lcb"}, at_least={"critics": 5})(take_all)  # Bai et al. 2023


def threshold(own_values: np.ndarray, quantile: float) -> float:
    """tau(D_i) of the slides, P_k of Yu et al. 2021: the quantile of Q_i over D_i; [m] -> a number."""
    return float(np.quantile(own_values, quantile))


def above_quantile(own: np.ndarray, candidates: np.ndarray, quantile: float) -> Selection:
    """Transitions with Delta = Q_i(s, a) - P_k{Q_i over D_i} >= 0; own [m], candidates [n]."""
    tau = threshold(own, quantile)
    return Selection(candidates >= tau, None, tau)


def above_nearby(own: np.ndarray, candidates: np.ndarray, nearest: np.ndarray, quantile: float) -> Selection:
    """Transitions whose value reaches the quantile of the own values of `nearest` [n, k]; the threshold is the mean."""
    tau = np.quantile(own[nearest], quantile, axis=1)
    return Selection(candidates >= tau, None, float(tau.mean()) if len(tau) else float("nan"))


def soft_weights(own: np.ndarray, candidates: np.ndarray, quantile: float, last: float, decay: float) -> Selection:
    """Every transition, with weight w = sigma(Delta / temperature) (soft CDS, Yu et al. 2021, section 5).

    The temperature is a running average of |Delta| that keeps the fraction `decay` of the `last` one. Transitions whose
    weight is NaN are left out.
    """
    tau = threshold(own, quantile)
    delta = candidates.astype(np.float64) - tau
    now = float(np.abs(delta).mean()) if len(delta) else float("nan")
    temperature = now if np.isnan(last) else decay * last + (1 - decay) * now
    weight = cds_weight(delta, temperature)
    return Selection(~np.isnan(weight), weight.astype(np.float32), tau, temperature)


def cds_weight(delta: np.ndarray, temperature: float) -> np.ndarray:
    """w_CDS = sigma(Delta / temperature) (Yu et al. 2021, section 5), 1/2 where the temperature is 0; [n] -> [n]."""
    ratio = np.divide(delta, temperature, out=np.where(np.isnan(delta), delta, 0.0), where=temperature != 0)
    return 0.5 * (1 + np.tanh(0.5 * ratio))  # the sigmoid, without overflow
