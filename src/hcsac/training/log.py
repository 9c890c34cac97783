"""The JSONL files of a run: metrics, evaluations and sharing, one record a line."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hcsac import files
from hcsac.training.callbacks import Callback
from hcsac.training.run_directory import RunDirectory


class JSONLLog(Callback):
    """Appends every record to `metrics.jsonl`, `evaluations.jsonl` or `sharing.jsonl` at once."""

    def on_start(self, run: RunDirectory, start: int, total: int) -> None:
        """Look up seeds and tasks."""
        identity = run.identity()
        self.run, self.seeds, self.tasks = run, identity["seeds"], identity["tasks"]

    def on_log(self, update: int, metrics: Mapping[str, np.ndarray]) -> None:
        """One record a seed."""
        values = {name: of_seeds.tolist() for name, of_seeds in metrics.items()}
        self.run.append(
            files.METRICS,
            [
                {"update": update, "seed": seed, **{name: of_seeds[r] for name, of_seeds in values.items()}}
                for r, seed in enumerate(self.seeds)
            ],
        )

    def on_share(self, update: int, records: Sequence[Mapping[str, Any]]) -> None:
        """The records as they are."""
        self.run.append(files.SHARING, records)

    def on_evaluation(self, update: int, returns: np.ndarray) -> None:
        """One record for each seed and task."""
        self.run.append(
            files.EVALUATIONS,
            [
                {"update": update, "seed": seed, "task": task, "returns": rounded(returns[r, m])}
                for r, seed in enumerate(self.seeds)
                for m, task in enumerate(self.tasks)
            ],
        )


def rounded(returns: np.ndarray) -> list[float]:
    """Returns [episodes] as they are logged, with four decimals."""
    return [round(float(value), 4) for value in returns]
