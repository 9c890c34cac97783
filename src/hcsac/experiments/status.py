"""How far a grid has come: one line a cell."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hcsac.experiments.record import Record
from hcsac.experiments.scheduler import length, updates_done
from hcsac.experiments.study_run import Cell
from hcsac.training import RunDirectory, learning_curve

QUIET = 600  # seconds after which a cell that wrote nothing counts as interrupted


def status_table(record: Record, log: Path) -> str:
    """State, progress and the last returns of every cell, and how many are in which state."""
    errors = last_errors(log)
    lines, states = [], Counter[str]()
    for cell in record.cells:
        state, at = state_of(cell, errors), updates_done(RunDirectory(cell.path))
        states[state] += 1
        total = _length(cell)
        share = f"{at:,}/{total:,}" if total else f"{at:,}"
        error = errors[str(cell.path)] if state == "failed" else ""
        lines.append((state, share, cell.label, "  ".join(filter(None, (_returns(cell), error)))))
    widths = [max((len(line[column]) for line in lines), default=0) for column in range(3)]
    text = [
        f"{state:<{widths[0]}}  {share:>{widths[1]}}  {label:<{widths[2]}}  {rest}".rstrip()
        for state, share, label, rest in lines
    ]
    return "\n".join([*text, "", ", ".join(f"{count} {state}" for state, count in states.most_common())])


def state_of(cell: Cell, errors: dict[str, str]) -> str:
    """finished, failed, running, interrupted or waiting."""
    run = RunDirectory(cell.path)
    if run.finished:
        return "finished"
    if str(cell.path) in errors:
        return "failed"
    written = [file.stat().st_mtime for file in cell.path.glob("*.json*")]
    if not written:
        return "waiting"
    return "running" if time.time() - max(written) < QUIET else "interrupted"


def last_errors(log: Path) -> dict[str, str]:
    """Path of a cell -> the last line of its error, for the cells whose last event is a failure."""
    found: dict[str, str] = {}
    for event in events(log):
        path = str(log.parent / event["cell"])
        found.pop(path, None)
        if event["event"] == "failed":
            found[path] = event["error"].strip().splitlines()[-1]
    return found


def events(log: Path) -> Sequence[dict[str, Any]]:
    """What the log of a grid tells, oldest first; a line that was cut off is left out."""
    if not log.exists():
        return []
    found = []
    for line in log.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _length(cell: Cell) -> int | None:
    """Updates of the cell; None while only its data, which it has not read yet, could tell."""
    if cell.settings.updates:
        return cell.settings.updates
    if not (cell.path / "run.json").exists():
        return None
    return length(cell.settings, RunDirectory(cell.path).identity()["rows"])


def _returns(cell: Cell) -> str:
    run = RunDirectory(cell.path)
    if not (cell.path / "evaluations.jsonl").exists():
        return ""
    found = []
    for task in cell.tasks:
        returns = learning_curve(run, task)[1]
        if len(returns):
            found.append(f"{task} {np.mean(returns[-1]):.0f}")
    return "  ".join(found)
