"""The table of the last policies as CSV, and the metrics of every seed as Parquet, for other programs."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hcsac.evaluation import mean_std
from hcsac.experiments.files import replacing
from hcsac.experiments.metrics import BUILT_IN, METRICS, extra_metrics
from hcsac.experiments.parquet import read_table, write_table
from hcsac.experiments.summary import Summary, TaskSummary

if TYPE_CHECKING:
    import pyarrow as pa

# Column -> field of `TaskSummary`. The names of the columns are those of earlier releases.
_COLUMNS = {
    "behaviour": "dataset_return",
    "last_mean": "mean",
    "last_std": "std",
    "best_of_run_mean": "best_mean",
    "best_of_run_std": "best_std",
    "score": "score",
}
_IDENTITY = ("dataset", "variant", "task", "agent")
_METRIC_COLUMNS = dict.fromkeys(_IDENTITY, "string") | {"seed": "int64"} | dict.fromkeys(BUILT_IN, "double")


def write_csv(summary: Summary, path: Path) -> None:
    """One row per dataset, variant, task and algorithm; unknown numbers are empty.

    Metrics of plug-ins are further columns: NAME_mean and NAME_std over the seeds.

    Raises:
        UserError: the file cannot be written.
    """
    extra = list(extra_metrics())
    heads = [f"{name}_{number}" for name in extra for number in ("mean", "std")]
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*_IDENTITY, "seeds", *_COLUMNS, "verdict", *heads])
        for row in summary.tasks:
            numbers = [getattr(row, field) for field in _COLUMNS.values()]
            metrics = [number for name in extra for number in mean_std(row.metrics[name])]
            texts = [*map(_text, numbers), row.verdict, *map(_text, metrics)]
            writer.writerow([*_identity(row), len(row.seeds), *texts])


def write_metrics(summary: Summary, path: Path) -> Path:
    """Write every metric of every seed as Parquet and return the path; a file of that name is replaced as a whole.

    Columns: `dataset`, `variant`, `task`, `agent` (the algorithm), `seed` int64, and a float64 column for each metric,
    null where unknown.

    Raises:
        UserError: the file cannot be written.
    """
    import pyarrow as pa

    columns = _METRIC_COLUMNS | dict.fromkeys(METRICS.names(), "double")
    rows = [
        dict(zip(_IDENTITY, _identity(row), strict=True))
        | {"seed": seed}
        | {name: _or_none(row.metrics[name][r]) for name in METRICS.names()}
        for row in summary.tasks
        for r, seed in enumerate(row.seeds)
    ]
    return write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(columns.items()))), path)


def read_metrics(path: str | Path) -> "pa.Table":
    """The table that `write_metrics` wrote.

    Raises:
        UserError: there is no such file, or it is another one.
    """
    return read_table(path, "metrics", _METRIC_COLUMNS)


def _identity(row: TaskSummary) -> tuple[str, ...]:
    return row.dataset, row.variant, row.task, row.algorithm


def _text(number: float) -> str:
    return "" if np.isnan(number) else f"{number:.4f}"


def _or_none(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
