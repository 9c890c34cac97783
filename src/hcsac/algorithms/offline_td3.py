"""What TD3+BC and ReBRAC share: TD3 on logged data, whose actor also imitates them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hcsac.algorithms.adam import Adam
from hcsac.algorithms.algorithm import Algorithm, Random, polyak_update
from hcsac.losses.imitation import imitation_loss
from hcsac.losses.sac import bellman_loss
from hcsac.losses.td3 import smoothed_action, td3_target
from hcsac.networks.actors import DeterministicActor
from hcsac.networks.critics import Critic
from hcsac.settings import Critics, Settings, Settling, Sharing, TaskInput, setting
from hcsac.types import Batch, Info, Spec


@dataclass(frozen=True, repr=False)
class OfflineTD3Settings(Sharing, TaskInput, Settling, Critics, Settings, group="TD3"):
    """TD3's three numbers."""

    policy_delay: int = setting(2, "critic updates for each update of the actor and the targets", 1)
    target_noise: float = setting(0.2, "standard deviation of the noise that smooths the target policy", 0)
    target_noise_clip: float = setting(0.5, "bound of that noise", 0)


class OfflineTD3(Algorithm):
    """Clipped double Q with a delayed deterministic actor; a subclass says what the actor descends on."""

    settings: OfflineTD3Settings
    Actor = DeterministicActor
    several_actors = True

    def actor_values(self, batch: Batch, action: Tensor) -> Tensor:
        """Q(s, pi(s)) that the actors climb, of all their minibatches: action [R, P B, A] -> [R, P B]."""
        raise NotImplementedError

    def actor_loss(self, q: Tensor, own: Batch, imitation: Tensor) -> Tensor:
        """The actors' loss [R P] from their values [R P, B] and `imitation_loss` [R P], on minibatches `own`."""
        raise NotImplementedError

    def target_of(self, batch: Batch, action: Tensor, next_q: Tensor) -> Tensor:
        """The critics' target [R, B] from the target policy's action [R, B, A] at s' and its values [R, E, B]."""
        return td3_target(batch.reward, batch.discount, next_q)

    def build(self, spec: Spec, settings: OfflineTD3Settings, weights: Sequence[torch.Generator]) -> None:
        self.critic = Critic(spec.observation_size, spec.action_size, len(spec.tasks), settings, weights)
        self.target_actor = copy.deepcopy(self.actor).requires_grad_(False)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        actor_steps = settings.updates // settings.policy_delay if settings.updates else None
        self.adam_actor = Adam(self.actor, settings.actor_learning_rate, settings.actor_decay, actor_steps)
        self.adam_critic = Adam(self.critic, settings.critic_learning_rate, settings.critic_decay, settings.updates)

    def noise(self, random: Random, batch_size: int) -> Tensor:
        """[R, B, A] normal, for the smoothed target policy."""
        return random.normal(batch_size // self.actors, self.spec.action_size)

    def stage(self, update: int) -> tuple[bool, bool]:
        """Whether the critics move, and whether the actors (with them the targets) do."""
        frozen = self.frozen(update)
        return not frozen, frozen or (update + 1) % self.settings.policy_delay == 0

    def moves_actor(self, stage: tuple[bool, bool]) -> bool:
        """At every `policy_delay`-th update, and once the critics are frozen."""
        return stage[1]

    def update(self, batch: Batch, noise: Tensor, stage: tuple[bool, bool]) -> Info:
        """Critics; and at every `policy_delay`-th update the actors and all targets, in this order."""
        fits, improves = stage
        info = {}
        if fits:
            rows = self.of_critics(batch)
            target = self.target_values(rows, noise)
            q = self.critic(rows.observation, rows.task, rows.action[:, :, None])[..., 0]
            critic_loss = bellman_loss(q, target, rows.weight)
            self.adam_critic.step(critic_loss)
            info = {"bellman_loss": critic_loss.detach(), "q": q.detach().mean((1, 2)), "target": target.mean(-1)}
        if not improves:
            return info

        own = self.of_actors(batch)
        action = self.actor(own.observation, own.task)
        actor_q = self.fold(self.actor_values(batch, self.unfold(action)))
        imitation = imitation_loss(action, own.action, own.weight)
        actor_loss = self.actor_loss(actor_q, own, imitation)
        self.adam_actor.step(actor_loss)
        if fits:
            polyak_update(self.target_actor, self.actor, self.settings.target_rate)
            polyak_update(self.target, self.critic, self.settings.target_rate)
        return info | {"actor_loss": self.per_replica(actor_loss), "imitation_loss": self.per_replica(imitation)}

    @torch.no_grad()
    def target_values(self, batch: Batch, noise: Tensor) -> Tensor:
        """y [R, B] at a' = pi'(s') + clipped noise."""
        action = self.joint(self.target_actor, batch.next_observation, batch.task)
        action = smoothed_action(action, noise, self.settings.target_noise, self.settings.target_noise_clip)
        next_q = self.target(batch.next_observation, batch.task, action[:, :, None])[..., 0]
        return self.target_of(batch, action, next_q)

    def score(self, observation: Tensor, action: Tensor, task: Tensor) -> Tensor:
        """min_E Q(s, a), by which sharing rules select."""
        return self.critic(observation, task, action[:, :, None])[..., 0].amin(1)
