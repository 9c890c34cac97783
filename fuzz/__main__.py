"""The long form: `python -m fuzz [READER...] --inputs N [--minutes M] [--guided]`; prints a row for each reader."""

import argparse
import os
import time
from pathlib import Path


def main() -> None:
    """Damage the files of every reader and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Damaged files for the readers of hcsac.")
    parser.add_argument("readers", nargs="*", help="all if none is named")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="damaged files for each reader")
    parser.add_argument("--minutes", type=float, help="stop a reader after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"), help="folder for the files that fail")
    parser.add_argument("--guided", action="store_true", help="by coverage; needs atheris (pip install atheris)")
    options = parser.parse_args()
    os.environ["HCSAC_SIMULATE"] = "in-process"
    # Imported here: coverage is that of modules which are imported by the fuzzer.
    if options.guided:
        from fuzz.guided import run
    else:
        from fuzz.inputs import run
    import torch

    from fuzz.inputs import OUTCOMES
    from fuzz.readers import READERS

    unknown = set(options.readers) - set(READERS)
    if unknown:
        parser.error(f"no reader {', '.join(sorted(unknown))}; there are {', '.join(READERS)}")
    torch.set_num_threads(1)
    print(f"| reader | inputs | {' | '.join(OUTCOMES)} | a second |\n| --- |{' ---: |' * (len(OUTCOMES) + 2)}")
    for name in options.readers or READERS:
        began = time.monotonic()
        seconds = None if options.minutes is None else 60 * options.minutes
        found = run(READERS[name], options.inputs, options.seed, options.keep / name, seconds)
        rate = found.total() / (time.monotonic() - began)
        numbers = " | ".join(f"{found[outcome]:,}" for outcome in OUTCOMES)
        print(f"| {name} | {found.total():,} | {numbers} | {rate:.0f} |", flush=True)


if __name__ == "__main__":
    main()
