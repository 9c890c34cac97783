"""The long form: `python -m tests.reliability [--kills N] [--every K]`."""

import argparse
import os
import random
import tempfile
from collections import Counter
from pathlib import Path

import torch

from tests.reliability.jobs import LONG_JOBS, Job
from tests.reliability.sabotage import FAULTS, attempt, killed_until_done


def main() -> None:
    """Kill every job at random moments, and let every file operation of it fail in every way; print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kills of every job at random moments")
    parser.add_argument("--every", type=int, default=1, help="let every K-th file operation fail")
    parser.add_argument("--jobs", default=",".join(LONG_JOBS), help="which, by name")
    options = parser.parse_args()
    os.environ["HCSAC_SIMULATE"] = "in-process"
    torch.set_num_threads(1)
    draw = random.Random(0)
    print("| job | kills | other results | file operations | faults | other results | tracebacks |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in options.jobs.split(","):
        job = LONG_JOBS[name]
        with tempfile.TemporaryDirectory() as root:
            ended = attempt(job, _folder(job, root, "whole"))
            assert ended.status == 0, ended.text
            result, kills, wrong, trial = job.result(Path(root, "whole")), 0, 0, 0
            while kills < options.kills:
                trial += 1
                folder = _folder(job, root, f"kills-{trial}")
                kills += killed_until_done(job, folder, ended.seconds, 5, draw)
                wrong += job.result(folder) != result
            outcome = Counter[str]()
            for at in range(1, ended.operations + 1, options.every) if job.faults else ():
                for fault in FAULTS:
                    folder = _folder(job, root, f"{at}-{fault}")
                    first, again = attempt(job, folder, at=at, fault=fault), attempt(job, folder)
                    outcome["faults"] += 1
                    if first.status == 70 or again.status != 0:
                        outcome["tracebacks"] += 1
                        print(f"<!-- {name}, {fault} at {at}: {first.text[-300:]} {again.text[-300:]} -->")
                    elif job.result(folder) != result:
                        outcome["wrong"] += 1
                        print(f"<!-- {name}, {fault} at {at}: another result -->")
        print(f"| {name} | {kills} | {wrong} | {ended.operations} | {outcome['faults']} | {outcome['wrong']} | "
              f"{outcome['tracebacks']} |", flush=True)  # fmt: skip


def _folder(job: Job, root: str, name: str) -> Path:
    folder = Path(root, name)
    folder.mkdir()
    job.prepare(folder)
    return folder


if __name__ == "__main__":
    main()
