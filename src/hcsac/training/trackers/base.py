"""What every experiment tracker has in common: names of the numbers, resuming, and failing without stopping training.

`trackers.json` in the directory of the run stores the id or name of the run in each tracker, so that a resumed run is
resumed there too.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hcsac import files
from hcsac.errors import UserError
from hcsac.training.callbacks import Callback
from hcsac.training.log import rounded
from hcsac.training.run_directory import RunDirectory

PROJECT = "hcsac"  # where a tool's own environment variables name no other
# What is tracked of a sharing record, besides the medians of the quantiles of Q.
SHARING = ("borrowed", "threshold", "temperature", "weight", "claimed_reward", "true_reward")


class Tracker(Callback):
    """Sends scalars to a tool, one series for each seed. Subclasses say how: `open`, `log`, `flush`, `finish`.

    A tracker that fails after its start warns once and is left out from then on; training continues.
    """

    name: str  # of the tool and of its library

    def open(self, run: RunDirectory, start: int) -> None:
        """Start or resume the run in the tool, with `run.identity()` as its configuration.

        Args:
            start: updates done before; later ones that the tool has are from an interrupted attempt.
        """
        raise NotImplementedError

    def log(self, values: Mapping[str, float], update: int) -> None:
        """Store these values of this update."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write to disk what is logged so far, where the tool writes files into the run."""

    def finish(self, completed: bool) -> None:
        """Write what is left and end; `completed` where training reached its end."""

    @classmethod
    def require(cls) -> None:
        """Check before anything is written that the tool can be used.

        Raises:
            UserError: its library is not installed.
        """
        spec = find_spec(cls.name)
        if spec is None or spec.origin is None:  # without an origin: a mere folder of that name, as wandb/ often is
            raise UserError(f"tracker {cls.name!r} needs its library: pip install 'hcsac[track]'")

    def on_start(self, run: RunDirectory, start: int, total: int) -> None:
        """Open the tool.

        Raises:
            UserError: it cannot start.
        """
        identity = run.identity()
        self.seeds, self.tasks = identity["seeds"], identity["tasks"]
        try:
            self.open(run, start)
        except Exception as error:
            raise UserError(
                f"cannot start {self.name} ({_reason(error)}); fix that or leave it out, and continue with --resume."
            ) from error
        self.active = True

    def on_log(self, update: int, metrics: Mapping[str, np.ndarray]) -> None:
        """`train/METRIC/seedS`."""
        values = {name: of_seeds.tolist() for name, of_seeds in metrics.items()}
        self._log(update, {
            f"train/{name}/seed{seed}": of_seeds[r]
            for r, seed in enumerate(self.seeds) for name, of_seeds in values.items()
        })  # fmt: skip

    def on_share(self, update: int, records: Sequence[Mapping[str, Any]]) -> None:
        """`sharing/WHAT/FROM-to-TASK/seedS`."""
        scalars: dict[str, float] = {}
        for record in records:
            where = f"{record['from']}-to-{record['to']}/seed{record['seed']}"
            values = {name: record[name] for name in SHARING}
            values |= {f"{name}_median": record[name] and record[name][2] for name in ("own_q", "borrowed_q")}
            scalars |= {f"sharing/{name}/{where}": value for name, value in values.items() if value is not None}
        if records:
            self._log(update, scalars)

    def on_evaluation(self, update: int, returns: np.ndarray) -> None:
        """`return/TASK/seedS`, the mean over episodes."""
        self._log(update, {
            f"return/{task}/seed{seed}": float(np.mean(rounded(returns[r, m])))
            for r, seed in enumerate(self.seeds) for m, task in enumerate(self.tasks)
        })  # fmt: skip

    def on_checkpoint(self, update: int) -> None:
        """Flush."""
        self._guard(self.flush)

    def on_end(self, result: Mapping[str, Any]) -> None:
        """Finish as completed."""
        self._finish(completed=True)

    def close(self, error: BaseException | None) -> None:
        """Finish as interrupted, unless `on_end` came first."""
        self._finish(completed=False)

    def _log(self, update: int, values: Mapping[str, float]) -> None:
        self._guard(lambda: self.log(values, update))

    def _finish(self, completed: bool) -> None:
        self._guard(lambda: self.finish(completed))
        self.active = False

    def _guard(self, call: Callable[[], None]) -> None:
        if not self.active:
            return
        try:
            call()
        except Exception as error:  # whatever a network or a full disk may raise
            self.active = False
            warnings.warn(f"{self.name} failed ({_reason(error)}); training continues without it.", stacklevel=3)


def stored_id(run: RunDirectory, tracker: str) -> str | None:
    """The id or name of this run in the tracker, if it has one."""
    return _ids(run).get(tracker)


def get_id(run: RunDirectory, tracker: str, create: Callable[[], str]) -> str:
    """The stored id or name of this run in the tracker, or one that is created and stored now."""
    ids = _ids(run)
    if tracker not in ids:
        ids[tracker] = create()
        run.write_json(files.TRACKERS, ids)
    return ids[tracker]


def run_name(run: RunDirectory) -> str:
    """Its path relative to the working directory, without `runs`: seed-0 alone is the same in all runs of a study."""
    path = run.path.resolve()
    parts = path.relative_to(Path.cwd()).parts if path.is_relative_to(Path.cwd()) else path.parts[-1:]
    return "/".join(parts[1:] if parts[0] == "runs" and len(parts) > 1 else parts)


def _ids(run: RunDirectory) -> dict[str, Any]:
    return run.read_json(files.TRACKERS) if (run.path / files.TRACKERS).exists() else {}


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
