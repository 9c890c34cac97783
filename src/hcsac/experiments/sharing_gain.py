"""Sharing gain: the return with each sharing rule minus that of the no-sharing baseline, same seeds, equal updates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hcsac.algorithms import recorded_settings, settings_of
from hcsac.errors import UserError
from hcsac.evaluation import paired_interval
from hcsac.experiments.study_run import StudyRun
from hcsac.registry import SHARING_RULES
from hcsac.settings import Sharing
from hcsac.sharing.rules import unresolved
from hcsac.sharing.selection import directions
from hcsac.training import RunDirectory, last_returns

BASELINE = "none"  # the rule that shares nothing
_SUFFIX = "-sharing"  # of the output directory, after the name of what is measured


class SharingGain(NamedTuple):
    """Return of a variant minus that of the baseline, on one task, as means over seeds and episodes."""

    variant: str
    task: str
    baseline: float  # return without sharing
    difference: float
    low: float  # 95 % interval
    high: float


def sharing_output(source: Path) -> Path:
    """The default output directory for the sharing gain of `source`, a run or a directory of runs."""
    return source.with_name(source.name + _SUFFIX)


def find_runs(path: Path) -> list[RunDirectory]:
    """The HCSAC runs on two tasks or more at or below `path`; a `UserError` where there is none."""
    files = [file.relative_to(path) for file in sorted(path.rglob("run.json"))]
    # Runs of an earlier measurement lie beside what they measured, and are not measured themselves.
    found = [
        RunDirectory((path / file).parent) for file in files if not any(part.endswith(_SUFFIX) for part in file.parts)
    ]
    runs = [run for run in found if _shares(run.identity())]
    if not runs:
        raise UserError(
            f"no run on two tasks or more of an algorithm that can share in {path}; give one made by "
            "`hcsac train hcsac`, or a directory of such runs."
        )
    return runs


def _shares(identity: dict[str, Any]) -> bool:
    return issubclass(settings_of(identity["agent"]), Sharing) and len(identity["tasks"]) > 1


def gain_runs(
    base: RunDirectory, rules: Sequence[str], each_direction: bool, output: Path, given: dict[str, Any] | None = None
) -> list[StudyRun]:
    """The baseline first, then every rule: in the directions of `base`, and in each of them alone if asked for.

    Args:
        base: the run whose data, settings and seeds all of them take.
        rules: `RULE` or `RULE:REWARD`, as quantile:recompute; each is trained once. Without REWARD that of
            `base` is taken.
        given: settings that differ from those of `base` in all of them.

    Raises:
        UserError: an unknown rule or reward rule, no rule but the baseline, or a run on data that cannot be loaded by
            name.
    """
    if "sharing" in (given or {}):
        raise UserError("the rules to measure are named by --rules; leave --sharing out.")
    identity = base.identity()
    if not identity["data"]:
        raise UserError(f"{base.path} was trained on data without a name; train it on datasets that can be loaded.")
    tasks, settings = tuple(identity["tasks"]), _as_given(identity).replace(given or {})
    reward, share = settings.reward_rule, settings.share
    variants = [settings.replace({"sharing": BASELINE, "reward_rule": None, "share": None})]
    for word in dict.fromkeys(rules):
        rule, _, own_reward = word.partition(":")
        if rule == BASELINE:
            raise UserError(f"rule {BASELINE!r} is the baseline of every comparison; leave it out of --rules.")
        implies = SHARING_RULES.get(rule).implies
        reward_rule = own_reward or (None if "reward_rule" in implies else reward)
        pairs = [f"{tasks[j]}:{tasks[i]}" for j, i in sorted(directions(share, tasks))] if each_direction else []
        for pair in dict.fromkeys([share, *pairs]):
            variants.append(settings.replace({"sharing": rule, "reward_rule": reward_rule, "share": pair}))
    return [
        StudyRun(
            dataset=base.path.name,
            variant=variant_name(variant),
            algorithm=identity["agent"],
            tasks=tasks,
            refs=tuple(identity["data"]),
            settings=variant,
            seeds=tuple(identity["seeds"]),
            alignment=identity["alignment"],
            path=output / variant_name(variant).replace(":", "-").replace(" ", "/"),
        )
        for variant in variants
    ]


def variant_name(settings: Any) -> str:
    """RULE, RULE:REWARD where the reward rule is given, and the directions where not all are open."""
    words = [":".join(filter(None, (settings.sharing, settings.reward_rule))), settings.share]
    return " ".join(filter(None, words))


def _as_given(identity: dict[str, Any]) -> Any:
    """The settings of a run as they were given, without what its sharing rule, or the default, made of them."""
    name = identity["agent"]
    if "given" in identity:
        return recorded_settings(name, identity["given"])
    settings = recorded_settings(name, identity["settings"])  # of a run of the first format
    return settings.replace(unresolved(settings))


def sharing_gains(runs: Sequence[StudyRun]) -> list[SharingGain]:
    """Every run against the first one, which shares nothing, on every task. All must be finished."""
    baseline = RunDirectory(runs[0].path)
    gains = []
    for run in runs[1:]:
        for task in run.tasks:
            without, shared = last_returns(baseline, task), last_returns(RunDirectory(run.path), task)
            mean, low, high = paired_interval(shared - without)
            gains.append(SharingGain(variant_name(run.settings), task, float(np.mean(without)), mean, low, high))
    return gains


def gain_table(gains: Sequence[SharingGain], seeds: int) -> str:
    """Markdown: the differences and their intervals, in bold where the interval excludes zero."""
    lines = ["| sharing | task | return without | difference | 95 % interval |", "| --- | --- | ---: | ---: | --- |"]
    for gain in gains:
        number = f"{gain.difference:+.1f}"
        number = f"**{number}**" if gain.low > 0 or gain.high < 0 else number
        interval = f"{gain.low:+.1f} .. {gain.high:+.1f}"
        lines.append(f"| {gain.variant} | {gain.task} | {gain.baseline:.1f} | {number} | {interval} |")
    if seeds == 1:
        lines.append("\n(One seed: the intervals cover the spread over episodes, not over trainings.)")
    return "\n".join(lines)
