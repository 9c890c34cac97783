"""The metadata of a policy bundle: the content of `policy.json`, from which the model card is written."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from hcsac.errors import UserError
from hcsac.evaluation import mean_std, score
from hcsac.policy.bundle import FORMAT
from hcsac.policy.state import PolicyState
from hcsac.tasks import get_task, has_simulator
from hcsac.training import RunDirectory, last_returns, learning_curve


def make_metadata(run: RunDirectory, state: PolicyState) -> dict[str, Any]:
    """All but the evaluation and the digests of the other files. `state` is what is exported of the run.

    Raises:
        UserError: a task of the run is not registered.
    """
    identity = run.identity()
    return {
        "format": FORMAT,
        "hcsac": version("hcsac"),
        "trained_with": {"hcsac": identity.get("hcsac"), "torch": identity.get("torch")},
        "run": run.digest(),
        "agent": state.algorithm,
        "plugins": list(state.plugins),
        "update": state.update,
        "finished": run.finished,
        "seeds": state.seeds,
        "onnx_seed": state.seeds[0],
        "observation_size": state.observation_size,
        "action_size": state.action_size,
        "action_bounds": [end.tolist() for end in state.bounds],
        "tasks": describe_tasks(state.tasks),
        "data": {
            "names": identity["data"],
            "rows": identity["rows"],
            "fingerprint": identity["fingerprint"],
            "held_out": identity.get("held_out", {}),
        },
        "alignment": identity["alignment"],
        "behaviour": state.dataset_returns,
        "best_steps": dict(state.best_steps),
        "settings": state.settings.as_dict(),
    }


def describe_tasks(names: Sequence[str]) -> list[dict[str, Any]]:
    """The entries of the tasks, in the order of their indices.

    Raises:
        UserError: a task is not registered.
    """
    return [_task(name, index) for index, name in enumerate(names)]


def _task(name: str, index: int) -> dict[str, Any]:
    try:
        task = get_task(name)
    except UserError as error:
        raise UserError(
            f"task {name!r} of this run is not registered; give the module that registers it with --plugin, or in "
            "HCSAC_PLUGINS."
        ) from error
    return {
        "name": name,
        "index": index,
        "env_id": task.env_id,
        "kwargs": task.kwargs,
        "random_return": task.random_return,
        "expert_return": task.expert_return,
    }


def last_evaluation(run: RunDirectory, state: PolicyState) -> dict[str, Any]:
    """The evaluation of exactly this policy, over all seeds of its run, and the best evaluation of the run."""
    returns, best = {}, {}
    for task in state.tasks if all(map(has_simulator, state.tasks)) else ():
        returns[task] = last_returns(run, task, state.update)
        best[task] = float(learning_curve(run, task)[1].max(0).mean())
    return describe_returns(state.update, run.identity()["seeds"], returns, best)


def describe_returns(
    update: int, seeds: Sequence[int], returns: Mapping[str, np.ndarray], best: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """The entry `evaluation`: statistics of returns [R, episodes] by task; none where a task has no simulator.

    Args:
        best: the best mean of the run by task; None for a policy whose training was not evaluated.
    """
    tasks, episodes = {}, 0
    for task, values in returns.items():
        of_seed = values.mean(-1)
        mean, std = mean_std(of_seed)
        tasks[task] = {
            "mean": mean,
            "std": std if len(seeds) > 1 else None,
            "min": float(values.min()),
            "max": float(values.max()),
            "score": score(task, mean),
            "by_seed": {str(seed): float(value) for seed, value in zip(seeds, of_seed, strict=True)},
            "best_of_run": None if best is None else best[task],
        }
        episodes = values.shape[1]
    return {"update": update, "seeds": list(seeds), "episodes": episodes, "tasks": tasks}
