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


def joint_action(
    actor: Any, observation: Tensor, task: Tensor, actors: int = 1, choice: Tensor | None = None
) -> Tensor:
    """The mean action of P actors, which together are one policy.

    Args:
        actor: of R replicas with C candidates of P actors each, in this order along its first axis [R C P, ...].
        observation: [R, n, S], normalised.
        task: [R, n].
        actors: P.
        choice: [R, M] int64, the candidate that acts in each task; None where there is one.

    Returns:
        [R, n, A].
    """
    candidates = 1 if choice is None else len(next(actor.parameters())) // (actors * len(choice))
    copies = candidates * actors
    if copies == 1:
        action: Tensor = actor.act(observation, task)
        return action
    action = actor.act(observation.repeat_interleave(copies, 0), task.repeat_interleave(copies, 0))
    action = action.unflatten(0, (-1, candidates, actors)).mean(2)  # [R, C, n, A]
    if choice is None:
        return action[:, 0]
    chosen = choice.gather(1, task)[:, None, :, None].expand(-1, 1, -1, action.shape[-1])
    return action.gather(1, chosen)[:, 0]


class DeterministicPolicy(nn.Module):
    """Normaliser, task embedding and the actors of R replicas, in float32.

    In its state, `scaling.*` serves all replicas and every `actor.*` is [R C P, ...] (`joint_action`); `choice` [R, M]
    is there where the algorithm trains several candidates.
    """

    choice: Tensor | None

    def __init__(self, actor: Any, scaling: ObservationNormalizer, actors: int = 1, choice: Tensor | None = None):
        super().__init__()
        self.actor = actor
        self.scaling = scaling
        self.actors = actors
        self.register_buffer("choice", choice)

    @torch.no_grad()
    def forward(self, observation: Tensor, task: Tensor) -> Tensor:
        """Actions [R, n, A] in [-1, 1] at observation [R, n, S] for task [R, n]."""
        return joint_action(self.actor, self.scaling(observation), task, self.actors, self.choice)


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
