"""What a grid's directories hold, read once: finished runs, what is missing and why, returns, flows, times."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hcsac.errors import UserError
from hcsac.experiments.record import Record
from hcsac.experiments.returns import collect_returns
from hcsac.experiments.status import events, last_errors, state_of
from hcsac.experiments.study_run import Cell
from hcsac.experiments.summary import Summary, summarise
from hcsac.training import RunDirectory, last_returns

if TYPE_CHECKING:
    import pyarrow as pa


class Finished(NamedTuple):
    """A cell that is finished, and what its run says of itself."""

    cell: Cell
    run: RunDirectory
    identity: dict[str, Any]
    result: dict[str, Any]


class Gathered(NamedTuple):
    """All that a report is made from."""

    record: Record
    finished: list[Finished]
    states: list[tuple[Cell, str, str]]  # every cell, its state and, where there is one, its error
    table: "pa.Table"  # every return of the finished cells
    summary: Summary
    when: tuple[datetime, datetime]  # from the first start to the last end, UTC

    @property
    def counts(self) -> Counter[str]:
        """State -> cells."""
        return Counter(state for _, state, _ in self.states)

    @property
    def damage(self) -> list[str]:
        """A sentence for every record of which damaged lines were left out."""
        return [f"{one.cell.label}, {text}" for one in self.finished for text in one.run.corruption()]


def gather(record: Record, log: Path, tell: Callable[[str], None]) -> Gathered:
    """Read the grid.

    Args:
        log: its events.
        tell: is told what is being done.

    Raises:
        UserError: no cell is finished and evaluated yet, or the runs of a cell contradict each other.
    """
    errors = last_errors(log)
    finished: list[Finished] = []
    states: list[tuple[Cell, str, str]] = []
    for cell in record.cells:
        state = state_of(cell, errors)
        error = errors.get(str(cell.path), "") if state == "failed" else ""
        if state == "finished":
            try:
                one = _read(cell)
                state = "finished" if one.result.get("evaluated", True) else "unevaluated"
                finished += [one] * (state == "finished")
            except UserError as problem:
                state, error = "damaged", str(problem).replace(f"{record.output}/", "")
        states.append((cell, state, error))
    if not finished:
        counts = Counter(state for _, state, _ in states)
        said = ", ".join(f"{count} {state}" for state, count in counts.most_common())
        raise UserError(
            f"{record.output}: no cell is finished and evaluated yet ({said}); `hcsac grid run` goes on with them, "
            "`hcsac grid status` tells more."
        )
    tell(f"reading {len(finished)} of {len(record.cells)} runs")
    labels = [(one.run, {"dataset": one.cell.dataset, "variant": one.cell.variant}) for one in finished]
    table = collect_returns(labels, record.output)
    tell(f"statistics of {len(table):,} returns")
    return Gathered(record, finished, states, table, summarise(table), _when(finished, log))


def _read(cell: Cell) -> Finished:
    """The run of a finished cell; UserError where it is damaged."""
    run = RunDirectory(cell.path)
    one = Finished(cell, run, run.identity(), run.read_json("result.json"))
    if one.result.get("evaluated", True):
        for task in cell.tasks:
            last_returns(run, task)
    return one


def _when(finished: list[Finished], log: Path) -> tuple[datetime, datetime]:
    """By the log of events, or where there is none by the files of the runs."""
    times = [datetime.fromisoformat(event["time"]) for event in events(log) if "time" in event]
    if not times:
        files = [one.run.path / name for one in finished for name in ("run.json", "result.json")]
        times = [datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in files]
    return min(times), max(times)
