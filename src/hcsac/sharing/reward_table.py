"""The reward rules as one table reward[N, M]: what row n is worth as data of task m."""

import hashlib
import json
from functools import partial

import numpy as np

from hcsac.data.dataset import Dataset
from hcsac.data.rewards import reward_blocks
from hcsac.settings import RewardRule
from hcsac.sharing.cache import kept
from hcsac.tasks import fixed_by, get_task


def reward_table(dataset: Dataset, rule: RewardRule) -> np.ndarray:
    """reward[N, M] float32, read-only. A row's own column holds the reward that was logged, whatever the rule.

    - `keep`: every task pays what the source task paid (Algorithm 1 as written); a view, no memory.
    - `zero`: a borrowed row pays nothing.
    - `recompute`: a borrowed row pays what its new task pays for it (`tasks.rewards_of`). Made once for a dataset and
      mapped from the cache folder from then on, except where a user's own code has a part in it: that may change
      without a trace, so it is called each time.

    Raises:
        UserError: `recompute` for a task whose rewards cannot be, or whose function fails or returns nonsense.
    """
    shape = (len(dataset), dataset.num_tasks)
    if rule == "keep" or dataset.num_tasks == 1:
        return np.broadcast_to(dataset.reward[:, None], shape)
    if rule == "zero":
        own = dataset.task[:, None] == np.arange(dataset.num_tasks)
        return np.where(own, dataset.reward[:, None], np.float32(0))
    blocks = partial(reward_blocks, dataset)
    key = _key(dataset)
    return np.concatenate(list(blocks())) if key is None else kept(key, shape, blocks)


def _key(dataset: Dataset) -> str | None:
    """Hexadecimal digest of all that decides the recomputed table; None where a user's own code does."""
    fixed = [fixed_by(name) for name in dataset.task_names]
    if any(part is None for part in fixed):
        return None
    digest = hashlib.sha256(json.dumps([dataset.fingerprint(), fixed], sort_keys=True).encode())
    if dataset.physics is not None and any(get_task(name).reward is None for name in dataset.task_names):
        digest.update(np.ascontiguousarray(dataset.physics).data)
    return digest.hexdigest()[:32]
