"""What a policy that is asked by a number does: the number it achieves, and the return, between its tasks, too."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from hcsac.errors import UserError
from hcsac.evaluation import FIRST_SEED, Evaluator, Noise
from hcsac.policy.policy import load_with_tasks
from hcsac.tasks import get_task

STARTING = 200  # steps in which a robot gets up; what it achieves counts from there on


class Asked(NamedTuple):
    """V numbers that a policy of R seeds was asked for."""

    name: str  # of the number
    values: tuple[float, ...]
    returns: np.ndarray  # [R, V, episodes], each in the task of its number
    achieved: np.ndarray | None  # [R, V, episodes], mean number over the steps; None where no task measures it


def evaluate_at(path: str | Path, values: Sequence[float], episodes: int = 20, seed: int = FIRST_SEED) -> Asked:
    """Ask the policy of the run or bundle at `path` for each number, in the simulator.

    Args:
        values: within the range that was trained.
        episodes: for each number and seed of the policy.
        seed: of the first episode's initial state; the next ones follow.

    Raises:
        UserError: as `load_policy`; it is not asked by a number; or a number is out of its range, or has no task.
    """
    policy = load_with_tasks(path)
    parameter = policy.parameter
    if parameter is None:
        raise UserError(f"the policy of {path} acts by task, not by a number; evaluate it without --at.")
    low, high = parameter.range
    if not values or not all(low <= value <= high for value in values):
        raise UserError(f"the policy of {path} takes a {parameter.name} from {low:g} to {high:g}; give numbers within.")
    family = policy.tasks[0].rpartition(":")[0]
    names = [f"{family}:{value:.6g}" for value in values]
    measure = get_task(names[0]).measure
    numbers = parameter.scaled(np.array(values, np.float32)).astype(np.float32)
    evaluator = Evaluator(names, episodes, len(policy.seeds), seed, torch.get_num_threads())
    seen: list[np.ndarray] = []  # of each step: what is achieved, [R, n]

    def act(observation: np.ndarray, task: np.ndarray, noise: Noise) -> np.ndarray:
        if measure is not None:
            flat = observation.reshape(-1, observation.shape[-1])
            seen.append(np.asarray(measure(flat), np.float32).reshape(observation.shape[:2]))
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
    return Asked(
        parameter.name, tuple(values), np.concatenate(blocks, 2), np.concatenate(achieved, 2) if achieved else None
    )


def asked_table(found: Asked) -> str:
    """One line a number: what was achieved and returned, mean, lowest and highest of all episodes."""
    columns = {"achieved": (found.achieved, 2), "return": (found.returns, 1)}
    shown = {name: (of, digits) for name, (of, digits) in columns.items() if of is not None}
    lines = [f"{'asked':>8}" + "".join(f"{name:>11}{'min':>9}{'max':>9}" for name in shown)]
    for v, value in enumerate(found.values):
        line = f"{value:8.3g}"
        for of, digits in shown.values():
            one = of[:, v]
            line += f"{one.mean():11.{digits}f}{one.min():9.{digits}f}{one.max():9.{digits}f}"
        lines.append(line)
    episodes, seeds = found.returns.shape[2], len(found.returns)
    return "\n".join([f"{found.name}, {episodes} episodes and {seeds} seed{'s' * (seeds > 1)} each", *lines])
