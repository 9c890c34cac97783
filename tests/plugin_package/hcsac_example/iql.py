"""Implicit Q-learning (Kostrikov et al. 2021): values of the data's actions, and a policy that imitates the best."""

import copy
from dataclasses import dataclass

import torch

from hcsac import Algorithm, algorithm
from hcsac.algorithms import Adam, polyak_update
from hcsac.losses.sac import bellman_loss
from hcsac.losses.weighting import weighted_mean
from hcsac.networks.actors import ActorNetwork, DeterministicActor
from hcsac.networks.critics import Critic
from hcsac.settings import Critics, Settings, Sharing, TaskInput, setting


@dataclass(frozen=True, repr=False)
class IQLSettings(Sharing, TaskInput, Critics, Settings, group="IQL"):
    """The paper's two numbers, and two of ours."""

    iql_expectile: float = setting(0.7, "expectile of Q(s, a) over the data's actions that V(s) approaches", 0.5, 1)
    iql_temperature: float = setting(3.0, "inverse temperature of the weights exp(beta (Q - V)) of the imitation", 0)
    iql_warmup: int = setting(0, "first updates, in which the policy imitates every action alike", 0)
    iql_noise: float = setting(0.0, "standard deviation of Gaussian noise on the observations that the policy sees", 0)


@algorithm("example_iql")
class IQL(Algorithm):
    """Implicit Q-learning: expectile values and advantage-weighted imitation."""

    settings_type = IQLSettings
    paper = "Kostrikov et al. 2021, arXiv 2110.06169"
    presets = {"tiny": {"hidden_layers": 1, "hidden_size": 16, "batch_size": 24}}
    Actor = DeterministicActor

    def build(self, spec, settings, weights):
        S, A, M = spec.observation_size, spec.action_size, len(spec.tasks)
        self.critic = Critic(S, A, M, settings, weights)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.value = ActorNetwork(S, 1, M, settings, weights)
        self.adam_actor = Adam(self.actor, settings.actor_learning_rate)
        self.adam_critic = Adam(self.critic, settings.critic_learning_rate)
        self.adam_value = Adam(self.value, settings.critic_learning_rate)

    def noise(self, random, batch_size):
        return random.normal(batch_size, self.spec.observation_size)

    def stage(self, update):
        return update < self.settings.iql_warmup

    def update(self, batch, noise, stage):
        with torch.no_grad():
            next_value = self.value(batch.next_observation, batch.task)[..., 0]
            data_q = self.target(batch.observation, batch.task, batch.action[:, :, None])[..., 0].amin(1)

        value = self.value(batch.observation, batch.task)[..., 0]
        advantage = data_q - value
        value_loss = expectile_loss(advantage, self.settings.iql_expectile, batch.weight)
        self.adam_value.step(value_loss)

        q = self.critic(batch.observation, batch.task, batch.action[:, :, None])[..., 0]
        critic_loss = bellman_loss(q, batch.reward + batch.discount * next_value, batch.weight)
        self.adam_critic.step(critic_loss)
        polyak_update(self.target, self.critic, self.settings.target_rate)

        error = self.actor(batch.observation + self.settings.iql_noise * noise, batch.task) - batch.action
        loss = error.square().mean(-1)
        if not stage:
            loss = loss * (self.settings.iql_temperature * advantage.detach()).exp().clamp(max=100.0)
        actor_loss = weighted_mean(loss, batch.weight)
        self.adam_actor.step(actor_loss)
        losses = {"value_loss": value_loss, "bellman_loss": critic_loss, "actor_loss": actor_loss}
        return {name: loss.detach() for name, loss in losses.items()} | {"advantage": advantage.detach().mean(-1)}

    def score(self, observation, action, task):
        return self.critic(observation, task, action[:, :, None])[..., 0].amin(1)


def expectile_loss(advantage, expectile, weight=None):
    """E[ w |expectile - 1(advantage < 0)| advantage^2 ]: advantage [R, B], weight [R, B] or None for 1 -> [R]."""
    return weighted_mean((expectile - (advantage < 0).float()).abs() * advantage.square(), weight)
