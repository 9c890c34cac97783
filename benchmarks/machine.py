"""The machine of the measurements, its rate of matrix products, and timing."""

import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from hcsac import machine


def describe() -> dict[str, Any]:
    """Processor, cores, memory, instruction sets and versions."""
    return {
        "processor": machine.processor(),
        "cores": machine.cores(),
        "threads": torch.get_num_threads(),
        "memory_gib": round((machine.memory() or 0) / 2**30),
        "instructions": machine.instructions(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def matmul_rate(shape: tuple[int, int, int, int], dtype: torch.dtype, repeats: int = 200) -> float:
    """Highest floating-point operations per second of [E, n, k] @ [E, k, m]; shape is (E, n, k, m)."""
    E, n, k, m = shape
    left, right = torch.randn(E, n, k).to(dtype), torch.randn(E, k, m).to(dtype)
    out = torch.empty(E, n, m, dtype=dtype)
    seconds = min(timed(lambda: torch.bmm(left, right, out=out)) for _ in range(repeats))
    return 2 * E * n * k * m / seconds


def timed(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def cpu_seconds(call: Callable[[], Any]) -> float:
    """Seconds of processor time of one call, summed over threads."""
    began = time.process_time()
    call()
    return time.process_time() - began


def interleave(
    calls: dict[str, Callable[[], Any]],
    rounds: int,
    repeats: dict[str, int],
    clock: Callable[[Callable[[], Any]], float] = timed,
) -> dict[str, float]:
    """Median seconds of each call: every round times all of them in turn, each for `repeats` calls.

    On a shared machine other processes slow all of them alike, so that ratios are stable where times are not.
    """

    def several(name: str) -> float:
        return clock(lambda: [calls[name]() for _ in range(repeats[name])]) / repeats[name]

    rows = [{name: several(name) for name in calls} for _ in range(rounds)]
    return {name: statistics.median(row[name] for row in rows) for name in calls}
