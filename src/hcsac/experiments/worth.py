"""What sharing was worth: every rule beside the twin that shares nothing, same seeds, equal updates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hcsac.errors import UserError
from hcsac.evaluation import paired_interval
from hcsac.experiments.cells import Cell
from hcsac.settings import Settings
from hcsac.training import RunDirectory, last_returns

TWIN = "none"


class Gain(NamedTuple):
    """Return of a variant minus that of its twin, on one task."""

    variant: str
    task: str
    twin: float
    difference: float
    low: float  # 95 % interval
    high: float


def find_runs(path: Path) -> list[RunDirectory]:
    """The HCSAC runs at or under `path`; a `UserError` where there is none."""
    found = [RunDirectory(file.parent) for file in sorted(path.rglob("run.json"))]
    runs = [run for run in found if run.identity()["agent"] == "hcsac"]
    if not runs:
        raise UserError(f"{path} holds no run of hcsac; give one made by `hcsac train hcsac`, or a folder of them.")
    return runs


def twin_cells(
    base: RunDirectory, rules: Sequence[str], each_direction: bool, output: Path, given: dict[str, Any] | None = None
) -> list[Cell]:
    """The twin first, then every rule: with all directions, and with each alone if that is asked for.

    Args:
        base: the run whose data, settings and seeds all of them take.
        rules: `RULE` or `RULE:REWARD`, as quantile:recompute.
        given: settings that differ from the run's in all of them.

    Raises:
        UserError: an unknown rule or reward rule, or a run whose data have no names to be loaded by.
    """
    identity = base.identity()
    if not identity["data"]:
        raise UserError(f"{base.path} was trained on data without a name; train it on datasets that can be loaded.")
    settings, tasks = Settings().replace({**identity["settings"], **(given or {})}), tuple(identity["tasks"])
    neutral = {"sharing": TWIN, "reward_rule": None, "target_pessimism": None, "share": None}  # left to the rule
    variants: list[tuple[str, dict[str, Any]]] = [(TWIN, neutral)]
    for word in rules:
        rule, _, reward = word.partition(":")
        changes = {**neutral, "sharing": rule, "reward_rule": reward or None}
        variants.append((word, changes))
        if each_direction:
            pairs = [f"{source}:{target}" for source in tasks for target in tasks if source != target]
            variants += [(f"{word} {pair}", {**changes, "share": pair}) for pair in pairs]
    return [
        Cell(
            base.path.name, name, "hcsac", tasks, tuple(identity["data"]), settings.replace(changes),
            tuple(identity["seeds"]), identity["alignment"], output / name.replace(":", "-").replace(" ", "/"),
        ) for name, changes in variants
    ]  # fmt: skip


def gains(cells: Sequence[Cell], output: Path) -> list[Gain]:
    """Every finished variant against the first cell, on every task."""
    twin = RunDirectory(cells[0].path)
    found = []
    for cell in cells[1:]:
        for task in cell.tasks:
            without, shared = last_returns(twin, task), last_returns(RunDirectory(cell.path), task)
            mean, low, high = paired_interval(shared - without)
            name = str(cell.path.relative_to(output))
            found.append(Gain(name, task, float(np.mean(without)), mean, low, high))
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
