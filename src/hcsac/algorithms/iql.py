"""Implicit Q-learning (Kostrikov et al. 2021), for M tasks and R replicas at once: values of logged actions alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hcsac.algorithms.adam import Adam
from hcsac.algorithms.algorithm import Algorithm, polyak_update
from hcsac.algorithms.registry import algorithm
from hcsac.losses.imitation import imitation_loss
from hcsac.losses.iql import advantage_weight, expectile_loss, implicit_target
from hcsac.losses.one_step import improvement_loss
from hcsac.losses.sac import bellman_loss
from hcsac.losses.scale import mean_size_by_task
from hcsac.networks.actors import DeterministicActor
from hcsac.networks.critics import Critic
from hcsac.networks.values import StateValue
from hcsac.settings import ActorImitation, AdvantageWeights, Critics, Settings, Settling, Sharing, TaskInput, setting
from hcsac.types import Batch, Info, Spec


@dataclass(frozen=True, repr=False)
class IQLSettings(
    Sharing, TaskInput, AdvantageWeights, ActorImitation, Settling, Critics, Settings, group="Implicit Q-learning"
):
    """The paper's two numbers, and how an actor is made from the values."""

    expectile: float = setting(
        0.7, "expectile of Q over the logged actions that V fits (0.5: mean, to 1: maximum)", 0, 1
    )
    extraction: Literal["awr", "ddpg_bc"] = setting(
        "awr", "the actor's loss: advantage-weighted imitation, or values and imitation with actor_bc_weight"
    )
    advantage_scale: Literal["task", "none"] = setting(
        "task", "awr: scale of the advantages in the weights (at most 100): their mean size within the task, or 1"
    )


@algorithm("iql")
class IQL(Algorithm):
    """Implicit Q-learning: values of the better logged actions by expectile regression, and an actor made from them."""

    settings: IQLSettings
    settings_type = IQLSettings
    paper = "Kostrikov et al. 2021, arXiv 2110.06169"
    presets = {
        "d4rl": {"hidden_layers": 2, "actor_decay": "cosine", "advantage_scale": "none", "updates": 1_000_000},
    }
    Actor = DeterministicActor
    several_actors = True

    def build(self, spec: Spec, settings: IQLSettings, weights: Sequence[torch.Generator]) -> None:
        self.critic = Critic(spec.observation_size, spec.action_size, len(spec.tasks), settings, weights)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.value = StateValue(spec.observation_size, len(spec.tasks), settings, weights)
        pace = settings.critic_learning_rate, settings.critic_decay, settings.updates
        self.adam_critic = Adam(self.critic, *pace)
        self.adam_value = Adam(self.value, *pace)
        self.adam_actor = Adam(self.actor, settings.actor_learning_rate, settings.actor_decay, settings.updates)

    def stage(self, update: int) -> bool:
        """Whether the values move."""
        return not self.frozen(update)

    def update(self, batch: Batch, noise: None, stage: bool) -> Info:
        """V, then the critics, the actors and the targets, in this order."""
        info = self.fit(self.of_critics(batch)) if stage else {}
        info |= self.extract(batch)
        if stage:
            polyak_update(self.target, self.critic, self.settings.target_rate)
        return info

    def fit(self, batch: Batch) -> Info:
        """V to an expectile of the target critics' values, the critics to the reward and V at s'."""
        advantage = self.advantage(batch)
        value_loss = expectile_loss(advantage, self.settings.expectile, batch.weight)
        self.adam_value.step(value_loss)
        with torch.no_grad():
            target = implicit_target(batch.reward, batch.discount, self.value(batch.next_observation, batch.task))
        q = self.critic(batch.observation, batch.task, batch.action[:, :, None])[..., 0]
        loss = bellman_loss(q, target, batch.weight)
        self.adam_critic.step(loss)
        return {
            "value_loss": value_loss.detach(),
            "bellman_loss": loss.detach(),
            "q": q.detach().mean((1, 2)),
            "advantage_size": advantage.detach().abs().mean(-1),
        }

    def advantage(self, batch: Batch) -> Tensor:
        """min_E Q'(s, a) - V(s) of the logged actions: [R, B]; gradients reach V alone."""
        with torch.no_grad():
            q = self.target(batch.observation, batch.task, batch.action[:, :, None])[..., 0].amin(1)
        return q - self.value(batch.observation, batch.task)

    def extract(self, batch: Batch) -> Info:
        """A step of the actors on the values as they are."""
        own = self.of_actors(batch)
        action = self.actor(own.observation, own.task)
        imitation = imitation_loss(action, own.action, own.weight)
        if self.settings.extraction == "awr":
            loss = imitation_loss(action, own.action, self.row_weights(batch, own))
        else:
            q = self.score(batch.observation, self.unfold(action), batch.task)
            weight = torch.full_like(imitation, self.settings.actor_bc_weight)
            loss = improvement_loss(self.fold(q), own.task, len(self.spec.tasks), imitation, weight, own.weight)
        self.adam_actor.step(loss)
        return {"actor_loss": self.per_replica(loss), "imitation_loss": self.per_replica(imitation)}

    @torch.no_grad()
    def row_weights(self, batch: Batch, own: Batch) -> Tensor:
        """How much the actors imitate each row: [R P, B]."""
        advantage = self.fold(self.advantage(batch))
        by_task = self.settings.advantage_scale == "task"
        scale = mean_size_by_task(advantage, own.task, len(self.spec.tasks)) if by_task else None
        weight = advantage_weight(advantage, scale, self.settings.inverse_temperature)
        return weight if own.weight is None else weight * own.weight

    def score(self, observation: Tensor, action: Tensor, task: Tensor) -> Tensor:
        """min_E Q(s, a), by which sharing rules select."""
        return self.critic(observation, task, action[:, :, None])[..., 0].amin(1)

    def state_value(self, observation: Tensor, task: Tensor) -> Tensor:
        """V(s)."""
        value: Tensor = self.value(observation, task)
        return value
