"""The task-aware state z (slides, "Task Embedding"): z = s + e, or its published variants."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from hcsac.settings import Embedding


class TaskEmbedding(nn.Module):
    """s [R, B, S] and task [R, B] -> z [*lead, B, Z], with a learned table [*lead, M, S] ~ N(0, 1) per network.

    `add`: z = s + e (Z = S). `concat`: z = [s, e] (Z = 2S). `onehot`: z = [s, 1_task] (Z = S + M). `none`: z = s.
    """

    def __init__(
        self,
        kind: Embedding,
        lead: tuple[int, ...],
        tasks: int,
        observation_size: int,
        generators: Sequence[torch.Generator],
    ):
        super().__init__()
        self.kind = kind
        self.tasks = tasks
        self.per_critic = len(lead) > 0
        self.size = observation_size + {"add": 0, "none": 0, "concat": observation_size, "onehot": tasks}[kind]
        if kind in ("add", "concat"):
            draw = [torch.randn(*lead, tasks, observation_size, generator=g) for g in generators]
            self.table = nn.Parameter(torch.stack(draw))

    def forward(self, observation: Tensor, task: Tensor) -> Tensor:
        if self.kind == "none":
            return observation[:, None] if self.per_critic else observation
        identity = one_hot(task, self.tasks).to(observation.dtype)
        if self.per_critic:
            observation, identity = observation[:, None], identity[:, None]
        if self.kind == "onehot":
            return torch.cat([observation, identity], dim=-1)
        embedding = identity @ self.table
        if self.kind == "add":
            return observation + embedding
        return torch.cat([observation.expand(*embedding.shape[:-1], -1), embedding], dim=-1)
