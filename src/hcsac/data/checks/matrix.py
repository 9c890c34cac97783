"""The cross-task matrix: what the data of each dataset return under the reward of each task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hcsac.data.checks.rewards import Score, score_under
from hcsac.data.episode import Episode
from hcsac.tasks import get_task

SAMPLED = 5_000  # steps a cell, unless all are asked for


@dataclass(frozen=True)
class Matrix:
    """Mean returns: a row for each dataset, a column for each task; None where a cell cannot be told."""

    rows: tuple[str, ...]
    row_tasks: tuple[str, ...]
    tasks: tuple[str, ...]
    cells: tuple[tuple[Score | None, ...], ...]
    behaviour: tuple[float, ...]  # mean return of the dataset's own episodes, as stored
    random: tuple[float | None, ...]  # of random actions in each task

    def __str__(self) -> str:
        return self.markdown()

    def markdown(self) -> str:
        """A Markdown table, with a line that says how to read it."""
        head = ["data", "task", "behaviour", *(f"as {task}" for task in self.tasks)]
        lines = [_row(head), _row(["---", "---", *["---:"] * (len(head) - 2)])]
        for name, task, behaviour, cells in zip(self.rows, self.row_tasks, self.behaviour, self.cells, strict=True):
            lines.append(_row([name, task, f"{behaviour:.1f}", *map(_cell, cells)]))
        known = ["?" if value is None else f"{value:.1f}" for value in self.random]
        lines.append(_row(["random actions", "", "", *known]))
        used = sorted({(score.steps, score.total) for cells in self.cells for score in cells if score is not None})
        steps = ", ".join(f"{count} of {total}" if count < total else f"all {total}" for count, total in used)
        how = f"Mean return of the logged episodes under each task's own reward, computed for {steps or 'no'} steps"
        return "\n".join([*lines, "", f"{how}; ± is the standard error of the sampling, ? is not known."])

    def as_json(self) -> dict[str, object]:
        """The same as JSON values."""
        cells = [[None if score is None else vars(score) for score in row] for row in self.cells]
        return {"datasets": list(self.rows), "dataset_tasks": list(self.row_tasks), "tasks": list(self.tasks),
                "behaviour": list(self.behaviour), "random": list(self.random), "cells": cells}  # fmt: skip


def cross_task(data: Mapping[str, tuple[str, Sequence[Episode]]], steps: int = SAMPLED, seed: int = 0) -> Matrix:
    """Score datasets, name -> (task, validated episodes), under the tasks of all of them, from `steps` steps a cell.

    A cell whose task has no reward function, and whose data have no physics states, stays unknown; so does one of
    another robot.
    """
    tasks = tuple(dict.fromkeys(task for task, _ in data.values()))
    cells = tuple(tuple(score_under(task, episodes, steps, seed) for task in tasks) for _, episodes in data.values())
    return Matrix(
        rows=tuple(data),
        row_tasks=tuple(task for task, _ in data.values()),
        tasks=tasks,
        cells=cells,
        behaviour=tuple(float(np.mean([e.episode_return for e in episodes])) for _, episodes in data.values()),
        random=tuple(get_task(task).random_return for task in tasks),
    )


def _cell(score: Score | None) -> str:
    if score is None:
        return "?"
    return f"{score.mean_return:.1f}" + (f" ± {score.standard_error:.1f}" if score.standard_error else "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
