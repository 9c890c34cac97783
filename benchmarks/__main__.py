"""`python -m benchmarks [PART ...]`: measure, and write RESULTS.md and results/PART.json beside this file."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    actors,
    checks,
    environments,
    gradient,
    machine,
    many_tasks,
    rates,
    report,
    scale,
    studies,
    updates,
)

HERE = Path(__file__).parent
PARTS: dict[str, Callable[[], Any]] = {
    "updates-slides": lambda: updates.measure("slides", rounds=7),
    "updates-report": lambda: updates.measure("report", rounds=3),
    "actors": lambda: actors.measure(rounds=7),
    "replicas": lambda: updates.replicas((1, 5, 16), rounds=5),
    "scoring": lambda: rates.scoring(rounds=7),
    "sharing": lambda: rates.sharing((100_000, 1_000_000, 10_000_000)),
    "rewards": lambda: rates.rewards(1_000_000, rounds=7),
    "environments": environments.measure,
    "first-update": rates.first_update,
    "gradient": gradient.measure,
    "scale": lambda: scale.measure((100_000, 1_000_000, 10_000_000), rounds=100),
    "many-tasks": many_tasks.measure,
    "check": lambda: checks.measure((1_000_000, 10_000_000)),
    "import": lambda: checks.measure_import(100_000),
    "studies": studies.measure,
}


def main(parts: list[str]) -> None:
    """Measure `parts` (default: all) and write RESULTS.md from the files of all parts in results/."""
    for name in parts:
        if name not in PARTS:
            sys.exit(f"unknown part {name!r}; choose one of {', '.join(PARTS)}.")
    (HERE / "results").mkdir(exist_ok=True)
    for name in parts or PARTS:
        print(f"measuring {name}", flush=True)
        record = {"machine": machine.describe(), "result": PARTS[name]()}
        (HERE / "results" / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    (HERE / "RESULTS.md").write_text(report.page(HERE / "results"))
    print(HERE / "RESULTS.md")


if __name__ == "__main__":
    main(sys.argv[1:])
