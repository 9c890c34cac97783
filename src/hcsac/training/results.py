"""What a run's own records say of its returns."""

import numpy as np

from hcsac.errors import UserError
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


def last_returns(run: RunDirectory, task: str, update: int | None = None) -> np.ndarray:
    """Returns [R, episodes] of the task in the last evaluation, or in the one after `update` updates.

    Raises:
        UserError: there is no such evaluation, or it lacks a seed.
    """
    records = [record for record in run.lines("evaluations.jsonl") if record["task"] == task]
    last = max((record["update"] for record in records), default=None) if update is None else update
    by_seed = {record["seed"]: record["returns"] for record in records if record["update"] == last}
    seeds = run.identity()["seeds"]
    if not set(seeds) <= set(by_seed):
        when = "" if last is None else f" after {last} updates"
        raise UserError(f"{run.path} holds no evaluation of {task}{when}; continue the run with --resume.")
    return np.array([by_seed[seed] for seed in seeds])


def summary(run: RunDirectory) -> str:
    """The last evaluation as a table, and the best one of the run beside it, named so."""
    identity = run.identity()
    last = max(record["update"] for record in run.lines("evaluations.jsonl"))
    returns = np.stack([last_returns(run, task) for task in identity["tasks"]], axis=1)
    table = returns_table(returns, identity["tasks"], identity["behaviour"])
    best = {task: learning_curve(run, task)[1].max(0).mean() for task in identity["tasks"]}
    beside = ", ".join(f"{task} {value:.1f}" for task, value in best.items())
    return f"last policy, after {last} updates\n{table}\nbest of run (chosen by looking at the returns): {beside}"
