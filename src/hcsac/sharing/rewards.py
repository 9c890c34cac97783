"""The reward rules as one table reward[N, M]: what row n is worth as data of task m. Built once."""

import torch
from torch import Tensor

from hcsac.settings import RewardRule


def reward_table(reward: Tensor, task: Tensor, tasks: int, rule: RewardRule) -> Tensor:
    """reward [N], task [N] -> table [N, M].

    `keep`: every task pays what the source task paid (Algorithm 1 as written); a view, no memory.
    `zero`: a borrowed row pays nothing.
    """
    if rule == "keep":
        return reward[:, None].expand(-1, tasks)
    own = task[:, None] == torch.arange(tasks, device=task.device)
    return torch.where(own, reward[:, None], 0.0)
