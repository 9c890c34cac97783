"""What a policy that is asked by a number does: the number it achieves, and the return, between its tasks, too."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from hcsac.data.relabel import hardly_shown
from hcsac.errors import UserError
from hcsac.evaluation import FIRST_SEED, Evaluator, Noise
from hcsac.policy.policy import Policy
from hcsac.tasks import get_task
from hcsac.types import Parameter

STARTING = 200  # steps in which a robot gets up; what it achieves counts from there on


class Asked(NamedTuple):
    """V numbers that a policy of R seeds was asked for."""

    name: str  # of the number
    values: tuple[float, ...]
    returns: np.ndarray  # [R, V, episodes], each in the task of its number
    achieved: np.ndarray | None  # [R, V, episodes], mean number over the steps; None where no task measures it
    logged: np.ndarray  # [V], mean return of the logged episodes, interpolated between the tasks
    unseen: np.ndarray  # [V] bool, where the logs hardly show it, interpolated as well


def require_numbers(policy: Policy, values: Sequence[float]) -> tuple[Parameter, list[str]]:
    """What the policy is asked by, and the names of the tasks of these numbers.

    Raises:
        UserError: it is not asked by a number; or one is out of its range.
    """
    parameter = policy.parameter
    if parameter is None:
        raise UserError(f"this policy acts by task ({', '.join(policy.tasks)}), not by a number; leave out --at.")
    low, high = parameter.range
    if not values or not all(low <= value <= high for value in values):
        raise UserError(f"this policy takes a {parameter.name} from {low:g} to {high:g}; give numbers within.")
    family = policy.tasks[0].rpartition(":")[0]
    return parameter, [f"{family}:{value:.6g}" for value in values]


def evaluate_at(policy: Policy, values: Sequence[float], episodes: int = 20, seed: int = FIRST_SEED) -> Asked:
    """Ask a policy for each number, in the simulator.

    Args:
        values: within the range that was trained.
        episodes: for each number and seed of the policy.
        seed: of the first episode's initial state; the next ones follow.

    Raises:
        UserError: the policy is not asked by a number; or a number is out of its range, or has no task.
    """
    parameter, names = require_numbers(policy, values)
    measure = get_task(names[0]).measure
    numbers = parameter.scaled(np.array(values, np.float32)).astype(np.float32)
    evaluator = Evaluator(names, episodes, len(policy.seeds), seed, torch.get_num_threads())
    seen: list[np.ndarray] = []  # of each step: what is achieved, [R, n]

    def act(observation: np.ndarray, task: np.ndarray, noise: Noise) -> np.ndarray:
        if measure is not None:
            seen.append(measured(measure, observation))
        return policy.act_all(observation, numbers[task], noise)

    achieved, blocks = [], []
    try:
        for start in range(0, episodes, evaluator.at_once):
            count = min(evaluator.at_once, episodes - start)
            blocks.append(evaluator.block(act, seed + start, count))
            if measure is not None:
                steady = np.mean(seen[min(STARTING, len(seen) // 5) :], axis=0)
                achieved.append(steady.reshape(len(policy.seeds), len(names), -1)[..., :count])
            seen.clear()
    finally:
        evaluator.close()
    logged = [policy.dataset_returns[task] for task in policy.tasks]
    best = [policy.best_steps.get(task, np.inf) for task in policy.tasks]
    highest = get_task(names[0]).highest_reward
    return Asked(
        parameter.name,
        tuple(values),
        np.concatenate(blocks, 2),
        np.concatenate(achieved, 2) if achieved else None,
        _between(values, parameter, logged),
        np.array([hardly_shown(reward, highest) for reward in _between(values, parameter, best)]),
    )


def measured(measure: Callable[[np.ndarray], np.ndarray], observation: np.ndarray) -> np.ndarray:
    """What a task's `measure` says of observations with any leading axes, [..., S] -> [...]."""
    flat = observation.reshape(-1, observation.shape[-1])
    return np.asarray(measure(flat), np.float32).reshape(observation.shape[:-1])


def _between(values: Sequence[float], parameter: Parameter, of_tasks: Sequence[float]) -> np.ndarray:
    order = np.argsort(parameter.values)
    return np.interp(values, np.array(parameter.values)[order], np.array(of_tasks)[order])


def asked_table(found: Asked) -> str:
    """One line a number: what was achieved and returned, mean, lowest and highest of all episodes."""
    columns = {"achieved": (found.achieved, 2), "return": (found.returns, 1)}
    shown = {name: (of, digits) for name, (of, digits) in columns.items() if of is not None}
    lines = [f"{'asked':>8}" + "".join(f"{name:>11}{'min':>9}{'max':>9}" for name in shown) + f"{'logs':>9}"]
    for v, value in enumerate(found.values):
        line = f"{value:8.3g}"
        for of, digits in shown.values():
            one = of[:, v]
            line += f"{one.mean():11.{digits}f}{one.min():9.{digits}f}{one.max():9.{digits}f}"
        lines.append(f"{line}{found.logged[v]:9.1f}" + " *" * bool(found.unseen[v]))
    if found.unseen.any():
        lines.append("* the logs hardly show it: the policy is not to be trusted there")
    episodes, seeds = found.returns.shape[2], len(found.returns)
    return "\n".join([f"{found.name}, {episodes} episodes and {seeds} seed{'s' * (seeds > 1)} each", *lines])
