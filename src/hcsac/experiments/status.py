"""The state of a study: one line per run."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from hcsac import files
from hcsac.experiments.record import StudyRecord
from hcsac.experiments.study_run import StudyRun
from hcsac.experiments.words import last_line
from hcsac.training import RunDirectory, learning_curve, updates_done

QUIET = 600  # seconds without a write after which a run of another machine, whose lock is not seen, is interrupted


def status_table(record: StudyRecord, log: Path) -> str:
    """State, updates and latest returns of every run, then the number of runs in each state.

    Args:
        log: the events of the study.
    """
    errors = last_errors(log)
    lines, states = [], Counter[str]()
    for run in record.runs:
        state, done = state_of(run, errors), updates_done(RunDirectory(run.path))
        states[state] += 1
        total = _length(run)
        updates = f"{done:,}/{total:,}" if total else f"{done:,}"
        error = errors[str(run.path)] if state == "failed" else ""
        lines.append((state, updates, run.label, "  ".join(filter(None, (_latest_returns(run), error)))))
    widths = [max((len(line[column]) for line in lines), default=0) for column in range(3)]
    text = [
        f"{state:<{widths[0]}}  {updates:>{widths[1]}}  {label:<{widths[2]}}  {rest}".rstrip()
        for state, updates, label, rest in lines
    ]
    return "\n".join([*text, "", ", ".join(f"{count} {state}" for state, count in states.most_common())])


def state_of(run: StudyRun, errors: dict[str, str]) -> str:
    """finished, failed, running, interrupted or waiting.

    Args:
        errors: as `last_errors` returns them.
    """
    if RunDirectory(run.path).finished:
        return "finished"
    if str(run.path) in errors:
        return "failed"
    if (run.path / files.LOCK).exists():
        return "running" if RunDirectory(run.path).locked else "interrupted"
    names = (files.RUN, files.TRACKERS, *files.JSONL_FILES)  # what a training writes
    written = [(run.path / name).stat().st_mtime for name in names if (run.path / name).exists()]
    if not written:
        return "waiting"
    return "running" if time.time() - max(written) < QUIET else "interrupted"


def last_errors(log: Path) -> dict[str, str]:
    """Path of a run -> last line of its error, for the runs whose last event is a failure."""
    errors: dict[str, str] = {}
    for event in events(log):
        path = str(log.parent / event["run"])
        errors.pop(path, None)
        if event["event"] == "failed":
            errors[path] = last_line(event["error"])
    return errors


def events(log: Path) -> Sequence[dict[str, Any]]:
    """The events in the log of a study, oldest first, without lines that were cut off or are corrupt."""
    if not log.exists():
        return []
    records = []
    for line in log.read_bytes().splitlines():
        try:
            record = files.parse_object(line)
        except ValueError:
            continue
        if "cell" in record:  # the key of hcsac 0.1
            record["run"] = record.pop("cell")
        if _is_event(record):
            records.append(record)
    return records


def _is_event(record: dict[str, Any]) -> bool:
    """Whether an event has what its readers need; those of hcsac 0.1 have no time."""
    named = all(files.fits(record.get(name), str) for name in ("run", "event"))
    told = record.get("event") != "failed" or files.fits(record.get("error"), str)
    try:
        timed = "time" not in record or datetime.fromisoformat(record["time"]).tzinfo is not None
    except (TypeError, ValueError):
        return False
    return named and told and timed


def _length(run: StudyRun) -> int | None:
    """Updates of the run; None while they depend on data that it has not loaded yet."""
    if run.settings.updates:
        return run.settings.updates
    if not (run.path / "run.json").exists():
        return None
    return run.settings.length(RunDirectory(run.path).identity()["rows"])


def _latest_returns(run: StudyRun) -> str:
    directory = RunDirectory(run.path)
    if not (run.path / "evaluations.jsonl").exists():
        return ""
    texts = []
    for task in run.tasks:
        returns = learning_curve(directory, task)[1]
        if len(returns):
            texts.append(f"{task} {np.mean(returns[-1]):.0f}")
    return "  ".join(texts)
