"""The deterministic policy: what an agent is evaluated by, and all of it that leaves the run."""

import torch
from torch import Tensor, nn

from hcsac.algorithms.base import Scaling
from hcsac.networks.actors import DeterministicActor, GaussianActor


class DeterministicPolicy(nn.Module):
    """Observation scaling, task embedding and actor of R replicas, in float32.

    Shares its tensors with the agent it is a part of. In its state, `scaling.*` serves all replicas and every
    `actor.*` has them as its first axis.
    """

    def __init__(self, actor: GaussianActor | DeterministicActor, scaling: Scaling):
        super().__init__()
        self.actor = actor
        self.scaling = scaling

    @torch.no_grad()
    def forward(self, observation: Tensor, task: Tensor) -> Tensor:
        """Actions [R, n, A] in [-1, 1] at observation [R, n, S] for task [R, n]."""
        return self.actor.act(self.scaling(observation), task)


class Single(nn.Module):
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
