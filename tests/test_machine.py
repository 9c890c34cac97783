"""What is said of this machine is what others say of it."""

import os
import platform
from pathlib import Path

import pytest
import torch

from hcsac import machine


def test_cores_are_those_that_the_process_may_use():
    allowed = os.sched_getaffinity(0)
    assert machine.cores() == len(allowed)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_memory_and_instructions():
    lines = Path("/proc/meminfo").read_text().splitlines()
    total = int(next(line for line in lines if line.startswith("MemTotal")).split()[1]) * 1024
    assert machine.memory() == pytest.approx(total, rel=0.01)
    if platform.machine() == "x86_64":
        assert ("avx2" in machine.instructions()) == (torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"))
    assert machine.processor() == "" or machine.processor() in (
        Path("/proc/cpuinfo").read_text() + platform.processor()
    )
