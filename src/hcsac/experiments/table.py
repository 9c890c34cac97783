"""The table of the last policies as CSV and JSON, and the metrics of every seed as Parquet, for other programs."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hcsac.errors import needs
from hcsac.evaluation import Estimate, mean_std
from hcsac.experiments.baseline import cell_name
from hcsac.experiments.files import replacing
from hcsac.experiments.metrics import METRICS, extra_metrics
from hcsac.experiments.parquet import read_table, write_table
from hcsac.experiments.summary import Summary, TaskSummary

if TYPE_CHECKING:
    import pyarrow as pa

_Columns = dict[str, Callable[[TaskSummary], Any]]  # name -> its value for an algorithm on a task


def _interval(name: str, estimate: Callable[[TaskSummary], Estimate | None]) -> _Columns:
    """The columns of a difference and of the ends of its interval."""

    def part(index: int) -> Callable[[TaskSummary], float | None]:
        return lambda row: None if (found := estimate(row)) is None else found[index]

    return {name: part(0), f"{name}_low": part(1), f"{name}_high": part(2)}


_IDENTITY: _Columns = {
    "dataset": lambda row: row.dataset,
    "variant": lambda row: row.variant,
    "task": lambda row: row.task,
    "agent": lambda row: row.algorithm,
}
_BEST: _Columns = {"best_of_run_mean": lambda row: row.best_mean, "best_of_run_std": lambda row: row.best_std}
_DIFFERENCES: _Columns = {
    **_interval("difference_to_data", lambda row: row.improvement),
    "baseline": lambda row: row.versus and cell_name(row.versus.variant, row.versus.algorithm),
    **_interval("difference_to_baseline", lambda row: row.versus and row.versus.difference),
    "baseline_verdict": lambda row: row.versus and row.versus.verdict,
    "paired_by": lambda row: row.versus and ("initial state and seed" if row.versus.same_seeds else "initial state"),
}
# The names of the columns up to `verdict` are those of earlier releases.
_CELL: _Columns = {
    **_IDENTITY,
    "seeds": lambda row: len(row.seeds),
    "behaviour": lambda row: row.dataset_return,
    "last_mean": lambda row: row.mean,
    "last_std": lambda row: row.std,
    **_BEST,
    "score": lambda row: row.score,
    "verdict": lambda row: row.verdict,
    "episodes": lambda row: row.episodes,
    "median": lambda row: row.median,
    "lowest": lambda row: row.min,
    "failed_share": lambda row: row.failed,
    **_DIFFERENCES,
}
_TEXTS = (*_IDENTITY, "baseline", "baseline_verdict", "paired_by")
_REQUIRED = dict.fromkeys(_IDENTITY, "string") | {"seed": "int64", "mean_return": "double"}


def cell_records(summary: Summary, best: bool = True) -> list[dict[str, Any]]:
    """The rows of `write_csv`, ready for JSON; unknown numbers are None."""
    return [_values(_columns(best), row) for row in summary.tasks]


def write_csv(summary: Summary, path: Path, best: bool = True) -> None:
    """One row per dataset, variant, task and algorithm; unknown numbers are empty.

    Metrics of plug-ins are further columns: NAME_mean and NAME_std over the seeds.

    Args:
        best: whether to write the columns of the best evaluations.

    Raises:
        UserError: the file cannot be written.
    """
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_columns(best))
        writer.writerows(map(_text, record.values()) for record in cell_records(summary, best))


def write_metrics(summary: Summary, path: Path) -> Path:
    """Write every metric of every seed as Parquet and return the path; a file of that name is replaced as a whole.

    Columns: `dataset`, `variant`, `task`, `agent` (the algorithm), `seed` int64, and a float64 column for each metric;
    then the differences to the data and to the baseline as in the CSV file, which all seeds have in common. Null where
    unknown.

    Raises:
        UserError: the file cannot be written.
    """
    with needs("tables"):
        import pyarrow as pa

    names = [*_IDENTITY, "seed", *METRICS.names(), *_DIFFERENCES]
    types = {"seed": "int64"} | dict.fromkeys(_TEXTS, "string")
    rows = [
        {
            **_values(_IDENTITY | _DIFFERENCES, row),
            "seed": seed,
            **{name: _known(float(row.metrics[name][r])) for name in METRICS.names()},
        }
        for row in summary.tasks
        for r, seed in enumerate(row.seeds)
    ]
    schema = pa.schema([(name, types.get(name, "double")) for name in names])
    return write_table(pa.Table.from_pylist(rows, schema=schema), path)


def read_metrics(path: str | Path) -> "pa.Table":
    """The table that `write_metrics` wrote.

    Raises:
        UserError: there is no such file, or it is another one.
    """
    return read_table(path, "metrics", _REQUIRED)


def _columns(best: bool) -> _Columns:
    """Those of a record, with the metrics of plug-ins."""
    own = {name: value for name, value in _CELL.items() if best or name not in _BEST}
    return own | {
        f"{name}_{number}": lambda row, name=name, at=at: mean_std(row.metrics[name])[at]
        for name in extra_metrics()
        for at, number in enumerate(("mean", "std"))
    }


def _values(columns: _Columns, row: TaskSummary) -> dict[str, Any]:
    return {name: _known(value(row)) for name, value in columns.items()}


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


def _text(value: Any) -> str:
    """A value in the CSV file."""
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
