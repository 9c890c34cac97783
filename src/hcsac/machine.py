"""The machine: processor, cores, instruction sets, memory."""

import os
import platform
from pathlib import Path

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # those that decide the speed of matrix products


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The name of the processor."""
    return _described("model name") or platform.processor()


def instructions() -> list[str]:
    """Which instruction sets for matrix products it has; none where the system does not say."""
    flags = _described("flags").split()
    return [name for name in _INSTRUCTIONS if name in flags]


def memory() -> int | None:
    """Bytes of memory; None where the system does not say."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None


def _described(name: str) -> str:
    """A field of Linux's description of the processor; empty elsewhere."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")
