"""Whether sharing rules share what is useful: `python -m benchmarks.rules RUN...`, of runs that have shared.

A transition of another task is useful for a task where its logged episode goes on better, as the task pays it, than the
task's own episodes do at that step (`hcsac.sharing.outcome`); the last 50 steps of episodes are left out. Precision is
the part of the shared transitions that is useful, recall the part of the useful ones that is shared.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from hcsac import files
from hcsac.data.store import load
from hcsac.sharing.outcome import better_outcomes
from hcsac.training import RunDirectory


def main() -> int:
    """Print a row for each direction of each run, of its first, its middle and its last sharing step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    options = parser.parse_args()
    print("| run | direction | useful | update | shared | precision | recall |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for path in options.runs:
        run = RunDirectory(path)
        identity = run.identity()
        dataset = load(identity["data"], tasks=identity["tasks"])
        records = list(run.lines(files.SHARING))
        steps = sorted({record["update"] for record in records})
        for record in records:
            if record["update"] not in (steps[0], steps[len(steps) // 2], steps[-1]):
                continue
            source, target = (identity["tasks"].index(record[key]) for key in ("from", "to"))
            gain, sure = better_outcomes(dataset, target, [source])
            pairs = load_file(path / files.SHARED / f"{record['update']}.safetensors")
            taken = np.unpackbits(pairs[f"{record['seed']}.{source}.{target}.rows"])[: len(gain)].astype(bool)
            hits, shared, right = ((part & sure).sum() for part in (taken & (gain > 0), taken, gain > 0))
            numbers = right / sure.sum(), taken.mean(), hits / max(1, shared), hits / max(1, right)
            first, *others = (f"{number:.0%}" for number in numbers)
            direction = f"{record['from']} to {record['to']}"
            print(f"| {path} | {direction} | {first} | {record['update']} | {' | '.join(others)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
