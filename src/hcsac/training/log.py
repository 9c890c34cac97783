"""What a run says while it goes: to its JSONL files, to its trackers and to the terminal."""

from types import TracebackType
from typing import Any

import numpy as np

from hcsac.training.progress import Progress
from hcsac.training.run_directory import RunDirectory
from hcsac.training.trackers import Trackers
from hcsac.types import Info

# Of a record of the ledger, what TensorBoard shows; of the quantiles of Q it shows the medians.
BOARD = ("borrowed", "threshold", "temperature", "weight", "claimed_reward", "true_reward")


class Log:
    """Hands every record to the run's JSONL files and its numbers to the trackers, one series per replica."""

    def __init__(self, run: RunDirectory, seeds: list[int], tasks: list[str], trackers: Trackers, progress: Progress):
        self.run, self.seeds, self.tasks = run, seeds, tasks
        self.trackers, self.progress = trackers, progress

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.close()
        self.trackers.close(finished=error is None)

    def metrics(self, update: int, info: Info) -> None:
        """The metrics of one update: name -> [R]."""
        of_all = {name: value.tolist() for name, value in info.items()}
        records = []
        scalars: dict[str, float] = {}
        for r, seed in enumerate(self.seeds):
            values = {name: value[r] for name, value in of_all.items()}
            records.append({"update": update, "seed": seed, **values})
            scalars |= {f"train/{name}/seed{seed}": value for name, value in values.items()}
        self.trackers.scalars(scalars, update)
        self.run.append("metrics.jsonl", records)

    def returns(self, update: int, returns: np.ndarray) -> None:
        """Returns of an evaluation [R, M, episodes]."""
        records: list[dict[str, Any]] = []
        scalars: dict[str, float] = {}
        for r, seed in enumerate(self.seeds):
            for m, task in enumerate(self.tasks):
                episodes = [round(float(value), 4) for value in returns[r, m]]
                records.append({"update": update, "seed": seed, "task": task, "returns": episodes})
                scalars[f"return/{task}/seed{seed}"] = float(np.mean(episodes))
        self.trackers.scalars(scalars, update)
        self.run.append("evaluations.jsonl", records)
        means = returns.mean((0, 2))
        self.progress.results({task: float(mean) for task, mean in zip(self.tasks, means, strict=True)})

    def sharing(self, records: list[dict[str, Any]]) -> None:
        """What a sharing moved, one record per replica and direction."""
        scalars: dict[str, float] = {}
        for record in records:
            where = f"{record['from']}-to-{record['to']}/seed{record['seed']}"
            numbers = {name: record[name] for name in BOARD}
            medians = {f"{name}_median": record[name] and record[name][2] for name in ("own_q", "borrowed_q")}
            scalars |= {f"sharing/{name}/{where}": value for name, value in (numbers | medians).items()
                        if value is not None}  # fmt: skip
        if records:
            self.trackers.scalars(scalars, records[0]["update"])
            self.progress.note(f"{sum(record['borrowed'] for record in records) // len(self.seeds):,} rows borrowed")
        self.run.append("sharing.jsonl", records)

    def flush(self) -> None:
        """Write to disk what is kept so far: a checkpoint may be copied with all before it."""
        self.trackers.flush()
