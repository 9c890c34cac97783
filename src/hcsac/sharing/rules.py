"""Which rows of D_j also join D_i*: pure functions of the tasks of the rows and their values."""

from typing import NamedTuple

import numpy as np

from hcsac.settings import SharingRule
from hcsac.types import Scorer


class Borrowed(NamedTuple):
    """Pairs (row of D, task it now counts for), each [n]; 9 bytes a pair."""

    row: np.ndarray  # int64
    task: np.ndarray  # int8


class Flow(NamedTuple):
    """What one sharing moved from one task to another in one replica."""

    source: int
    target: int
    offered: int
    borrowed: int
    threshold: float  # the value a borrowed row had to reach; NaN where the rule has none


def threshold(own_values: np.ndarray, quantile: float) -> float:
    """tau(D_i) (slides, "Heuristic Relabeling"): the quantile of Q_i over the rows of D_i; [n] -> a number."""
    return float(np.quantile(own_values, quantile))


def share(
    rule: SharingRule, task: np.ndarray, tasks: int, score: Scorer, quantile: float, replicas: int
) -> list[tuple[Borrowed, list[Flow]]]:
    """One sharing (the body of Algorithm 1's outer loop), for every replica.

    Args:
        task: [N] the task each row was logged under.
        score: task i -> Q_i(s, a) of all N rows, [R, N]; called once a task, and only by `quantile`.

    Returns:
        For each replica the borrowed pairs (D* is D plus these) and one Flow per ordered pair of tasks.
    """
    picked: list[list[tuple[np.ndarray, int]]] = [[] for _ in range(replicas)]
    flows: list[list[Flow]] = [[] for _ in range(replicas)]
    for i in range(tasks if rule != "none" else 0):
        values = score(i) if rule == "quantile" else None
        for r in range(replicas):
            tau = float("nan") if values is None else threshold(values[r, task == i], quantile)
            for j in range(tasks):
                if j == i:
                    continue
                offered = np.flatnonzero(task == j)
                rows = offered if values is None else offered[values[r, offered] >= tau]
                picked[r].append((rows, i))
                flows[r].append(Flow(j, i, len(offered), len(rows), tau))
    return [(_merge(pairs), flow) for pairs, flow in zip(picked, flows, strict=True)]


def _merge(pairs: list[tuple[np.ndarray, int]]) -> Borrowed:
    rows = [rows for rows, _ in pairs]
    tasks = [np.full(len(rows), task, dtype=np.int8) for rows, task in pairs]
    if not pairs:
        return Borrowed(np.empty(0, np.int64), np.empty(0, np.int8))
    return Borrowed(np.concatenate(rows), np.concatenate(tasks))
