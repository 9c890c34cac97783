"""Time and memory of `hcsac data check` by the number of steps; time and size of `hcsac data import`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.machine import cpu_seconds
from benchmarks.scale import reset_peak, status
from hcsac.data import Episode, store
from hcsac.data.checks import examine
from hcsac.data.formats import OpenedDataset, export
from hcsac.tasks import Task, register_task

S, A, LENGTH = 24, 6, 1000
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "lzf": {"compression": "lzf", "shuffle": True},
    "gzip 1": store._GZIP,
    "gzip 4": {**store._GZIP, "compression_opts": 4},
    "gzip 9": {**store._GZIP, "compression_opts": 9},
}


def measure(rows: tuple[int, ...]) -> dict[str, Any]:
    """Processor seconds and peak memory of a check without simulator states, each size in a new process."""
    return {str(count): _in_new_process(count) for count in rows}


def _in_new_process(rows: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.checks", str(rows)]
    return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def measure_import(rows: int) -> dict[str, Any]:
    """Steps a second of one core: of an import, of h5py reading the same file, of compressing and reading the result.

    The steps are synthetic; "size", the share that compression leaves, is that of a shipped walker's log.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINARI_DATASETS_PATH"] = folder
        register_task(Task("logged"))
        file = Path(folder) / "flat.hdf5"
        export(random_log(rows), "logged", "hdf5", file)
        rates = {
            "h5py reads the flat file": rows / cpu_seconds(lambda: _read_all(file)),
            "import": rows
            / cpu_seconds(lambda: store.write("test/import-v0", "logged", OpenedDataset(str(file), "logged"))),
        }
        store.write("test/plain-v0", "logged", OpenedDataset(str(file), "logged"), compress=False)
        main = Path(folder) / "test/plain-v0/data/main_data.hdf5"
        sample = Path(folder) / "test/sample-v0/data/main_data.hdf5"
        shipped = OpenedDataset("sample/walker-walk-medium-replay-v0")
        store.write("test/sample-v0", shipped.task, shipped, compress=False)
        plain = sample.stat().st_size
        for name, filters in FILTERS.items():
            rates[f"compress, {name}"] = rows / cpu_seconds(lambda f=filters: store._compress(main, f))
            rates[f"read, {name}"] = rows / cpu_seconds(lambda: list(OpenedDataset("logged=test/plain-v0")))
            store._compress(sample, filters)
            rates[f"size, {name}"] = sample.stat().st_size / plain
    return rates


def _read_all(path: Path) -> None:
    with h5py.File(path) as file:
        file.visititems(lambda _, item: item[()] if isinstance(item, h5py.Dataset) else None)


def random_log(rows: int, seed: int = 0) -> list[Episode]:
    """Episodes of 1000 steps of 24 observations that drift by their velocities and 6 actions, as a walker's."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(A, S // 2)) / np.sqrt(A)
    return [_episode(rng, mix) for _ in range(rows // LENGTH)]


def _episode(rng: np.random.Generator, mix: np.ndarray) -> Episode:
    action = rng.uniform(-1, 1, (LENGTH, A)).astype(np.float32)
    push = np.concatenate([rng.normal(size=(1, S // 2)), action @ mix])
    velocity = np.empty_like(push)
    velocity[0] = push[0]
    for t in range(LENGTH):
        velocity[t + 1] = 0.9 * velocity[t] + 0.3 * push[t + 1]
    pose = np.cumsum(0.05 * (velocity + np.roll(velocity, 1, axis=0)) / 2, axis=0)
    observation = np.concatenate([pose, velocity], axis=1).astype(np.float32)
    last = np.arange(LENGTH) == LENGTH - 1
    reward = (1 / (1 + np.abs(velocity[1:]).mean(1))).astype(np.float32)
    return Episode(observation, action, reward, np.zeros(LENGTH, bool), last)


def _check(rows: int) -> dict[str, float]:
    register_task(Task("logged"))
    examine("a few", "logged", random_log(3000))  # what is imported and allocated once
    data = random_log(rows)
    held = sum(array.nbytes for e in data for array in vars(e).values() if array is not None)
    reset_peak()
    before = status("VmRSS")
    seconds = cpu_seconds(lambda: examine("many", "logged", data))
    return {"seconds": seconds, "data": held, "peak": status("VmHWM") - before}


if __name__ == "__main__":
    print(json.dumps(_check(int(sys.argv[1]))))
