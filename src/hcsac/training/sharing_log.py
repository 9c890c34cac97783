"""The sharing log of a run: which transitions were shared from which task to which, when and why.

`sharing.jsonl` has one record for each sharing step, seed and direction. `sharing/UPDATE.safetensors` has the shared
transitions: a bit for each transition of the source task, and the values of those shared where values decide.
`sharing/rows.safetensors` has episode, task and reward of every transition, so that the log is read without the data.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from torch import Tensor

from hcsac import files
from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.sharing.rules import cds_weight
from hcsac.sharing.selection import LEVELS, SharedTransitions
from hcsac.training.run_directory import RunDirectory

# Transitions [n], task they are used for -> their mean reward there.
MeanReward = Callable[[np.ndarray, int], float]


class SharedUse(NamedTuple):
    """One use of a transition by another task, in one sharing step of one seed."""

    update: int
    seed: int
    task: str  # to which it was shared
    value: float | None  # Q of the transition for that task; None where values do not decide
    threshold: float | None  # the value it had to reach, or relative to which its weight is computed
    weight: float  # its factor in the losses, in [0, 1]
    weighted: bool  # whether the rule weights transitions
    assigned_reward: float | None  # the reward assigned to it there; None where the table was too large to be kept


class TransitionHistory(NamedTuple):
    """A transition of D and its uses by other tasks."""

    transition: int  # its index in D
    task: str  # for which it was logged
    episode: int  # of that task, from 0
    step: int  # of that episode, from 0
    reward: float
    sharing_steps: int  # sharing steps in which it was a candidate
    uses: list[SharedUse]


class SharingLogWriter:
    """Writes the sharing steps of a run.

    Args:
        reward: the table [N, M] of the assigned rewards of transitions, for each task that may use them; None where it
            is too large.
        valued: whether values decide which transitions are shared, so that they are stored.
        true_reward: the table [N, M] of the rewards of each task itself, where they are known.
    """

    def __init__(
        self,
        run: RunDirectory,
        dataset: Dataset,
        seeds: Sequence[int],
        reward: Tensor | None,
        valued: bool,
        true_reward: np.ndarray | None = None,
    ):
        self.run, self.dataset, self.seeds, self.valued = run, dataset, seeds, valued
        self.reward, self.true_reward = reward, true_reward
        self.first = [int(rows[0]) for rows in map(dataset.rows_of, range(dataset.num_tasks))]

    def write(
        self, update: int, shared: Sequence[Sequence[SharedTransitions]], assigned: MeanReward
    ) -> list[dict[str, Any]]:
        """Store the transitions of this sharing step, and return its records, one for each seed and direction."""
        folder = self.run.path / files.SHARED
        folder.mkdir(exist_ok=True)
        if not (folder / files.TRANSITIONS).exists():
            _save(self._rows(), folder / files.TRANSITIONS)
        pairs: dict[str, np.ndarray] = {}
        records = []
        for seed, of_replica in zip(self.seeds, shared, strict=True):
            for one in of_replica:
                pairs |= self._pairs(seed, one)
                records.append({"update": update, "seed": seed, **self._record(one, assigned)})
        _save(pairs, folder / f"{update}.safetensors")
        return records

    def _record(self, shared: SharedTransitions, assigned: MeanReward) -> dict[str, Any]:
        tasks, some = self.dataset.task_names, len(shared.row) > 0
        true = weight = None
        if some and self.true_reward is not None:
            true = float(self.true_reward[shared.row, shared.target].mean(dtype=np.float64))
        if some and shared.weight is not None:
            weight = float(shared.weight.mean(dtype=np.float64))
        return {
            "from": tasks[shared.source],
            "to": tasks[shared.target],
            "offered": shared.candidates,
            "borrowed": len(shared.row),
            "threshold": _number(shared.threshold),
            "temperature": _number(shared.temperature),
            "weight": _number(weight),
            "own_q": [_number(value) for value in shared.own_quantiles],
            "borrowed_q": [_number(value) for value in np.quantile(shared.value, LEVELS)] if some else None,
            "claimed_reward": _number(assigned(shared.row, shared.target)) if some else None,
            "true_reward": _number(true),
        }

    def _pairs(self, seed: int, shared: SharedTransitions) -> dict[str, np.ndarray]:
        bits = np.zeros(shared.candidates, bool)
        bits[shared.row - self.first[shared.source]] = True
        name = f"{seed}.{shared.source}.{shared.target}"
        return {f"{name}.rows": np.packbits(bits)} | ({f"{name}.value": shared.value} if self.valued else {})

    def _rows(self) -> dict[str, np.ndarray]:
        start = self.dataset.episode_start
        rows = {"episode_start": start, "episode_task": self.dataset.task[start[:-1]]}
        if self.reward is None:
            return rows | {"logged_reward": self.dataset.reward[:, None]}
        flat = self.reward.stride(1) == 0  # all tasks assign the same rewards: one column is enough
        return rows | {"reward": (self.reward[:, :1] if flat else self.reward).cpu().numpy()}


def transition_history(run: RunDirectory, index: int) -> TransitionHistory:
    """With which tasks transition `index` of D was shared, when and why: its uses by update, seed and task.

    Raises:
        UserError: the run has shared nothing, has no such transition, or its sharing log is corrupt.
    """
    folder, identity = run.path / files.SHARED, run.identity()
    if not (folder / files.TRANSITIONS).exists():
        rule = identity["settings"].get("sharing", "none")
        raise UserError(f"{run.path} has no sharing log: with sharing = {rule!r} it has shared no transitions so far.")
    start, task_of, reward, every = _rows_of(folder / files.TRANSITIONS)
    if not 0 <= index < len(reward):
        raise UserError(f"transition {index} is not in the data of {run.path}; choose one from 0 to {len(reward) - 1}.")
    episode = int(np.searchsorted(start, index, side="right")) - 1
    source = int(task_of[episode])
    first = int(np.searchsorted(task_of, source))  # episode of its task
    records = [record for record in run.lines(files.SHARING) if record["from"] == identity["tasks"][source]]
    offset, uses, assigned = index - int(start[first]), [], reward[index] if every else None
    for record in records:
        pair = (source, identity["tasks"].index(record["to"]))
        uses.append(_use(record, folder / f"{record['update']}.safetensors", pair, offset, assigned))
    return TransitionHistory(
        index,
        identity["tasks"][source],
        episode - first,
        index - int(start[episode]),
        float(reward[index, source % reward.shape[1]]),
        len({record["update"] for record in records}),
        [use for use in uses if use is not None],
    )


def _use(
    record: dict[str, Any], path: Path, pair: tuple[int, int], offset: int, assigned: np.ndarray | None
) -> SharedUse | None:
    name = f"{record['seed']}.{pair[0]}.{pair[1]}"
    try:
        with safe_open(path, framework="numpy") as file:
            packed = file.get_slice(f"{name}.rows")[: offset // 8 + 1]
            bits = np.unpackbits(packed)[: offset + 1]
            if not bits[-1]:
                return None
            values = f"{name}.value"
            nth = int(bits[:-1].sum())
            value = float(file.get_slice(values)[nth : nth + 1][0]) if values in file.keys() else None  # noqa: SIM118
    except (OSError, SafetensorError, IndexError) as error:
        raise UserError(f"{path} is corrupt ({error}); train again in another directory.") from error
    threshold, temperature = record["threshold"], record["temperature"]
    weighted = temperature is not None and value is not None
    return SharedUse(
        update=record["update"],
        seed=record["seed"],
        task=record["to"],
        value=value,
        threshold=threshold,
        weight=float(cds_weight(np.array([value - threshold]), temperature)[0]) if weighted else 1.0,
        weighted=weighted,
        assigned_reward=None if assigned is None else float(assigned[pair[1] % len(assigned)]),
    )


def _number(value: float | None) -> float | None:
    """None for numbers that JSON does not have."""
    return None if value is None or not math.isfinite(value) else float(value)


def _save(tensors: dict[str, np.ndarray], path: Path) -> None:
    with files.write_atomically(path) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, temporary)


def _rows_of(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Starts and tasks of the episodes, rewards of the transitions, and whether these are those of every task."""
    try:
        tensors = load_file(path)
        every = "reward" in tensors
        reward = tensors["reward" if every else "logged_reward"]
        return tensors["episode_start"], tensors["episode_task"], reward, every
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(f"{path} is corrupt ({error}); train again in another directory.") from error
