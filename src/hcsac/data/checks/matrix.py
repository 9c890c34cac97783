"""The cross-task matrix: what the data of each dataset return under the reward of each task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hcsac.data.checks.rewards import Score, score_under
from hcsac.data.episode import Episode
from hcsac.tasks import get_task

SAMPLED = 5_000  # steps of each entry by default


@dataclass(frozen=True)
class Matrix:
    """Mean returns: a row for each dataset, a column for each task; None where an entry cannot be computed."""

    rows: tuple[str, ...]
    row_tasks: tuple[str, ...]
    tasks: tuple[str, ...]
    cells: tuple[tuple[Score | None, ...], ...]
    dataset_returns: tuple[float, ...]  # mean return of the dataset's own episodes, as stored
    random: tuple[float | None, ...]  # mean return of random actions in each task

    def __str__(self) -> str:
        return self.markdown()

    def markdown(self) -> str:
        """A Markdown table, with a line that explains it."""
        head = ["data", "task", "dataset return", *(f"as {task}" for task in self.tasks)]
        lines = [_row(head), _row(["---", "---", *["---:"] * (len(head) - 2)])]
        rows = zip(self.rows, self.row_tasks, self.dataset_returns, self.cells, strict=True)
        for name, task, dataset_return, cells in rows:
            lines.append(_row([name, task, f"{dataset_return:.1f}", *map(_cell, cells)]))
        known = ["?" if value is None else f"{value:.1f}" for value in self.random]
        lines.append(_row(["random actions", "", "", *known]))
        used = sorted({(score.steps, score.total) for cells in self.cells for score in cells if score is not None})
        steps = ", ".join(f"{count} of {total}" if count < total else f"all {total}" for count, total in used)
        how = f"Mean return of the logged episodes under the reward of each task, computed for {steps or 'no'} steps"
        return "\n".join([*lines, "", f"{how}; ±: standard error of the sampling, ?: unknown."])

    def as_json(self) -> dict[str, object]:
        """The same as JSON values."""
        cells = [[None if score is None else vars(score) for score in row] for row in self.cells]
        return {
            "datasets": list(self.rows),
            "dataset_tasks": list(self.row_tasks),
            "tasks": list(self.tasks),
            "dataset_returns": list(self.dataset_returns),
            "random": list(self.random),
            "cells": cells,
        }


def cross_task(data: Mapping[str, tuple[str, Sequence[Episode]]], steps: int = SAMPLED, seed: int = 0) -> Matrix:
    """The returns of each dataset under the rewards of all their tasks.

    An entry is unknown where the task has no reward function and the data have no simulator states, and where their
    sizes differ from the task's.

    Args:
        data: name -> (task, validated episodes).
        steps: steps that an entry is computed from.
    """
    tasks = tuple(dict.fromkeys(task for task, _ in data.values()))
    cells = tuple(tuple(score_under(task, episodes, steps, seed) for task in tasks) for _, episodes in data.values())
    return Matrix(
        rows=tuple(data),
        row_tasks=tuple(task for task, _ in data.values()),
        tasks=tasks,
        cells=cells,
        dataset_returns=tuple(float(np.mean([e.episode_return for e in episodes])) for _, episodes in data.values()),
        random=tuple(get_task(task).random_return for task in tasks),
    )


def _cell(score: Score | None) -> str:
    if score is None:
        return "?"
    return f"{score.mean_return:.1f}" + (f" ± {score.standard_error:.1f}" if score.standard_error else "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
