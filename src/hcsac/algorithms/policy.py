"""The deterministic policy: what an algorithm is evaluated by, and all of it that leaves the run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ObservationNormalizer(nn.Module):
    """(s - mean) / std with the dataset's mean and std [S], fixed at the start; the identity where they are 0 and 1."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    @classmethod
    def identity(cls, observation_size: int) -> ObservationNormalizer:
        """One that changes nothing."""
        return cls(torch.zeros(observation_size), torch.ones(observation_size))

    def forward(self, observation: Tensor) -> Tensor:
        return (observation - self.mean) / self.std


class DeterministicPolicy(nn.Module):
    """Normaliser, task embedding and actor of R replicas, in float32.

    In its state, `scaling.*` serves all replicas and every `actor.*` has them as its first axis.
    """

    def __init__(self, actor: Any, scaling: ObservationNormalizer):
        super().__init__()
        self.actor = actor
        self.scaling = scaling

    @torch.no_grad()
    def forward(self, observation: Tensor, task: Tensor) -> Tensor:
        """Actions [R, n, A] in [-1, 1] at observation [R, n, S] for task [R, n]."""
        return self.actor.act(self.scaling(observation), task)


class SingleReplicaPolicy(nn.Module):
    """A policy of one replica without the replica axis: observation [n, S], task [n] -> action [n, A].

    A task that is none of the M gives NaN: no runtime that this is exported to would raise an error.
    """

    def __init__(self, policy: DeterministicPolicy, tasks: int):
        super().__init__()
        self.policy = policy
        self.tasks = tasks

    def forward(self, observation: Tensor, task: Tensor) -> Tensor:
        known = (task >= 0) & (task < self.tasks)
        action = self.policy(observation[None], torch.where(known, task, 0)[None])[0]
        return torch.where(known[:, None], action, torch.nan)
