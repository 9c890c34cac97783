"""Bringing cells to their end, wherever they run: skip the finished, resume the interrupted, retry the failed."""

import json
import math
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tqdm import tqdm

from hcsac.data.minari_store import load as load_dataset
from hcsac.errors import UserError
from hcsac.experiments.cells import Cell
from hcsac.experiments.storage import Mirror
from hcsac.settings import Settings
from hcsac.training import RunDirectory

ATTEMPTS = 2  # a failed cell is tried once more, from its last checkpoint
LOSSES = 10  # nodes that may die under a cell, which is no fault of its own, before it counts as failed


class Ended(NamedTuple):
    """A cell that stopped running: at its end, or with an error."""

    cell: Cell
    error: str | None = None  # the sentence or the traceback
    hopeless: bool = False  # whether another attempt would fail as well
    lost: bool = False  # whether the machine went away under it
    node: str = ""  # where it ran, if the launcher knows several places


class Launcher(Protocol):
    """Where cells run."""

    @property
    def slots(self) -> int:
        """Cells that it takes at once."""

    def start(self, cell: Cell) -> None:
        """Begin a cell, or go on with it from its last checkpoint; returns at once."""

    def ended(self, seconds: float) -> list[Ended]:
        """What stopped since the last call; waits up to `seconds` for something to stop."""

    def updates_of(self, cell: Cell) -> int:
        """How many updates the cell has done."""

    def close(self) -> None:
        """Stop what still runs."""


def run_cells(
    cells: Sequence[Cell],
    launcher: Launcher,
    log: Path | None = None,
    progress: bool = True,
    mirror: Mirror | None = None,
) -> list[Ended]:
    """Bring every cell to its end.

    Args:
        log: a JSONL file that is told of every start, end, error and lost machine.
        mirror: of the folder that the log is in, where the study is kept in a storage.

    Returns:
        The cells that failed, with their errors; the others went on without them.

    Raises:
        UserError: a cell's data are unusable; nothing is started then.
    """
    # Loading every dataset here finds bad data before the work; the processes load their own.
    rows = {refs: len(load_dataset(list(refs))) for refs in dict.fromkeys(cell.refs for cell in cells)}
    total = {cell.path: length(cell.settings, rows[cell.refs]) for cell in cells}
    done = {cell.path: total[cell.path] for cell in cells if RunDirectory(cell.path).finished}
    waiting = deque(cell for cell in cells if cell.path not in done)
    attempts: dict[Path, int] = {}
    losses: dict[Path, int] = {}
    tell = _Events(log, mirror)
    running: dict[Path, Cell] = {}
    failed: list[Ended] = []
    bar = tqdm(total=sum(total.values()), initial=sum(done.values()), unit="update", disable=not progress,
               dynamic_ncols=True, mininterval=1)  # fmt: skip
    try:
        with bar:
            while waiting or running:
                while waiting and len(running) < launcher.slots:
                    cell = waiting.popleft()
                    attempts[cell.path] = attempts.get(cell.path, 0) + 1
                    running[cell.path] = cell
                    tell(cell, "started", attempt=attempts[cell.path])
                    launcher.start(cell)
                for end in launcher.ended(seconds=2):
                    cell = running.pop(end.cell.path)
                    if end.error is None:
                        done[cell.path] = total[cell.path]
                        tell(cell, "finished", **({"node": end.node} if end.node else {}))
                        tqdm.write(f"finished {cell.label}") if progress else None
                        continue
                    if end.lost and losses.get(cell.path, 0) < LOSSES:
                        losses[cell.path] = losses.get(cell.path, 0) + 1
                        attempts[cell.path] -= 1
                        waiting.appendleft(cell)
                        tell(cell, "lost", node=end.node, error=end.error)
                        tqdm.write(f"its node died, goes on elsewhere: {cell.label}") if progress else None
                        continue
                    tell(cell, "failed", attempt=attempts[cell.path], error=end.error)
                    again = attempts[cell.path] < ATTEMPTS and not end.hopeless
                    if again:
                        waiting.append(cell)
                    else:
                        failed.append(end)
                    if progress:
                        last = end.error.strip().splitlines()[-1]
                        tqdm.write(f"{'tried again later' if again else 'failed'}: {cell.label}: {last}")
                at = {path: min(launcher.updates_of(cell), total[path]) for path, cell in running.items()}
                bar.n = sum(done.values()) + sum(at.values())
                bar.set_postfix_str(
                    f"{len(done)}/{len(cells)} runs" + (f", {len(failed)} failed" if failed else ""), refresh=False
                )
                bar.update(0)
    finally:
        launcher.close()
    return failed


def require_all(failed: Sequence[Ended]) -> None:
    """Raise `UserError` if a cell failed: for studies that are nothing without each of their runs."""
    if failed:
        first = failed[0]
        raise UserError(
            f"{len(failed)} run{'s' * (len(failed) > 1)} failed, the first of them {first.cell.label}: "
            f"{str(first.error).strip().splitlines()[-1]}"
        )


def length(settings: Settings, rows: int) -> int:
    """Updates of a run with these settings on data of so many rows."""
    return settings.updates or settings.epochs * math.ceil(rows / settings.batch_size)


def updates_done(run: RunDirectory) -> int:
    """How far a run has come, by what it wrote last."""
    if run.finished:
        return run.read_json("result.json")["updates"]
    return max(
        (record["update"] for name in ("metrics.jsonl", "evaluations.jsonl") for record in run.tail(name)), default=0
    )


def seconds_of(cells: Sequence[Cell]) -> float:
    """Wall-clock seconds of training and evaluation, summed over the runs that are finished."""
    runs = [RunDirectory(cell.path) for cell in cells]
    return sum(run.read_json("result.json")["seconds"] for run in runs if run.finished)


class _Events:
    """The log of a grid: one line an event, cells named by their paths from the log's own folder on."""

    def __init__(self, log: Path | None, mirror: Mirror | None):
        self.log, self.mirror = log, mirror

    def __call__(self, cell: Cell, event: str, **more: Any) -> None:
        if self.log is None:
            return
        when, root = datetime.now(UTC).isoformat(timespec="milliseconds"), self.log.parent
        path = cell.path.relative_to(root) if cell.path.is_relative_to(root) else cell.path
        with open(self.log, "a") as file:
            file.write(json.dumps({"time": when, "cell": path.as_posix(), "event": event, **more}) + "\n")
        if self.mirror is not None:
            try:
                self.mirror.push(self.log.name)
            except Exception as error:  # a word about the work must not end it; the next event takes this one along
                tqdm.write(f"could not store {self.log.name}: {error}")
