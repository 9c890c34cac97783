"""The deterministic policy: what an algorithm is evaluated by, and all of it that leaves the run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hcsac.types import Parameter


class Scaling(nn.Module):
    """Between the robot's units and those of the networks, fixed at the start.

    Observations: (s - mean) / std with mean and std [S] of the dataset, or 0 and 1. Actions: the networks' are in
    [-1, 1], the robot's range over its bounds [A]; these are in the state only where they are other than [-1, 1].
    """

    mean: Tensor
    std: Tensor
    action_low: Tensor | None
    action_high: Tensor | None

    def __init__(self, mean: Tensor, std: Tensor, action_low: Tensor | None = None, action_high: Tensor | None = None):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.register_buffer("action_low", action_low)
        self.register_buffer("action_high", action_high)

    @classmethod
    def identity(cls, observation_size: int) -> Scaling:
        """One that changes nothing."""
        return cls(torch.zeros(observation_size), torch.ones(observation_size))

    def forward(self, observation: Tensor) -> Tensor:
        """Observations [..., S] as the networks see them."""
        return (observation - self.mean) / self.std

    def robot(self, action: Tensor) -> Tensor:
        """Actions [..., A] of the networks in the robot's units."""
        if self.action_low is None or self.action_high is None:
            return action
        return torch.lerp(self.action_low, self.action_high, (action + 1) / 2).clamp(self.action_low, self.action_high)

    def robot_size(self, size: Tensor) -> Tensor:
        """Differences of actions [..., A] in the robot's units."""
        if self.action_low is None or self.action_high is None:
            return size
        return size * (self.action_high - self.action_low) / 2


def joint_action(
    actor: Any,
    observation: Tensor,
    task: Tensor,
    actors: int = 1,
    choice: Tensor | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """The mean action of P actors, which together are one policy, and noise as large as they disagree.

    Args:
        actor: of R replicas with C candidates of P actors each, in this order along its first axis [R C P, ...].
        observation: [R, n, S], normalised.
        task: [R, n].
        actors: P.
        choice: [R, M] int64, the candidate that acts in each task; None where there is one.
        noise: [R, n, A], in standard deviations of the P actions; None for none.

    Returns:
        [R, n, A], in [-1, 1] if the actors' actions are.
    """
    mean, std = action_statistics(actor, observation, task, actors, choice)
    return mean if noise is None else (mean + noise * std).clamp(-1, 1)


def action_statistics(
    actor: Any, observation: Tensor, task: Tensor, actors: int, choice: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the P actors' actions, each [R, n, A]; arguments as in `joint_action`."""
    candidates = 1 if choice is None else len(next(actor.parameters())) // (actors * len(choice))
    copies = candidates * actors
    if copies == 1:
        action: Tensor = actor.act(observation, task)
        return action, torch.zeros_like(action)
    action = actor.act(observation.repeat_interleave(copies, 0), task.repeat_interleave(copies, 0))
    action = action.unflatten(0, (-1, candidates, actors))  # [R, C, P, n, A]
    mean = action.mean(2)
    std = ((action - mean[:, :, None]).square().sum(2) / max(1, actors - 1)).sqrt()
    if choice is None:
        return mean[:, 0], std[:, 0]
    if task.is_floating_point():  # the candidate of the nearest task
        task = (task[..., None] - actor.body.embedding.numbers).abs().argmin(-1)
    chosen = choice.gather(1, task)[:, None, :, None].expand(-1, 1, -1, action.shape[-1])
    return mean.gather(1, chosen)[:, 0], std.gather(1, chosen)[:, 0]


class DeterministicPolicy(nn.Module):
    """Normaliser, task embedding and the actors of R replicas, in float32.

    In its state, `scaling.*` serves all replicas and every `actor.*` is [R C P, ...] (`joint_action`); `choice` [R, M]
    is there where the algorithm trains several candidates.
    """

    choice: Tensor | None

    def __init__(
        self,
        actor: Any,
        scaling: Scaling,
        actors: int = 1,
        choice: Tensor | None = None,
        noise_scale: float = 0.0,
    ):
        super().__init__()
        self.actor = actor
        self.scaling = scaling
        self.actors = actors
        self.noise_scale = noise_scale
        self.register_buffer("choice", choice)

    @torch.no_grad()
    def forward(self, observation: Tensor, task: Tensor, noise: Tensor | None = None) -> Tensor:
        """Actions [R, n, A] in the robot's units at observation [R, n, S] for task [R, n].

        Args:
            noise: standard normal numbers [R, n, A]; None for the mean action.
        """
        return self.scaling.robot(self.inside(observation, task, noise))

    @torch.no_grad()
    def inside(self, observation: Tensor, task: Tensor, noise: Tensor | None = None) -> Tensor:
        """The same actions as the networks give them, in [-1, 1]."""
        scaled = None if noise is None else self.noise_scale * noise
        return joint_action(self.actor, self.scaling(observation), task, self.actors, self.choice, scaled)

    @torch.no_grad()
    def statistics(self, observation: Tensor, task: Tensor) -> tuple[Tensor, Tensor]:
        """The mean action and the standard deviation of the noise on it, each [R, n, A]."""
        mean, std = action_statistics(self.actor, self.scaling(observation), task, self.actors, self.choice)
        return self.scaling.robot(mean), self.scaling.robot_size(self.noise_scale * std)


class SingleReplicaPolicy(nn.Module):
    """A policy of one replica without the replica axis: observation [n, S], task [n] -> action [n, A].

    Of a policy that acts with noise it gives two, each [n, A]: the mean action and the standard deviation of the noise.
    A task that is none of the M gives NaN: no runtime that this is exported to would raise an error. Where the tasks
    differ by a number that the policy is given, task is that number, float32, and NaN follows out of its range.
    """

    def __init__(self, policy: DeterministicPolicy, tasks: int, parameter: Parameter | None = None):
        super().__init__()
        self.policy = policy
        self.parameter = parameter
        ends: tuple[float, float] = (0, tasks - 1) if parameter is None else parameter.range
        self.least, self.most = ends

    def forward(self, observation: Tensor, task: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        known = (task >= self.least) & (task <= self.most)
        task = torch.where(known, task, self.least)
        if self.parameter is not None:
            task = self.parameter.scaled(task)
        action, std = self.policy.statistics(observation[None], task[None])
        action = torch.where(known[:, None], action[0], torch.nan)
        return (action, std[0]) if self.policy.noise_scale > 0 else action
