"""The task-aware state z (slides, "Task Embedding"): z = s + e, or its published variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from hcsac.settings import Embedding
from hcsac.types import Parameter

if TYPE_CHECKING:
    from jaxtyping import Float, Real


class TaskEmbedding(nn.Module):
    """s [R, B, S], task [R, B] -> z [R, B, Z], or [R, E, B, Z] where `lead` = (E,) (critics).

    Each network has a table [R, *lead, M, S] of its own, learned from N(0, 1).
    `add`: z = s + e (Z = S). `concat`: z = [s, e] (Z = 2S). `onehot`: z = [s, 1_task] (Z = S + M). `none`: z = s.
    `number`: z = [s, c] (Z = S + 1) with the number c in [-1, 1] by which the tasks differ (`give_numbers`); task may
    then be such a number itself, float32.
    """

    numbers: Tensor  # [M], not in the state: the names of the tasks say them

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
        more = {"add": 0, "none": 0, "concat": observation_size, "onehot": tasks, "number": 1}
        self.size = observation_size + more[kind]
        if kind == "number":
            self.register_buffer("numbers", torch.zeros(tasks), persistent=False)
        if kind in ("add", "concat"):
            draw = [torch.randn(*lead, tasks, observation_size, generator=g) for g in generators]
            self.table = nn.Parameter(torch.stack(draw))

    def forward(self, observation: Float[Tensor, "R B S"], task: Real[Tensor, "R B"]) -> Float[Tensor, "R *E B Z"]:
        if self.kind == "none":
            return observation[:, None] if self.per_critic else observation
        if self.kind == "number":
            identity = (task if task.is_floating_point() else self.numbers[task])[..., None].to(observation.dtype)
        else:
            identity = one_hot(task, self.tasks).to(observation.dtype)
        if self.per_critic:
            observation, identity = observation[:, None], identity[:, None]
        if self.kind in ("onehot", "number"):
            return torch.cat([observation, identity], dim=-1)
        embedding = identity @ self.table
        if self.kind == "add":
            return observation + embedding
        return torch.cat([observation.expand(*embedding.shape[:-1], -1), embedding], dim=-1)


def give_numbers(network: nn.Module, tasks: Sequence[str]) -> None:
    """Tell every embedding by a number in the network what the numbers of the tasks are."""
    parameter = Parameter.of(tasks)
    for part in network.modules():
        if isinstance(part, TaskEmbedding) and part.kind == "number":
            assert parameter is not None
            part.numbers.copy_(parameter.scaled(torch.tensor(parameter.values)))
