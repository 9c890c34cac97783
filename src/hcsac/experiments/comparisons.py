"""Compare policies: every one evaluated on the same initial states, beside its data and beside a baseline."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hcsac.errors import unknown
from hcsac.evaluation import FIRST_SEED
from hcsac.experiments.baseline import BASELINE, cell_name, is_called
from hcsac.experiments.policies import LabelledPolicy, find_policies
from hcsac.experiments.report.cells import cells_table
from hcsac.experiments.report.tables import Table
from hcsac.experiments.report.text import table_text
from hcsac.experiments.returns import RunReturns, returns_table
from hcsac.experiments.summary import Summary, summarise
from hcsac.experiments.table import cell_records
from hcsac.experiments.words import few_seeds
from hcsac.policy.known_returns import KnownReturns
from hcsac.training.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa

ENOUGH = 50  # episodes below which close policies are not told apart


class Compared(NamedTuple):
    """A comparison: of every algorithm on every task of every dataset group, how good it is and beside what."""

    summary: Summary  # `summary.tasks` has one entry for each algorithm on each task
    returns: "pa.Table"  # every return, in the columns of `collect_returns`
    policies: list[LabelledPolicy]  # in the order of the arguments
    episodes: int  # for each seed and task
    first_seed: int  # of the initial states
    notes: list[str]  # what a reader has to know, each a sentence

    def text(self) -> str:
        """The tables and notes for a terminal."""
        names = {one.key: cell_name(*one.key) for one in self.summary.tasks}
        table = cells_table(self.summary, names)
        parts = [Table(group, table.columns, [("", rows)]) for group, rows in table.groups]
        texts = [*map(table_text, parts), table.note.replace("`", ""), *self.notes]
        return "\n\n".join(texts)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the records of the CSV file, the policies and the notes."""
        policies = [
            {
                "path": str(one.path),
                "dataset": one.dataset,
                "variant": one.variant,
                "agent": one.algorithm,
                "tasks": list(one.tasks),
                "seeds": list(one.seeds),
            }
            for one in self.policies
        ]
        return {
            "episodes": self.episodes,
            "first_seed": self.first_seed,
            "cells": cell_records(self.summary, best=False),
            "policies": policies,
            "notes": self.notes,
        }


def compare(
    paths: Sequence[str | Path],
    episodes: int = ENOUGH,
    baseline: str | None = None,
    seed: int = FIRST_SEED,
    progress: bool = True,
) -> Compared:
    """Evaluate policies on the same initial states, and compare each with its data and with a baseline.

    Returns that are known are not evaluated again (see `KnownReturns`): they are kept in `compared.json` in the
    directory of each run. All seeds of an algorithm on a task are one cell, whether they are replicas of one run or
    several runs.

    Args:
        paths: directories of runs, policy bundles, or studies, of which all finished runs are compared.
        episodes: for each seed and task.
        baseline: an algorithm, a variant, or `ALGORITHM VARIANT`, with which the others on the same data are compared;
            None for behavioural cloning, if there is any.
        seed: of the first initial state; the next ones follow.
        progress: whether to show on stderr how many episodes are evaluated.

    Raises:
        UserError: a path is nothing that can be compared, no policy is called `baseline`, a task has no simulator, or a
            plug-in is not loaded.
    """
    policies, notes = find_policies(paths)
    names = {(one.variant, one.algorithm) for one in policies}
    if baseline is not None and not any(is_called(baseline, *name) for name in names):
        raise unknown("baseline", baseline, {cell_name(*name) for name in names} | {name for _, name in names})
    missing = sum(KnownReturns(one.path, seed).missing(episodes) for one in policies)
    runs = []
    with closing(Progress(missing, unit="episodes", enabled=progress and missing > 0)) as bar:
        for one in policies:
            known = KnownReturns(one.path, seed)
            returns = known.evaluate(episodes, bar.advance)
            notes += [known.problem] if known.problem else []
            runs.append(_labelled(one, known.policy.update, returns.tolist()))
    table = returns_table(runs)
    summary = summarise(table, baseline=baseline or BASELINE)
    if episodes < ENOUGH:
        notes.append(f"With {episodes} episodes a task close policies cannot be told apart: use {ENOUGH} or more.")
    if text := few_seeds(min(len(one.seeds) for one in summary.tasks)):
        notes.append(text)
    return Compared(summary, table, policies, episodes, seed, notes)


def _labelled(one: LabelledPolicy, update: int, returns: list[list[list[float]]]) -> RunReturns:
    """Returns [R, M, episodes] with the labels of their policy."""
    records = {
        (update, seed, task): returns[r][m] for r, seed in enumerate(one.seeds) for m, task in enumerate(one.tasks)
    }
    labels = {"run": str(one.path), "agent": one.algorithm, "dataset": one.dataset, "variant": one.variant}
    return RunReturns(labels, one.seeds, one.tasks, one.behaviour, one.logged, records)
