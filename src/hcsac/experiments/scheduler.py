"""Run the trainings of a study to completion: skip finished ones, resume interrupted ones, retry failed ones."""

import json
import warnings
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hcsac.data.held_out import held_out_episodes, without
from hcsac.data.store import load as load_dataset
from hcsac.errors import UserError
from hcsac.experiments.storage import Mirror
from hcsac.experiments.study_run import StudyRun, require_compatible_settings
from hcsac.experiments.words import last_line, plural
from hcsac.training import Progress, RunDirectory

ATTEMPTS = 2  # a failed run is tried once more, from its last checkpoint
LOSSES = 10  # lost nodes, which are not the fault of the run, before one more counts as a failed attempt


class RunResult(NamedTuple):
    """How a run stopped: finished, or with an error."""

    run: StudyRun
    error: str | None = None  # the sentence or the traceback
    permanent: bool = False  # whether another attempt would fail as well
    lost: bool = False  # whether the node went away during the run
    node: str = ""  # where it ran, if the launcher has several nodes


class Launcher(Protocol):
    """Where runs are executed."""

    @property
    def slots(self) -> int:
        """How many runs fit at once."""

    def start(self, run: StudyRun) -> None:
        """Start a run, or resume it from its last checkpoint; returns at once."""

    def results(self, seconds: float) -> list[RunResult]:
        """The runs that stopped since the last call; waits up to `seconds` for one to stop."""

    def updates_of(self, run: StudyRun) -> int:
        """How many updates the run has done."""

    def close(self) -> None:
        """Stop all runs that have not finished."""


def run_all(
    runs: Sequence[StudyRun],
    launcher: Launcher,
    log: Path | None = None,
    progress: bool = True,
    mirror: Mirror | None = None,
) -> list[RunResult]:
    """Run all of `runs` to completion.

    Args:
        log: a JSONL file to which every start, end, error and lost node is appended.
        progress: whether to show a progress bar.
        mirror: of the directory of the log, for a study kept in a storage.

    Returns:
        The runs that failed, with their errors; the others continued without them.

    Raises:
        UserError: the settings of a run exclude each other, or its data are unusable; nothing is started then.
    """
    require_compatible_settings(runs)
    # Loading every dataset here finds bad data before the work; the processes load their own.
    parts = {(run.refs, run.tasks, run.settings.held_out): 0 for run in runs}
    for refs, tasks, held_out in parts:
        dataset = load_dataset(refs, tasks=tasks)
        parts[refs, tasks, held_out] = len(without(dataset, held_out_episodes(dataset, held_out)))
    total = {run.path: run.settings.length(parts[run.refs, run.tasks, run.settings.held_out]) for run in runs}
    schedule = _Schedule(runs, launcher, total, _EventLog(log, mirror), progress)
    try:
        while schedule.waiting or schedule.running:
            schedule.start()
            for result in launcher.results(seconds=2):
                schedule.handle_result(result)
            schedule.show()
    finally:
        for run in schedule.running.values():
            schedule.log.write(run, "stopped")
        launcher.close()
        schedule.bar.close()
    return schedule.failed


class _Schedule:
    """Which runs wait, are running, are finished and have failed."""

    def __init__(
        self,
        runs: Sequence[StudyRun],
        launcher: Launcher,
        total: dict[Path, int],
        log: "_EventLog",
        progress: bool,
    ):
        self.launcher, self.total, self.log, self.count = launcher, total, log, len(runs)
        self.finished = {run.path for run in runs if RunDirectory(run.path).finished}
        self.waiting = deque(run for run in runs if run.path not in self.finished)
        self.running: dict[Path, StudyRun] = {}
        self.failed: list[RunResult] = []
        self.attempts, self.losses = Counter[Path](), Counter[Path]()
        self.bar = Progress(sum(total.values()), self._updates(), enabled=progress)

    def start(self) -> None:
        """Start as many runs as there are free slots."""
        while self.waiting and len(self.running) < self.launcher.slots:
            run = self.waiting.popleft()
            self.attempts[run.path] += 1
            self.running[run.path] = run
            self.log.write(run, "started", attempt=self.attempts[run.path])
            self.launcher.start(run)

    def handle_result(self, result: RunResult) -> None:
        """Count the run as finished or failed, or queue it again."""
        run = self.running.pop(result.run.path)
        node = {"node": result.node} if result.node else {}
        if result.error is None:
            self.finished.add(run.path)
            self.log.write(run, "finished", **node)
            self.bar.write_line(f"finished: {run.label}")
        elif result.lost and self.losses[run.path] < LOSSES:
            self.losses[run.path] += 1
            self.attempts[run.path] -= 1
            self.waiting.appendleft(run)
            self.log.write(run, "lost", error=result.error, **node)
            self.bar.write_line(f"node lost, resuming elsewhere: {run.label}")
        else:
            self._handle_failure(run, result, result.error)

    def _handle_failure(self, run: StudyRun, result: RunResult, error: str) -> None:
        attempt = self.attempts[run.path]
        self.log.write(run, "failed", attempt=attempt, error=error)
        retry = attempt < ATTEMPTS and not result.permanent
        if retry:
            self.waiting.append(run)
        else:
            self.failed.append(result)
        state = "failed, retrying" if retry else "failed"
        self.bar.write_line(f"{state}: {run.label}: {last_line(error)}")

    def show(self) -> None:
        """Update the progress bar."""
        status = f"{len(self.finished)}/{self.count} runs"
        if self.failed:
            status += f", {len(self.failed)} failed"
        self.bar.status = status
        self.bar.advance(max(0, self._updates() - self.bar.done))

    def _updates(self) -> int:
        running = [min(self.launcher.updates_of(run), self.total[path]) for path, run in self.running.items()]
        return sum(self.total[path] for path in self.finished) + sum(running)


def require_all(failed: Sequence[RunResult]) -> None:
    """Raise `UserError` if a run failed: for comparisons that need all of their runs."""
    if failed:
        first = failed[0]
        raise UserError(
            f"{plural(len(failed), 'run')} failed, the first of them {first.run.label}: {last_line(str(first.error))}"
        )


class _EventLog:
    """The log of a study: one line per event; a run is named by its path relative to the log."""

    def __init__(self, path: Path | None, mirror: Mirror | None):
        self.path, self.mirror = path, mirror

    def write(self, run: StudyRun, event: str, **details: Any) -> None:
        """Append an event, and store the log in the mirror."""
        if self.path is None:
            return
        time, root = datetime.now(UTC).isoformat(timespec="milliseconds"), self.path.parent
        path = run.path.relative_to(root) if run.path.is_relative_to(root) else run.path
        with open(self.path, "a") as file:
            file.write(json.dumps({"time": time, "run": path.as_posix(), "event": event, **details}) + "\n")
        if self.mirror is not None:
            try:
                self.mirror.push(self.path.name)
            except Exception as error:  # a failed upload must not stop the runs; the next event uploads this one too
                warnings.warn(f"could not store {self.path.name}: {error}", stacklevel=2)
