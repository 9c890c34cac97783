"""The metadata of a policy bundle: the content of `policy.json`, from which the model card is written."""

from importlib.metadata import version
from typing import Any

from hcsac.errors import UserError
from hcsac.evaluation import mean_std, score
from hcsac.policy.bundle import FORMAT
from hcsac.policy.state import PolicyState
from hcsac.tasks import get_task, has_simulator
from hcsac.training import RunDirectory, last_returns, learning_curve


def make_metadata(run: RunDirectory, state: PolicyState, onnx_seed: int) -> dict[str, Any]:
    """All but the digests of the other files. `state` is the part of the run that is exported.

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
        "onnx_seed": onnx_seed,
        "observation_size": state.observation_size,
        "action_size": state.action_size,
        "tasks": [_task(name, index) for index, name in enumerate(state.tasks)],
        "data": {"names": identity["data"], "rows": identity["rows"], "fingerprint": identity["fingerprint"]},
        "alignment": identity["alignment"],
        "behaviour": state.dataset_returns,
        "evaluation": _evaluation(run, state),
        "settings": identity["settings"],
    }


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


def _evaluation(run: RunDirectory, state: PolicyState) -> dict[str, Any]:
    """The evaluation of exactly this policy, over all seeds of its run, and the best evaluation of the run.

    `tasks` is empty where a task has no simulator.
    """
    seeds = run.identity()["seeds"]
    tasks, episodes = {}, 0
    for task in state.tasks if all(map(has_simulator, state.tasks)) else ():
        returns = last_returns(run, task, state.update)
        of_seed = returns.mean(-1)
        mean, std = mean_std(of_seed)
        tasks[task] = {
            "mean": mean,
            "std": std if len(seeds) > 1 else None,
            "min": float(returns.min()),
            "max": float(returns.max()),
            "score": score(task, mean),
            "by_seed": {str(seed): float(value) for seed, value in zip(seeds, of_seed, strict=True)},
            "best_of_run": float(learning_curve(run, task)[1].max(0).mean()),
        }
        episodes = returns.shape[1]
    return {"update": state.update, "seeds": seeds, "episodes": episodes, "tasks": tasks}
