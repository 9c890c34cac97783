"""Time of an update and memory of the data, by the number of transitions."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.updates import CPU, A, S, random_data
from hcsac.algorithms import make_algorithm, preset, resolve
from hcsac.algorithms.algorithm import generators
from hcsac.data import Dataset
from hcsac.sharing.active import ActiveDataset
from hcsac.training.memory import keep_freed_memory
from hcsac.types import Spec


def measure(rows: tuple[int, ...], rounds: int) -> dict[str, Any]:
    """Seconds of a compiled HCSAC update and of its minibatch, sizes in turn; memory, each size in a new process."""
    keep_freed_memory()
    memory = {}
    for count in rows:
        command = [sys.executable, "-m", "benchmarks.scale", str(count)]
        memory[str(count)] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    settings = resolve("hcsac", preset("slides", "hcsac").replace({"precision": "auto"}), ("task-0", "task-1"))
    agent = make_algorithm("hcsac", Spec(S, A, ("task-0", "task-1")), settings, [0], compiled=True)
    held = {str(count): _active(random_data(2, count)) for count in rows}
    for active in held.values():
        for _ in range(5):
            agent.advance(active.sample(settings.batch_size))
    updates = {name: lambda active=active: agent.advance(active.sample(settings.batch_size))
               for name, active in held.items()}  # fmt: skip
    draws = {name: lambda active=active: active.sample(settings.batch_size) for name, active in held.items()}
    seconds = machine.interleave(updates, rounds, dict.fromkeys(held, 1))
    minibatch = machine.interleave(draws, rounds, dict.fromkeys(held, 20))
    return {name: {"update": seconds[name], "minibatch": minibatch[name], **memory[name]} for name in held}


def _active(data: Dataset) -> ActiveDataset:
    return ActiveDataset(data, 0.99, "keep", generators([0], 2), CPU)


def _memory(rows: int) -> dict[str, int]:
    """Bytes of the dataset's arrays, and peak memory of creating them and the active dataset."""
    reset_peak()
    before = status("VmRSS")
    data = random_data(2, rows)
    active = _active(data)
    active.sample(256)
    named = ("observations", "action", "reward", "terminated", "task")
    return {"arrays": sum(getattr(data, name).nbytes for name in named), "peak": status("VmHWM") - before}


def reset_peak() -> None:
    """Let `status("VmHWM")` tell the peak from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def status(name: str) -> int:
    """Bytes that the kernel has under this name for the process: `VmRSS`, memory now; `VmHWM`, at most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(_memory(int(sys.argv[1]))))
