"""The slides' table as CSV, for programs."""

import csv
from pathlib import Path

import numpy as np

from hcsac.errors import UserError
from hcsac.experiments.summary import Summary

_NUMBERS = ("behaviour", "mean", "std", "best_mean", "best_std", "score")
_HEADS = ("behaviour", "last_mean", "last_std", "best_of_run_mean", "best_of_run_std", "score")


def write_csv(summary: Summary, path: Path) -> None:
    """One row per dataset, variant, task and agent; what is not known is empty.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["dataset", "variant", "task", "agent", "seeds", *_HEADS, "verdict"])
            for held in summary.tasks:
                numbers = [getattr(held, name) for name in _NUMBERS]
                cells = ["" if np.isnan(number) else f"{number:.4f}" for number in numbers]
                place = [held.dataset, held.variant, held.task, held.agent, len(held.seeds)]
                writer.writerow([*place, *cells, held.verdict])
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); choose another --output.") from error
