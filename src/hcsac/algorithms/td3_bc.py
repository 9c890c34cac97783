"""TD3+BC (Fujimoto & Gu 2021), for M tasks and R replicas at once: TD3 whose actor also imitates the data."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hcsac.algorithms.adam import Adam
from hcsac.algorithms.algorithm import Algorithm, Random, polyak_update
from hcsac.algorithms.registry import algorithm
from hcsac.losses.imitation import imitation_loss
from hcsac.losses.sac import bellman_loss
from hcsac.losses.scale import mean_size_by_task
from hcsac.losses.td3 import smoothed_action, td3_bc_loss, td3_target
from hcsac.networks.actors import DeterministicActor
from hcsac.networks.critics import Critic, first_critic
from hcsac.settings import Critics, Settings, Settling, Sharing, TaskInput, setting
from hcsac.types import Batch, Info, Spec


@dataclass(frozen=True, repr=False)
class TD3BCSettings(Sharing, TaskInput, Settling, Critics, Settings, group="TD3+BC"):
    """The paper's four numbers."""

    td3_alpha: float = setting(2.5, "weight of Q scaled to size 1 against imitation (lambda = alpha / E|Q|)", 0)
    policy_delay: int = setting(2, "critic updates for each update of the actor and the targets", 1)
    target_noise: float = setting(0.2, "standard deviation of the noise that smooths the target policy", 0)
    target_noise_clip: float = setting(0.5, "bound of that noise", 0)


@algorithm("td3_bc")
class TD3BC(Algorithm):
    """Clipped double Q with a delayed deterministic actor that maximises Q and imitates the data."""

    settings: TD3BCSettings
    settings_type = TD3BCSettings
    paper = "Fujimoto & Gu 2021, arXiv 2106.06860"
    presets = {"quick": {"target_rate": 0.005}}
    Actor = DeterministicActor

    def build(self, spec: Spec, settings: TD3BCSettings, weights: Sequence[torch.Generator]) -> None:
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
        actor_q = first_critic(self.critic, batch.observation, batch.task, self.unfold(action))[:, 0]
        imitation = imitation_loss(action, own.action, own.weight)
        scale = mean_size_by_task(self.fold(actor_q).detach(), own.task, len(self.spec.tasks))
        actor_loss = td3_bc_loss(self.fold(actor_q), scale, imitation, self.settings.td3_alpha, own.weight)
        self.adam_actor.step(actor_loss)
        if fits:
            polyak_update(self.target_actor, self.actor, self.settings.target_rate)
            polyak_update(self.target, self.critic, self.settings.target_rate)
        return info | {"actor_loss": self.per_replica(actor_loss), "imitation_loss": self.per_replica(imitation)}

    @torch.no_grad()
    def target_values(self, batch: Batch, noise: Tensor) -> Tensor:
        """y [R, B] = r + gamma min_E Q'(s', a'), a' = pi'(s') + clipped noise."""
        action = self.joint(self.target_actor, batch.next_observation, batch.task)
        action = smoothed_action(action, noise, self.settings.target_noise, self.settings.target_noise_clip)
        next_q = self.target(batch.next_observation, batch.task, action[:, :, None])[..., 0]
        return td3_target(batch.reward, batch.discount, next_q)

    def score(self, observation: Tensor, action: Tensor, task: Tensor) -> Tensor:
        """min_E Q(s, a), by which sharing rules select."""
        return self.critic(observation, task, action[:, :, None])[..., 0].amin(1)
