"""What a run's own records say of its returns."""

import numpy as np

from hcsac.evaluation import returns_table
from hcsac.training.directory import RunDirectory


def learning_curve(run: RunDirectory, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Updates [U] and mean returns over episodes [U, R] of every evaluation of the task, in order."""
    seeds = run.identity()["seeds"]
    found: dict[int, dict[int, float]] = {}
    for record in run.lines("evaluations.jsonl"):
        if record["task"] == task:
            found.setdefault(record["update"], {})[record["seed"]] = float(np.mean(record["returns"]))
    updates = sorted(update for update, by_seed in found.items() if len(by_seed) == len(seeds))
    return np.array(updates), np.array([[found[u][seed] for seed in seeds] for u in updates]).reshape(-1, len(seeds))


def last_returns(run: RunDirectory, task: str) -> np.ndarray:
    """Returns [R, episodes] of the task in the last evaluation."""
    records = [record for record in run.lines("evaluations.jsonl") if record["task"] == task]
    last = max(record["update"] for record in records)
    by_seed = {record["seed"]: record["returns"] for record in records if record["update"] == last}
    return np.array([by_seed[seed] for seed in run.identity()["seeds"]])


def summary(run: RunDirectory) -> str:
    """The last evaluation as a table, and the best one of the run beside it, named so."""
    identity = run.identity()
    last = max((record["update"] for record in run.lines("evaluations.jsonl")), default=None)
    if last is None:
        return "trained, not evaluated: not every task has a simulator. `hcsac export` makes its policy portable."
    returns = np.stack([last_returns(run, task) for task in identity["tasks"]], axis=1)
    table = returns_table(returns, identity["tasks"], identity["behaviour"])
    best = {task: learning_curve(run, task)[1].max(0).mean() for task in identity["tasks"]}
    beside = ", ".join(f"{task} {value:.1f}" for task, value in best.items())
    return f"last policy, after {last} updates\n{table}\nbest of run (chosen by looking at the returns): {beside}"
