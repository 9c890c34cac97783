"""TD3: the online algorithm of the collection. Twin critics on one leading axis, delayed policy, smoothed targets."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hcsac.algorithms.adam import Adam
from hcsac.algorithms.algorithm import Algorithm, Random, polyak_update
from hcsac.losses.sac import bellman_loss
from hcsac.losses.td3 import policy_loss, smoothed_action, td3_target
from hcsac.networks.actors import DeterministicActor
from hcsac.networks.critics import Critic, first_critic
from hcsac.settings import Critics, Settings
from hcsac.types import Batch, Info, Spec

SMOOTHING_STD, SMOOTHING_CLIP, POLICY_DELAY = 0.2, 0.5, 2  # the paper's


@dataclass(frozen=True, repr=False)
class TD3Settings(Critics, Settings):
    """None of its own: the paper's constants are fixed."""


class TD3(Algorithm):
    """Fujimoto et al. 2018 with R replicas. LayerNorm in the first critic layer (`critic_layer_norm`) is what makes
    the plain algorithm learn walker in some hundred thousand steps."""

    settings: TD3Settings
    settings_type = TD3Settings
    Actor = DeterministicActor

    def build(self, spec: Spec, settings: TD3Settings, weights: Sequence[torch.Generator]) -> None:
        self.critic = Critic(spec.observation_size, spec.action_size, len(spec.tasks), settings, weights)
        self.target_actor = copy.deepcopy(self.actor).requires_grad_(False)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.adam_actor = Adam(self.actor, settings.actor_learning_rate)
        self.adam_critic = Adam(self.critic, settings.critic_learning_rate)

    def noise(self, random: Random, batch_size: int) -> Tensor:
        """[R, B, A] normal, for the smoothed target policy."""
        return random.normal(batch_size, self.spec.action_size)

    def stage(self, update: int) -> bool:
        """Whether the actor and all targets move, too."""
        return (update + 1) % POLICY_DELAY == 0

    def update(self, batch: Batch, noise: Tensor, stage: bool) -> Info:
        """Critics; and at every second update the actor and all targets."""
        with torch.no_grad():
            next_action = self.target_actor(batch.next_observation, batch.task)
            next_action = smoothed_action(next_action, noise, SMOOTHING_STD, SMOOTHING_CLIP)
            next_q = self.target_critic(batch.next_observation, batch.task, next_action[:, :, None])[..., 0]
            target = td3_target(batch.reward, batch.discount, next_q)
        q = self.critic(batch.observation, batch.task, batch.action[:, :, None])[..., 0]
        critic_objective = bellman_loss(q, target)
        self.adam_critic.step(critic_objective)

        if stage:
            action = self.actor(batch.observation, batch.task)
            self.adam_actor.step(policy_loss(first_critic(self.critic, batch.observation, batch.task, action)))
            polyak_update(self.target_actor, self.actor, self.settings.target_rate)
            polyak_update(self.target_critic, self.critic, self.settings.target_rate)
        return {"bellman_loss": critic_objective.detach(), "q": q.detach().mean((1, 2))}
