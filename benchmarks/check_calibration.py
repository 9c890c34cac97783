"""`python -m benchmarks.check_calibration`: what `hcsac data check` finds in correct logs, and in shifted ones.

Every log of `benchmarks.logs` is correct: nothing may be found. Then its actions, or its rewards, are moved by one row
forwards or backwards, and the check should say so. Simulator states are not used.

`--joins DATASET...` instead joins episodes of correct datasets, half ones and whole ones, and counts what is found.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.logs import LOGS, draw_log
from hcsac.data import Episode
from hcsac.data.checks import ERROR, examine
from hcsac.data.checks.kinematics import jumps
from hcsac.data.checks.order import action_evidence, found_offset, reward_evidence
from hcsac.data.episode import shift
from hcsac.data.formats import OpenedDataset
from hcsac.tasks import ActionBounds, Task, register_task

WARNINGS = ("actions-perhaps-shifted", "rewards-perhaps-shifted", "episodes-perhaps-merged")


def measure(kind: str, seed: int, most: int) -> dict[str, Any]:
    """What is found in one log as it is, and whether each shift of it is."""
    register_task(Task("logged"))
    return judge(draw_log(kind, seed, most))


def judge(episodes: Sequence[Episode]) -> dict[str, Any]:
    """The same of some correct episodes without simulator states."""
    report = examine("log", "logged", episodes, bounds_of=ActionBounds.unit)
    found: dict[str, Any] = {
        "rows": sum(map(len, episodes)),
        "errors": [f.kind for f in report.findings if f.severity == ERROR],
        "warnings": [f.kind for f in report.findings if f.kind in WARNINGS],
        "checks": {check.name: check.status for check in report.checks},
    }
    for name, evidence_of in (("action", action_evidence), ("reward", reward_evidence)):
        for offset in (-1, 1):
            evidence = evidence_of([shift(e, **{name: offset}) for e in episodes])
            found[f"{name} {offset:+d}"] = evidence is not None and found_offset(name, evidence) == offset
    return found


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """A Markdown table: a line for each kind, and one for all."""
    head = [
        "logs",
        "number",
        "rows",
        "false errors",
        "false warnings",
        *("actions -1", "actions +1", "rewards -1", "rewards +1"),
    ]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    every = [one for each in results.values() for one in each]
    for name, each in [*results.items(), ("**all**", every)]:
        lines.append(_line(name, each))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(name: str, logs: list[dict[str, Any]]) -> list[str]:
    rows = sorted(log["rows"] for log in logs)
    wrong = [sum(bool(log[key]) for log in logs) for key in ("errors", "warnings")]
    shares = [
        f"{sum(log[f'{what} {k:+d}'] for log in logs) / len(logs):.0%}"
        for what in ("action", "reward")
        for k in (-1, 1)
    ]
    return [name, str(len(logs)), f"{rows[0]:,} to {rows[-1]:,}", *map(str, wrong), *shares]


def joined(one: Episode, other: Episode, steps: int) -> Episode:
    """The first steps of two episodes as if they were one."""
    parts = {
        name: np.concatenate([getattr(e, name)[:steps] for e in (one, other)])
        for name in ("observation", "action", "reward", "terminated", "truncated")
    }
    parts["observation"] = np.append(parts["observation"], other.observation[steps : steps + 1], 0)
    return replace(one, **parts, physics=None)


def judge_joins(episodes: Sequence[Episode], places: Sequence[int]) -> tuple[int, int, int]:
    """Jumps in correct episodes, and how many joins of one with the next are found: of halves, and of whole ones."""
    found = [0, 0]
    for n, i in ((n, i) for n in (0, 1) for i in places):
        steps = len(episodes[i]) // (2 - n)
        changed = [*episodes[:i], joined(episodes[i], episodes[i + 1], steps), *episodes[i + 2 :]]
        found[n] += (i, steps - 1) in (jumps(changed) or ())
    return len(jumps(episodes) or ()), *found


def main(arguments: Sequence[str]) -> None:
    """Print the table, and the logs that something was found in."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_calibration", description=__doc__)
    parser.add_argument("--logs", type=int, default=18, help="logs of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first log of each kind")
    parser.add_argument("--rows", type=int, default=50_000, help="most rows of a log")
    parser.add_argument("--kinds", default="", help="only kinds of logs whose names start so")
    parser.add_argument("--json", help="file to write every result to")
    parser.add_argument("--joins", nargs="+", metavar="DATASET", help="join episodes of these instead, 300 at most")
    options = parser.parse_args(arguments)
    if options.joins:
        print(
            "| dataset | correct: jumps | joined halves found | joined whole ones found |\n| --- | ---: | ---: | ---: |"
        )
        for name in options.joins:
            places = range(2, 22, 3)
            false, halves, whole = judge_joins(list(islice(OpenedDataset(name), 300)), places)
            print(f"| {name} | {false} | {halves} of {len(places)} | {whole} of {len(places)} |", flush=True)
        return
    results: dict[str, list[dict[str, Any]]] = {}
    for kind in (name for name in LOGS if name.startswith(options.kinds)):
        results[kind] = []
        for seed in range(options.seed, options.seed + options.logs):
            found = measure(kind, seed, options.rows)
            results[kind].append(found)
            if found["errors"] or found["warnings"]:
                print(
                    f"{kind}, seed {seed}: {', '.join(found['errors'] + found['warnings'])}",
                    file=sys.stderr,
                    flush=True,
                )
        if options.json:
            with open(options.json, "w") as file:
                json.dump(results, file, indent=1)
    print(table(results))


if __name__ == "__main__":
    main(sys.argv[1:])
