"""What sharing was worth: every rule beside the twin that shares nothing, same seeds, equal updates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hcsac.algorithms import recorded_settings
from hcsac.errors import UserError
from hcsac.evaluation import paired_interval
from hcsac.experiments.study_run import Cell
from hcsac.sharing.selection import directions
from hcsac.training import RunDirectory, last_returns

TWIN = "none"
_BESIDE = "-sharing"  # what the name of a measurement's folder adds to that of what it measures


class Gain(NamedTuple):
    """Return of a variant minus that of its twin, on one task."""

    variant: str
    task: str
    twin: float
    difference: float
    low: float  # 95 % interval
    high: float


def sharing_output(source: Path) -> Path:
    """Where the measurement of a run, or of a folder of runs, goes unless told otherwise."""
    return source.with_name(source.name + _BESIDE)


def find_runs(path: Path) -> list[RunDirectory]:
    """The HCSAC runs on two tasks or more at or under `path`; a `UserError` where there is none."""
    # The trainings of an earlier measurement, which lie beside what they measured, are none to measure.
    files = [file for file in sorted(path.rglob("run.json"))
             if not any(part.endswith(_BESIDE) for part in file.relative_to(path).parts)]  # fmt: skip
    found = [RunDirectory(file.parent) for file in files]
    runs = [run for run in found if (told := run.identity())["agent"] == "hcsac" and len(told["tasks"]) > 1]
    if not runs:
        raise UserError(
            f"{path} holds no run of hcsac on two tasks or more; give one made by `hcsac train hcsac`, or a folder of "
            "them."
        )
    return runs


def twin_cells(
    base: RunDirectory, rules: Sequence[str], each_direction: bool, output: Path, given: dict[str, Any] | None = None
) -> list[Cell]:
    """The twin first, then every rule: in the run's directions, and in each of them alone if that is asked for.

    Args:
        base: the run whose data, settings and seeds all of them take.
        rules: `RULE` or `RULE:REWARD`, as quantile:recompute; each is measured once. Without REWARD it is the run's.
        given: settings that differ from the run's in all of them.

    Raises:
        UserError: an unknown rule or reward rule, no rule beside the twin, or a run whose data have no names to be
            loaded by.
    """
    if "sharing" in (given or {}):
        raise UserError("the rules to measure are named by --rules; leave --sharing out.")
    identity = base.identity()
    if not identity["data"]:
        raise UserError(f"{base.path} was trained on data without a name; train it on datasets that can be loaded.")
    tasks, settings = tuple(identity["tasks"]), _left_to_the_rules(identity["settings"]).replace(given or {})
    reward, share = settings.reward_rule, settings.share
    variants = [settings.replace({"sharing": TWIN, "reward_rule": None, "share": None})]
    for word in dict.fromkeys(rules):
        rule, _, named = word.partition(":")
        if rule == TWIN:
            raise UserError(f"rule {TWIN!r} is the twin that every rule is measured against; leave it out.")
        paid = named or (None if rule == "uds" else reward)
        pairs = [f"{tasks[j]}:{tasks[i]}" for j, i in sorted(directions(share, tasks))] if each_direction else []
        for way in dict.fromkeys([share, *pairs]):
            variants.append(settings.replace({"sharing": rule, "reward_rule": paid, "share": way}))
    return [
        Cell(
            base.path.name, variant_name(variant), "hcsac", tasks, tuple(identity["data"]), variant,
            tuple(identity["seeds"]), identity["alignment"],
            output / variant_name(variant).replace(":", "-").replace(" ", "/"),
        ) for variant in variants
    ]  # fmt: skip


def variant_name(settings: Any) -> str:
    """RULE, RULE:REWARD where the reward rule is given, and the directions where not all are open."""
    words = [":".join(filter(None, (settings.sharing, settings.reward_rule))), settings.share]
    return " ".join(filter(None, words))


def _left_to_the_rules(trained: dict[str, Any]) -> Any:
    """A run's settings, without what its own sharing rule, or the default, made of them."""
    settings: Any = recorded_settings("hcsac", trained)
    changes: dict[str, Any] = {"sharing": TWIN}
    if settings.sharing in (TWIN, "uds") or settings.reward_rule == "keep":
        changes["reward_rule"] = None
    if settings.sharing == "utds" or settings.target_pessimism == "min":
        changes["target_pessimism"] = None
    return settings.replace(changes)


def gains(cells: Sequence[Cell]) -> list[Gain]:
    """Every finished variant against the first cell, on every task."""
    twin = RunDirectory(cells[0].path)
    found = []
    for cell in cells[1:]:
        for task in cell.tasks:
            without, shared = last_returns(twin, task), last_returns(RunDirectory(cell.path), task)
            mean, low, high = paired_interval(shared - without)
            found.append(Gain(variant_name(cell.settings), task, float(np.mean(without)), mean, low, high))
    return found


def gains_table(found: Sequence[Gain], seeds: int) -> str:
    """Markdown: the difference and its interval, in bold where the interval leaves out zero."""
    lines = ["| sharing | task | return without | difference | 95 % interval |", "| --- | --- | ---: | ---: | --- |"]
    for gain in found:
        number = f"{gain.difference:+.1f}"
        number = f"**{number}**" if gain.low > 0 or gain.high < 0 else number
        interval = f"{gain.low:+.1f} .. {gain.high:+.1f}"
        lines.append(f"| {gain.variant} | {gain.task} | {gain.twin:.1f} | {number} | {interval} |")
    if seeds == 1:
        lines.append("\n(One seed: the intervals know of episodes only, not of how trainings differ.)")
    return "\n".join(lines)
