"""Everything shared between many tasks under exact rewards: time and memory by the number of tasks."""

import json
import subprocess
import sys
from dataclasses import replace
from time import perf_counter
from typing import Any

from benchmarks import machine
from benchmarks.scale import reset_peak, status
from benchmarks.updates import CPU, random_data
from hcsac.algorithms.algorithm import generators
from hcsac.settings import Sharing
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.selection import Sharer, shared_pairs

SIZES = ((2, 1_000_000), (10, 1_000_000), (50, 1_000_000), (200, 1_000_000), (50, 10_000_000), (50, 50_000_000))


def measure(sizes: tuple[tuple[int, int], ...] = SIZES) -> dict[str, Any]:
    """By tasks and transitions of all together, each in a new process."""
    found = {}
    for tasks, rows in sizes:
        command = [sys.executable, "-m", "benchmarks.many_tasks", str(tasks), str(rows)]
        found[f"{tasks} {rows}"] = json.loads(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout
        )
    return found


def _measure(tasks: int, rows: int) -> dict[str, float]:
    """Seconds until everything is shared and of a minibatch of 256; memory beyond the data; bytes in a checkpoint."""
    names = tuple(f"walker-speed:{1 + number}" for number in range(tasks))
    data = replace(random_data(tasks, rows), task_names=names)
    _ = data.start_index, data.rows_left  # of the data
    before = status("VmRSS")
    reset_peak()
    began = perf_counter()
    active = ActiveDataset(data, 0.99, "recompute", generators([0], 2), CPU)
    made = perf_counter()
    (shared,) = Sharer(Sharing(sharing="all"), data.task, names, 1, 0)(None)
    active.set_shared([shared_pairs(shared)])
    ended = perf_counter()
    seconds = machine.interleave({"minibatch": lambda: active.sample(256)}, 20, {"minibatch": 5})
    held = sum(tensor.nbytes for name, tensor in active.state().items() if name.startswith("borrowed"))
    return {
        "rewards": made - began, "sharing": ended - made, "pairs": sum(len(one.row) for one in shared), **seconds,
        "memory": status("VmHWM") - before, "checkpoint": held,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]), int(sys.argv[2]))))
