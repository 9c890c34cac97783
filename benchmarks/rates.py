"""What is computed outside of updates: values, sharing steps, rewards, and the time to the first update."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.updates import CPU, A, S, random_data
from hcsac.algorithms import make_algorithm, preset, resolve
from hcsac.algorithms.algorithm import generators
from hcsac.data.rewards import reward_blocks
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.selection import Sharer, shared_pairs
from hcsac.tasks import replay
from hcsac.training.loop import SCORING_ROWS
from hcsac.types import Spec


def scoring(rounds: int) -> dict[str, Any]:
    """Values Q_i(s, a) a second, for one task i, at the slides' sizes."""
    data = random_data(2)
    results: dict[str, Any] = {}
    for precision in ("float32", "bf16"):
        settings = resolve("hcsac", preset("slides", "hcsac").replace({"precision": precision}), data.task_names)
        agent = make_algorithm("hcsac", Spec(S, A, data.task_names), settings, [0])
        active = ActiveDataset(data, 0.99, "keep", generators([0], 2), CPU)
        chunk, row = next(active.chunks(SCORING_ROWS)), next(active.chunks(1))
        calls: dict[str, Callable[[], Any]] = {
            "batched": lambda agent=agent, chunk=chunk: agent.values(*chunk, 0),
            "one row at a time": lambda agent=agent, row=row: agent.values(*row, 0),
        }
        seconds = machine.interleave(calls, rounds, {"batched": 2, "one row at a time": 200})
        results[precision] = {"batched": SCORING_ROWS / seconds["batched"], "single": 1 / seconds["one row at a time"]}
    return results


def sharing(rows: tuple[int, ...]) -> dict[str, Any]:
    """Seconds of one sharing step without computing values, and bytes of the index for each shared transition."""
    results = {}
    settings = preset("slides", "hcsac")
    for count in rows:
        task = np.repeat(np.arange(2), count // 2)
        values = np.random.default_rng(0).standard_normal((1, count), dtype=np.float32)
        began = time.perf_counter()
        [shared] = Sharer(settings, task, ("a", "b"), 1, 1)(lambda _, values=values: values)
        pairs = shared_pairs(shared)
        seconds = time.perf_counter() - began
        size = sum(array.nbytes for array in pairs if array is not None) / len(pairs.row)
        results[str(count)] = {"seconds": seconds, "rows_per_second": count / seconds, "bytes_per_borrowed_row": size}
    return results


def rewards(rows: int, rounds: int) -> dict[str, float]:
    """Transitions of the recomputed reward table a second of one core: one column, and two as a training computes them.

    And one column by the simulator, which is set to each state and makes one step.
    """
    names = ("walker-walk", "walker-run")
    data = replace(random_data(2, rows), task_names=names)
    physics, action = np.zeros((1000, 18)), data.action[:1000]
    calls: dict[str, Callable[[], Any]] = {
        "one column": lambda: sum(len(block) for block in reward_blocks(data, ["walker-speed:3.5"])),
        "table of two tasks, own column logged": lambda: sum(len(block) for block in reward_blocks(data)),
        "one column, by the simulator": lambda: replay("walker-run", physics, action),
    }
    for call in calls.values():  # reads the model
        call()
    seconds = machine.interleave(calls, rounds, dict.fromkeys(calls, 1), machine.cpu_seconds)
    counts = [rows, rows, len(physics)]
    return {name: count / seconds[name] for name, count in zip(calls, counts, strict=True)}


def first_update() -> dict[str, float]:
    """Seconds from the command to the end of its first update, on the datasets in the package, by compilation."""
    seconds = {}
    refs = [word for task in ("walk", "run") for word in ("--data", f"sample/walker-{task}-medium-v0")]
    for name, extra in {
        "eager": ["--compile", "off"],
        "compiled for the first time": ["--compile", "on"],
        "compiled before": ["--compile", "on"],
    }.items():
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(tempfile.gettempdir()) / "hcsac-benchmark-cache"
            if name == "compiled for the first time":
                subprocess.run(["rm", "-rf", str(cache)], check=True)
            command = [sys.executable, "-m", "hcsac.cli", "train", "hcsac", *refs, *extra, "--precision", "bf16"]
            command += ["--updates", "1000", "--log-interval", "1", "--output", f"{folder}/run"]
            env = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache)}
            began = time.perf_counter()
            process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            metrics = Path(folder) / "run" / "metrics.jsonl"
            while not (metrics.exists() and metrics.stat().st_size) and process.poll() is None:
                time.sleep(0.05)
            seconds[name] = time.perf_counter() - began
            process.kill()
            process.wait()
    return seconds
