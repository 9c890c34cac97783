"""The table of each algorithm on each task: how good it is, how often it fails, and what it beats."""

from collections.abc import Mapping

import numpy as np

from hcsac.evaluation import Estimate
from hcsac.experiments.report.styles import Key
from hcsac.experiments.report.tables import (
    NONE,
    Table,
    TableCell,
    by_key_of,
    episodes_text,
    interval,
    mean_std_text,
    sign_and_mark,
    tasks_of_each,
)
from hcsac.experiments.summary import Summary, TaskSummary

_HEADS = ("Algorithm", "Seeds", "Mean ± std", "Median", "Lowest", "Failed", "Dataset return", "Against its data")
_NOTE = (
    "Median, lowest and failed are over all seeds; an episode has failed if its return is below half of the median. "
    "Differences have 95 % bootstrap intervals over seeds and episodes, the one to the data also over the logged "
    "episodes where they are known: `beats` where the interval is above zero, `below` where it is below zero, else "
    "`not told apart`."
)
_PAIRS = (
    "Against another algorithm, returns are compared on the same initial states, and seed by seed where both have the "
    "same seeds; where it says `other seeds`, the seeds of each are drawn independently."
)


def cells_table(summary: Summary, names: Mapping[Key, str]) -> Table:
    """A row for each algorithm, in a group for each task of each dataset.

    Args:
        names: of the algorithms; only these have rows.
    """
    by_key = by_key_of(summary)
    baselines = {one.versus.name for one in summary.tasks if one.versus}
    against = [f"Against {baselines.pop() if len(baselines) == 1 else 'its baseline'}"] if baselines else []
    groups = []
    for dataset, tasks in tasks_of_each(summary).items():
        for task in tasks:
            own = [by_key[dataset, task, key] for key in names if (dataset, task, key) in by_key]
            rows = [[TableCell(names[one.key]), *_cells(one), *([_versus(one)] if against else [])] for one in own]
            groups.append((f"{dataset}: {task}", rows))
    note = " ".join([f"Last policy, {episodes_text(summary)} a seed.", _NOTE, *([_PAIRS] if against else [])])
    return Table("Each algorithm on each task", (*_HEADS, *against), groups, note, grouped_by="Dataset: task")


def _cells(one: TaskSummary) -> list[TableCell]:
    """All but the name and the comparison with the baseline."""
    median, lowest, data = map(mean_std_text, (one.median, one.min, one.dataset_return))
    failed = NONE if np.isnan(one.failed) else f"{100 * one.failed:.0f} %"
    texts = (str(len(one.seeds)), mean_std_text(one.mean, one.std), median, lowest, failed, data)
    return [*map(TableCell, texts), _difference(one.verdict, one.improvement)]


def _versus(one: TaskSummary) -> TableCell:
    if one.versus is None:
        return TableCell(NONE)
    pairs = () if one.versus.same_seeds else ("other seeds",)
    return _difference(one.versus.verdict, one.versus.difference, *pairs)


def _difference(verdict: str, difference: Estimate, *notes: str) -> TableCell:
    """A verdict, the interval that it follows from, and notes."""
    sign, mark = sign_and_mark(verdict)
    return TableCell(f"{sign} {verdict}", (interval(difference, "+.1f"), *notes), mark)
