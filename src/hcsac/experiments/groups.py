"""The returns of a table by cell: the runs of one algorithm on one task of one dataset, whose seeds belong together."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from hcsac.errors import UserError
from hcsac.experiments.metrics import METRICS
from hcsac.tasks import Task, get_task

if TYPE_CHECKING:
    import pyarrow as pa

K = TypeVar("K")
V = TypeVar("V")
_TASK = ["dataset", "variant", "agent", "task"]
_SEED = [*_TASK, "run", "seed"]
_REFERENCES = ["behaviour", "random_return", "expert_return"]


class Group(NamedTuple):
    """The runs of one algorithm on one task, seeds ascending."""

    seeds: tuple[int, ...]
    updates: tuple[int, ...]
    returns: np.ndarray  # [R, episodes] of the last evaluation
    best: np.ndarray  # [R]
    dataset_return: float
    has_score: bool
    metrics: dict[str, np.ndarray]  # name -> [R] of the last evaluation

    @property
    def scores(self) -> np.ndarray:
        """[R] of the last evaluation; NaN where the task has none."""
        return self.metrics["score"]

    @property
    def last(self) -> np.ndarray:
        """Mean returns [R] of the last evaluation; all are NaN if one is, so that a diverged run is not left out."""
        return self.metrics["mean_return"]


Cell = tuple[str, str, str, str]  # dataset, variant, algorithm, task
Groups = dict[Cell, Group]


def grouped(table: "pa.Table") -> Groups:
    """The runs' last returns by dataset, variant, algorithm and task."""
    each = table.group_by([*_SEED, "update"], use_threads=False).aggregate([("return", "mean")])
    best = each.group_by(_SEED, use_threads=False).aggregate([("return_mean", "max")])
    best_of = {tuple(row[name] for name in _SEED): row["return_mean_max"] for row in best.to_pylist()}
    columns = [*_SEED, "update", *_REFERENCES]
    last = table.filter(table["last"]).group_by(columns, use_threads=False).aggregate([("return", "list")])
    groups: Groups = {}
    for key, rows in by(last.to_pylist(), _cell).items():
        own = sorted(rows, key=lambda row: row["seed"])
        _require_consistent(own, " ".join(filter(None, key)))
        episodes = min(len(row["return_list"]) for row in own)
        task = _task(key[3], own[0]["random_return"], own[0]["expert_return"])
        returns = np.array([row["return_list"][:episodes] for row in own])
        groups[key] = Group(
            seeds=tuple(row["seed"] for row in own),
            updates=tuple(sorted({row["update"] for row in own})),
            returns=returns,
            best=np.array([best_of[tuple(row[name] for name in _SEED)] for row in own], float),
            dataset_return=_or_nan(own[0]["behaviour"]),
            has_score=task.random_return is not None and task.expert_return is not None,
            metrics={name: one(returns, task) for name, one in METRICS.items()},
        )
    return groups


def _cell(row: dict[str, Any]) -> Cell:
    return row["dataset"], row["variant"], row["agent"], row["task"]


def _task(name: str, random_return: float | None, expert_return: float | None) -> Task:
    """The task with the reference returns of the table; a bare one where it is not registered here."""
    try:
        task = get_task(name)
    except UserError:
        task = Task(name)
    return replace(task, random_return=random_return, expert_return=expert_return)


def _require_consistent(rows: list[dict[str, Any]], label: str) -> None:
    """Raise `UserError` for a seed that is there twice, or for data that differ between seeds."""
    for one, other in pairwise(rows):
        if one["seed"] == other["seed"]:
            raise UserError(
                f"{label}: seed {one['seed']} is in two runs, {one['run']} and {other['run']}; give them different "
                "labels."
            )
        if not np.isclose(_or_nan(one["behaviour"]), _or_nan(other["behaviour"]), equal_nan=True):
            raise UserError(
                f"{label}: {one['run']} and {other['run']} were trained on different data; give them different labels."
            )


def by(values: Iterable[V], key: Callable[[V], K]) -> dict[K, list[V]]:
    """Key -> its values, in the order in which the keys appear."""
    lists: dict[K, list[V]] = {}
    for value in values:
        lists.setdefault(key(value), []).append(value)
    return lists


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
