"""What a study costs beside its training: the report, the start of a run, the pictures of a video."""

import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.machine import timed
from hcsac import preset, train
from hcsac.experiments import LocalLauncher, StudyRecord, StudyRun, run_all
from hcsac.experiments.report import write_report

DATA = ("sample/walker-walk-medium-v0", "sample/walker-run-medium-v0")
TASKS = ("walker-walk", "walker-run")
SEEDS = 5


def measure() -> dict[str, float]:
    """Seconds and pictures a second, by what they are of."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        record = made_up(place / "study", count=200, checkpoints=50, episodes=20)
        seconds = timed(lambda: write_report(record, videos=False))
        return {"report of 200 runs, s": seconds} | starts(place / "runs", 4) | pictures(place / "run")


def made_up(folder: Path, count: int, checkpoints: int, episodes: int) -> StudyRecord:
    """A study of so many finished runs, with random returns and sharing records."""
    random = np.random.default_rng(0)
    runs = []
    for number in range(count):
        variant, seed = divmod(number, SEEDS)
        path = folder / f"{variant}" / f"seed-{seed}"
        settings = preset("slides", "hcsac").replace({"cql_weight": float(variant + 1)})
        run = StudyRun("made-up", f"w-{variant}", "hcsac", TASKS, DATA, settings, (seed,), "correct", path)
        runs.append(run)
        path.mkdir(parents=True)
        identity = {"agent": "hcsac", "seeds": [seed], "tasks": list(TASKS), "settings": settings.as_dict()}
        identity |= {"behaviour": {"walker-walk": 900.0, "walker-run": 300.0}, "rows": 100_000}
        (path / "run.json").write_text(json.dumps(identity))
        (path / "result.json").write_text(
            json.dumps({"updates": 1000 * checkpoints, "seconds": 300.0, "updates_per_second": 170.0})
        )
        evaluations, shared = [], []
        for update in range(1000, 1000 * checkpoints + 1, 1000):
            for task, level in (("walker-walk", 900), ("walker-run", 300)):
                returns = np.round(level * (1 - np.exp(-update / 10_000)) + random.normal(0, 20, episodes), 4)
                evaluations.append({"update": update, "seed": seed, "task": task, "returns": returns.tolist()})
            for source, target in (TASKS, TASKS[::-1]):
                record = {"from": source, "to": target, "offered": 51_000, "borrowed": int(random.integers(9000))}
                shared.append({"update": update, "seed": seed, **record, "claimed_reward": 0.9, "true_reward": 0.3})
        for name, records in (("evaluations", evaluations), ("sharing", shared)):
            (path / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return StudyRecord("Made up", "", {}, runs, folder)


def starts(folder: Path, count: int) -> dict[str, float]:
    """What the first and, in the mean, every later run costs on this machine beside its own training."""
    settings = preset("quick", "bc").replace({"updates": 20, "evaluation_episodes": 1, "final_episodes": 1})
    runs = [
        StudyRun("sample", "", "bc", TASKS[:1], DATA[:1], settings, (seed,), "correct", folder / str(seed))
        for seed in range(count)
    ]
    folder.mkdir()
    run_all(runs, LocalLauncher(jobs=1), folder / "events.jsonl", progress=False)
    times: dict[str, dict[str, datetime]] = {}
    for event in map(json.loads, (folder / "events.jsonl").read_text().splitlines()):
        times.setdefault(event["run"], {})[event["event"]] = datetime.fromisoformat(event["time"])
    costs = []
    for run, at in times.items():
        own = json.loads((folder / run / "result.json").read_text())["seconds"]
        costs.append((at["finished"] - at["started"]).total_seconds() - own)
    return {"start of the first run, s": costs[0], "start of a later run, s": float(np.mean(costs[1:]))}


def pictures(folder: Path) -> dict[str, float]:
    """Frames a second by OpenGL backend and size, including simulation, policy and encoding; 40 are real time.

    Computed from the difference between a long and a short video, to exclude the time of starting.
    """
    settings = preset("quick", "bc").replace({"updates": 20, "final_episodes": 1})
    train("bc", DATA[:1], folder, settings, progress=False)
    found = {}
    for backend in ("egl", "osmesa"):
        for width, height in ((320, 240), (480, 360)):
            size = ["--width", str(width), "--height", str(height)]
            short, long = (timed(partial(_render, folder, backend, length, size)) for length in (5, 20))
            found[f"frames a second, {backend}, {width} x {height}"] = 40 * 15 / (long - short)
    return found


def _render(run: Path, backend: str, seconds: int, size: list[str]) -> None:
    command = [sys.executable, "-m", "hcsac.cli", "render", str(run), "--seconds", str(seconds), *size, "--overwrite"]
    subprocess.run(command, env={**os.environ, "MUJOCO_GL": backend}, check=True, capture_output=True)
