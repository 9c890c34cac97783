"""The reward rules as one table reward[N, M]: the reward of transition n as data of task m."""

import hashlib
import json
from functools import partial

import numpy as np

from hcsac.data.dataset import Dataset
from hcsac.data.rewards import reward_blocks
from hcsac.settings import RewardRule
from hcsac.sharing.cache import cached
from hcsac.tasks import fixed_by, get_task


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
