"""Returns of a run, from its evaluations."""

import numpy as np

from hcsac import files
from hcsac.errors import UserError
from hcsac.evaluation import returns_table
from hcsac.training.run_directory import RunDirectory


def updates_done(run: RunDirectory) -> int:
    """Updates that a run has done, as far as its records say."""
    if run.finished:
        return run.read_json(files.RESULT)["updates"]
    names = (files.METRICS, files.EVALUATIONS)
    return max((record["update"] for name in names for record in run.tail(name)), default=0)


def learning_curve(run: RunDirectory, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Updates [U] and mean returns over episodes [U, R] of every evaluation of the task, in order.

    An evaluation without all seeds, cut off or corrupt, is skipped.
    """
    seeds, found = run.identity()["seeds"], _evaluations(run, [task])
    means = [[float(np.mean(found[update][seed, task])) for seed in seeds] for update in found]
    return np.array(list(found)), np.array(means).reshape(-1, len(seeds))


def last_returns(run: RunDirectory, task: str, update: int | None = None) -> np.ndarray:
    """Returns [R, episodes] of the task in the last evaluation, or in the one after `update` updates.

    Raises:
        UserError: there is no such evaluation, or the last one of a finished run is corrupt (an earlier one does not
            replace it).
    """
    return _last(run, [task], update)[1][:, 0]


def summary(run: RunDirectory) -> str:
    """The last evaluation as a table, the best one of the run below it, and which records are corrupt.

    Raises:
        UserError: as `last_returns`.
    """
    identity = run.identity()
    result = run.read_json(files.RESULT) if run.finished else {}
    if failure := result.get("failure"):
        return f"trained; its last evaluation failed: {failure} `hcsac evaluate {run.path}` makes it again."
    if not result.get("evaluated", True):
        return (
            "trained, not evaluated: not every task has a simulator. `hcsac evaluate` judges the policy by logged "
            "episodes, `hcsac export` makes it portable."
        )
    last, returns = _last(run, identity["tasks"])
    table = returns_table(returns, identity["tasks"], identity["behaviour"])
    best = {task: learning_curve(run, task)[1].max(0).mean() for task in identity["tasks"]}
    best_of_run = ", ".join(f"{task} {value:.1f}" for task, value in best.items())
    text = f"last policy, after {last} updates\n{table}\nbest of run (chosen by looking at the returns): {best_of_run}"
    return "\n".join([*result.get("notes", []), text, *run.corruption()])


def _evaluations(run: RunDirectory, tasks: list[str]) -> dict[int, dict[tuple[int, str], list[float]]]:
    """update -> (seed, task) -> returns [episodes], of every evaluation with all seeds of these tasks, in order."""
    wanted = {(seed, task) for seed in run.identity()["seeds"] for task in tasks}
    found: dict[int, dict[tuple[int, str], list[float]]] = {}
    for record in run.lines(files.EVALUATIONS):
        if (pair := (record["seed"], record["task"])) in wanted:
            found.setdefault(record["update"], {})[pair] = record["returns"]
    return {update: found[update] for update in sorted(found) if found[update].keys() == wanted}


def _last(run: RunDirectory, tasks: list[str], update: int | None = None) -> tuple[int, np.ndarray]:
    """The update of the last evaluation of these tasks (or `update`), and its returns [R, M, episodes]."""
    found = _evaluations(run, tasks)
    last = max(found, default=None) if update is None else update
    if last not in found:
        when = "" if last is None else f" after {last} updates"
        raise UserError(f"{run.path} has no evaluation of {', '.join(tasks)}{when}; train longer, to its next.")
    if update is None and run.finished and last < run.read_json(files.RESULT)["updates"]:
        raise UserError(
            f"{run.path / files.EVALUATIONS} is corrupt at the last evaluation; run `hcsac evaluate` on the policy, or "
            "train again in another directory."
        )
    return last, np.array([[found[last][seed, task] for task in tasks] for seed in run.identity()["seeds"]])
