"""Bringing cells to their end, wherever they run: skip the finished, resume the interrupted, retry the failed."""

import json
import math
import warnings
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hcsac.data.store import load as load_dataset
from hcsac.errors import UserError
from hcsac.experiments.storage import Mirror
from hcsac.experiments.study_run import Cell, require_settings
from hcsac.settings import Settings
from hcsac.training import Progress, RunDirectory

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
        UserError: a cell's settings exclude each other, or its data are unusable; nothing is started then.
    """
    require_settings(cells)
    # Loading every dataset here finds bad data before the work; the processes load their own.
    rows = {refs: len(load_dataset(list(refs))) for refs in dict.fromkeys(cell.refs for cell in cells)}
    total = {cell.path: length(cell.settings, rows[cell.refs]) for cell in cells}
    study = _Study(cells, launcher, total, _Events(log, mirror), progress)
    try:
        while study.waiting or study.running:
            study.start()
            for end in launcher.ended(seconds=2):
                study.settle(end)
            study.show()
    finally:
        launcher.close()
        study.shown.close()
    return study.failed


class _Study:
    """Which cells wait, run, are done and have failed."""

    def __init__(
        self, cells: Sequence[Cell], launcher: Launcher, total: dict[Path, int], tell: "_Events", progress: bool
    ):
        self.launcher, self.total, self.tell, self.count = launcher, total, tell, len(cells)
        self.done = {cell.path for cell in cells if RunDirectory(cell.path).finished}
        self.waiting = deque(cell for cell in cells if cell.path not in self.done)
        self.running: dict[Path, Cell] = {}
        self.failed: list[Ended] = []
        self.attempts, self.losses = Counter[Path](), Counter[Path]()
        self.shown = Progress(sum(total.values()), self._updates(), enabled=progress)

    def start(self) -> None:
        """Begin as many cells as there is room for."""
        while self.waiting and len(self.running) < self.launcher.slots:
            cell = self.waiting.popleft()
            self.attempts[cell.path] += 1
            self.running[cell.path] = cell
            self.tell(cell, "started", attempt=self.attempts[cell.path])
            self.launcher.start(cell)

    def settle(self, end: Ended) -> None:
        """A cell stopped: it is done, goes on elsewhere, is tried again, or has failed."""
        cell = self.running.pop(end.cell.path)
        node = {"node": end.node} if end.node else {}
        if end.error is None:
            self.done.add(cell.path)
            self.tell(cell, "finished", **node)
            self.shown.write_line(f"finished {cell.label}")
        elif end.lost and self.losses[cell.path] < LOSSES:
            self.losses[cell.path] += 1
            self.attempts[cell.path] -= 1
            self.waiting.appendleft(cell)
            self.tell(cell, "lost", error=end.error, **node)
            self.shown.write_line(f"its node died, goes on elsewhere: {cell.label}")
        else:
            self.tell(cell, "failed", attempt=self.attempts[cell.path], error=end.error)
            again = self.attempts[cell.path] < ATTEMPTS and not end.hopeless
            if again:
                self.waiting.append(cell)
            else:
                self.failed.append(end)
            said = "failed, is tried again" if again else "failed"
            self.shown.write_line(f"{said}: {cell.label}: {end.error.strip().splitlines()[-1]}")

    def show(self) -> None:
        """How far all of it is."""
        self.shown.status = f"{len(self.done)}/{self.count} runs" + (
            f", {len(self.failed)} failed" if self.failed else ""
        )
        self.shown.advance(max(0, self._updates() - self.shown.done))

    def _updates(self) -> int:
        at = [min(self.launcher.updates_of(cell), self.total[path]) for path, cell in self.running.items()]
        return sum(self.total[path] for path in self.done) + sum(at)


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
                warnings.warn(f"could not store {self.log.name}: {error}", stacklevel=2)
