"""The long form: every start adds to the figures, and writes them into docs/reliability.md."""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from fuzz.readers import READERS
from tests.reliability.figures import FILE, KINDS, PAGE, Figures, Piece
from tests.reliability.jobs import LONG_JOBS
from tests.reliability.pieces import TESTS, Found, work

SIZES = {"tests": 1, "kills": 10, "faults": 10, "inputs": 5_000}  # of a piece


def main() -> int:
    """Do what is missing until it is done or time is up; 1 where anything was lost, ever."""
    options = _options()
    if options.anew and options.names is None:
        FILE.unlink(missing_ok=True)
    figures, end = Figures(), time.monotonic() + 60 * options.minutes
    if options.anew and options.names is not None:
        figures.forget(options.names.split(","))
    wanted, running = _wanted(options, figures), dict[Future[Found], Piece]()
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        while True:
            while len(running) < options.processes and time.monotonic() < end:
                piece = next(wanted, None)
                if piece is None:
                    break
                running[pool.submit(work, piece)] = piece
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                piece, found = running.pop(future), future.result()
                figures.add(piece, found.counts)
                PAGE.write_text(figures.page(PAGE.read_text()))
                print(f"{piece.kind} {piece.name} from {piece.first}: {dict(found.counts)}", *found.notes, flush=True)
    return int(figures.lost() > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kills of every job at random moments")
    parser.add_argument("--faults", type=int, default=sys.maxsize, help="file operations of every job that fail (all)")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="damaged files for every reader")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing more after so long")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which of them")
    parser.add_argument("--names", help="jobs, readers and files of tests (all)")
    parser.add_argument("--processes", type=int, default=2, help="pieces at a time")
    parser.add_argument("--anew", action="store_true", help="count from zero, for --names or for all")
    return parser.parse_args()


def _wanted(options: argparse.Namespace, figures: Figures) -> Iterator[Piece]:
    """The pieces that are missing, of every name one after the other."""
    able = [job for job in LONG_JOBS if LONG_JOBS[job].faults]
    names = {"tests": TESTS, "kills": LONG_JOBS, "faults": able, "inputs": READERS}
    goals = {"tests": 1, "kills": options.kills, "faults": options.faults, "inputs": options.inputs}
    for kind in options.kinds.split(","):
        left = [name for name in names[kind] if options.names is None or name in options.names.split(",")]
        begun = {name: figures.of(kind, name)["done"] for name in left}
        while left:
            for name in tuple(left):
                first = begun[name]
                count = min(SIZES[kind], goals[kind] - first)
                known = figures.of(kind, name)["operations"]
                if count <= 0 or (kind == "faults" and 0 < known <= first):
                    left.remove(name)
                else:
                    yield Piece(kind, name, first, count)
                    begun[name] += count


if __name__ == "__main__":
    sys.exit(main())
