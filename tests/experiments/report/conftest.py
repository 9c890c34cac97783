"""A small study made by hand: two datasets, two variants (one with a name that HTML must not read), three seeds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hcsac.algorithms import settings_of
from hcsac.experiments.record import StudyRecord, write_record
from hcsac.experiments.report.load import load_study
from hcsac.experiments.report.styles import series_of
from hcsac.experiments.study_run import StudyRun
from hcsac.settings import Settings

TASKS = ("slide-left", "slide-right")
NASTY = '<b>bold</b> & "co|py" <script>alert(1)</script>'
PUBLISHED = {"medium": {"slide-left": {"hcsac": (7.0, 1.0)}, "slide-right": {"hcsac": (9.0, None)}}}
UPDATES = (100, 200, 300)


def value(level: str, variant: str, seed: int, task: str, update: int, episode: int) -> float:
    """What the study's episodes return: more with every update, in `medium` more than behaviour."""
    return {"medium": 4.0, "replay": 1.0}[level] + update / 100 + seed + episode / 4 + (variant == NASTY) / 2


def records(run: StudyRun) -> Iterator[dict[str, Any]]:
    for update in UPDATES:
        for task in run.tasks:
            for seed in run.seeds:
                returns = [value(run.dataset, run.variant, seed, task, update, episode) for episode in range(4)]
                yield {"update": update, "seed": seed, "task": task, "returns": returns}


def write_run(run: StudyRun, settings: Settings) -> None:
    """The directory of a finished run."""
    run.path.mkdir(parents=True)
    identity = {
        "hcsac": "0.1.0", "torch": "2.7.0+cpu", "agent": run.algorithm, "seeds": list(run.seeds),
        "tasks": list(run.tasks), "behaviour": dict.fromkeys(run.tasks, 5.0), "rows": 100,
        "settings": settings.as_dict(),
    }  # fmt: skip
    (run.path / "run.json").write_text(json.dumps(identity))
    (run.path / "evaluations.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records(run)))
    result = {"updates": 300, "seconds": 60.0 + run.seeds[0], "seconds_evaluating": 6.0, "updates_per_second": 5.5}
    (run.path / "result.json").write_text(json.dumps(result))
    if run.variant == NASTY:
        shared = [
            {"update": update, "seed": run.seeds[0], "from": a, "to": b, "offered": 48, "borrowed": update // 10,
             "claimed_reward": 0.9, "true_reward": None if a == TASKS[0] else 0.3}
            for update in (100, 200) for a, b in (TASKS, TASKS[::-1])
        ]  # fmt: skip
        (run.path / "sharing.jsonl").write_text("".join(json.dumps(record) + "\n" for record in shared))


def make_study(output: Path) -> StudyRecord:
    """All of it on disk: 12 runs, of which 11 are finished and the last one, replay's third nasty seed, failed."""
    runs = []
    for level in ("medium", "replay"):
        for number, variant in enumerate(("plain", NASTY)):
            changed = settings_of("hcsac")().replace(
                {"sharing": "all" if number else "none", "hidden_size": 8, "updates": 300}
            )
            for seed in range(3):
                place = output / level / f"variant-{number}" / f"seed-{seed}"
                refs = tuple(f"lab/{task}-{level}-v0" for task in TASKS)
                runs.append(StudyRun(level, variant, "hcsac", TASKS, refs, changed, (seed,), "correct", place))
    for run in runs[:-1]:
        write_run(run, run.settings)
    told = [
        {"time": "2026-03-01T10:00:00+00:00", "run": str(runs[0].path), "event": "started"},
        {"time": "2026-03-02T10:00:00+00:00", "run": str(runs[-1].path), "event": "failed", "error": "x\nbad <luck>"},
    ]
    (output / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in told))
    record = StudyRecord("A <small> study", "Sharing & none.", PUBLISHED, runs, output)
    write_record(record)
    return record


@pytest.fixture
def study(tmp_path) -> StudyRecord:
    return make_study(tmp_path / "study")


@pytest.fixture
def loaded(study):
    return load_study(study, study.output / "events.jsonl", lambda text: None)


@pytest.fixture
def series(loaded):
    return series_of(one.run for one in loaded.finished)
