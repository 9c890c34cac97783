"""The reward rules as one table reward[N, M]: the reward of transition n as data of task m."""

import hashlib
import json
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hcsac.data.dataset import Dataset
from hcsac.data.rewards import reward_blocks
from hcsac.settings import RewardRule
from hcsac.sharing.cache import cached
from hcsac.sharing.neighbours import some_of
from hcsac.tasks import fixed_by, get_task, rewards_of

LARGEST = 2**27  # numbers in a table (half a GiB); where it would have more, rewards are computed as they are drawn


def reward_table(dataset: Dataset, rule: RewardRule) -> np.ndarray:
    """reward[N, M] float32, read-only. The column of a transition's own task has the logged reward under every rule.

    - `keep`: for every task the reward as logged (Algorithm 1 as written); a view, no memory.
    - `zero`: 0 for shared transitions.
    - `recompute`: for shared transitions the reward of the task that uses them (`tasks.rewards_of`). Computed once
      for a dataset and then mapped from the cache folder, except where a user's own code takes part: it may
      change unnoticed, so it is called each time.

    Raises:
        UserError: `recompute` for a task whose rewards cannot be recomputed, or whose reward function fails or
            returns invalid values.
    """
    shape = (len(dataset), dataset.num_tasks)
    if rule == "keep" or dataset.num_tasks == 1:
        return np.broadcast_to(dataset.reward[:, None], shape)
    if rule == "zero":
        own = dataset.task[:, None] == np.arange(dataset.num_tasks)
        return np.where(own, dataset.reward[:, None], np.float32(0))
    blocks = partial(reward_blocks, dataset)
    key = _key(dataset)
    return np.concatenate(list(blocks())) if key is None else cached(key, shape, blocks)


def _key(dataset: Dataset) -> str | None:
    """Hexadecimal digest of all that determines the recomputed table; None where a user's own code does."""
    fixed = [fixed_by(name) for name in dataset.task_names]
    if any(part is None for part in fixed):
        return None
    digest = hashlib.sha256(json.dumps([dataset.fingerprint(), fixed], sort_keys=True).encode())
    if dataset.physics is not None and any(get_task(name).reward is None for name in dataset.task_names):
        digest.update(np.ascontiguousarray(dataset.physics).data)
    return digest.hexdigest()[:32]


def too_large(dataset: Dataset) -> bool:
    """Whether a table of all transitions and tasks would take more than half a GiB."""
    return len(dataset) * dataset.num_tasks > LARGEST


class RewardsAsDrawn:
    """reward[row, task] of a table that is too large for the memory; under `recompute` by the tasks' own functions.

    Where a task has no function, or on a GPU, the table is made all the same.
    """

    def __init__(self, dataset: Dataset, rule: RewardRule):
        self.dataset, self.rule = dataset, rule

    @classmethod
    def serves(cls, dataset: Dataset, rule: RewardRule, device: torch.device) -> bool:
        """Whether rewards are computed as they are drawn."""
        if rule == "keep" or device.type != "cpu" or not too_large(dataset):
            return False
        return rule == "zero" or all(get_task(name).reward is not None for name in dataset.task_names)

    def __getitem__(self, index: tuple[Tensor, Tensor | int]) -> Tensor:
        """Rows and the tasks that use them, of shapes that broadcast -> rewards float32."""
        row, task = torch.broadcast_tensors(index[0], torch.as_tensor(index[1]))
        rows, tasks = row.reshape(-1).numpy(), task.reshape(-1).numpy()
        reward = self.dataset.reward[rows]
        foreign = self.dataset.task[rows] != tasks
        if self.rule == "zero":
            reward = np.where(foreign, np.float32(0), reward)
        for m in np.unique(tasks[foreign]) if self.rule == "recompute" else ():
            used = np.flatnonzero(foreign & (tasks == m))
            at = rows[used]
            reached = self.dataset.observations[self.dataset.start_index[at] + 1]
            action = self.dataset.action_bounds.outside(self.dataset.action[at])
            reward[used] = rewards_of(self.dataset.task_names[m], reached, action)
        return torch.from_numpy(np.ascontiguousarray(reward)).view(row.shape)

    @property
    def largest(self) -> float:
        """The largest size of a reward, of 20,000 transitions for every task."""
        rows = torch.from_numpy(some_of(np.arange(len(self.dataset))))
        sizes = [self[rows, task].abs().max().item() for task in range(self.dataset.num_tasks)]
        return max(*sizes, float(np.abs(self.dataset.reward).max()))
