"""What the directories of a study contain, read once: finished runs, what is missing and why, returns, times."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hcsac.errors import UserError
from hcsac.experiments.record import StudyRecord
from hcsac.experiments.returns import collect_returns
from hcsac.experiments.status import events, last_errors, state_of
from hcsac.experiments.study_run import StudyRun
from hcsac.experiments.summary import Summary, summarise
from hcsac.training import RunDirectory, last_returns

if TYPE_CHECKING:
    import pyarrow as pa


class Finished(NamedTuple):
    """A finished run and its records."""

    run: StudyRun
    directory: RunDirectory
    identity: dict[str, Any]  # run.json
    result: dict[str, Any]  # result.json


class RunState(NamedTuple):
    """The state of a run: finished, failed, corrupt, unevaluated, running, interrupted or waiting."""

    run: StudyRun
    state: str
    error: str  # "" where there is none


class LoadedStudy(NamedTuple):
    """All that a report is made from."""

    record: StudyRecord
    finished: list[Finished]
    states: list[RunState]  # of every run
    table: "pa.Table"  # every return of the finished runs
    summary: Summary
    times: tuple[datetime, datetime]  # from the first start to the last end, UTC

    @property
    def counts(self) -> Counter[str]:
        """State -> number of runs."""
        return Counter(one.state for one in self.states)

    @property
    def corruption(self) -> list[str]:
        """A sentence for every record with corrupt lines, which were left out."""
        return [f"{one.run.label}, {text}" for one in self.finished for text in one.directory.corruption()]


def load_study(record: StudyRecord, events_log: Path, log: Callable[[str], None]) -> LoadedStudy:
    """Read the study.

    Args:
        events_log: the events of the study.
        log: called with a line per step of the work.

    Raises:
        UserError: no run is finished and evaluated yet, or runs of one algorithm contradict each other.
    """
    errors = last_errors(events_log)
    finished: list[Finished] = []
    states: list[RunState] = []
    for run in record.runs:
        state = state_of(run, errors)
        error = errors.get(str(run.path), "") if state == "failed" else ""
        if state == "finished":
            try:
                one = _read(run)
                if one.result.get("evaluated", True):
                    finished.append(one)
                else:
                    state = "unevaluated"
            except UserError as problem:
                state, error = "corrupt", str(problem).replace(f"{record.output}/", "")
        states.append(RunState(run, state, error))
    if not finished:
        counts = Counter(one.state for one in states).most_common()
        raise UserError(
            f"{record.output}: no run is finished and evaluated yet "
            f"({', '.join(f'{count} {state}' for state, count in counts)}); `hcsac study run` resumes them, "
            "`hcsac study status` shows each."
        )
    log(f"reading {len(finished)} of {len(record.runs)} runs")
    labels = [(one.directory, {"dataset": one.run.dataset, "variant": one.run.variant}) for one in finished]
    table = collect_returns(labels, record.output)
    log(f"statistics of {len(table):,} returns")
    return LoadedStudy(
        record, finished, states, table, summarise(table, baseline=record.baseline), _times(finished, events_log)
    )


def _read(run: StudyRun) -> Finished:
    """The records of a finished run; UserError where they are corrupt."""
    directory = RunDirectory(run.path)
    one = Finished(run, directory, directory.identity(), directory.read_json("result.json"))
    if one.result.get("evaluated", True):
        for task in run.tasks:
            last_returns(directory, task)
    return one


def _times(finished: list[Finished], events_log: Path) -> tuple[datetime, datetime]:
    """First and last time in the log of events, or else of the files of the runs."""
    times = [datetime.fromisoformat(event["time"]) for event in events(events_log) if "time" in event]
    if not times:
        files = [one.directory.path / name for one in finished for name in ("run.json", "result.json")]
        times = [datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in files]
    return min(times), max(times)
