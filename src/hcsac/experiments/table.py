"""The table of the last policies as CSV."""

import csv
from pathlib import Path

import numpy as np

from hcsac.errors import UserError
from hcsac.experiments.summary import Summary

# Column -> field of `TaskSummary`. The names of the columns are those of earlier releases.
_COLUMNS = {
    "behaviour": "dataset_return",
    "last_mean": "mean",
    "last_std": "std",
    "best_of_run_mean": "best_mean",
    "best_of_run_std": "best_std",
    "score": "score",
}


def write_csv(summary: Summary, path: Path) -> None:
    """One row per dataset, variant, task and algorithm; unknown numbers are empty.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["dataset", "variant", "task", "agent", "seeds", *_COLUMNS, "verdict"])
            for row in summary.tasks:
                numbers = [_text(getattr(row, field)) for field in _COLUMNS.values()]
                identity = [row.dataset, row.variant, row.task, row.algorithm, len(row.seeds)]
                writer.writerow([*identity, *numbers, row.verdict])
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); choose another --output.") from error


def _text(number: float) -> str:
    return "" if np.isnan(number) else f"{number:.4f}"
