"""One-step improvement, repeated: critics of the new policy, from the old ones, then actors that climb them.

    hcsac study run experiments/more-steps.toml --plugin experiments.more_steps

What it showed: more steps return less (docs/measurements.md), so that it is no part of hcsac.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

import hcsac
from hcsac.algorithms.adam import Adam
from hcsac.algorithms.algorithm import polyak_update
from hcsac.algorithms.one_step import OneStep, OneStepSettings
from hcsac.losses.one_step import n_step_target
from hcsac.losses.sac import bellman_loss
from hcsac.settings import setting
from hcsac.types import Batch, Draw, Info


@dataclass(frozen=True, repr=False)
class MoreStepsSettings(OneStepSettings, group="More steps"):
    """The lengths of the parts of each step."""

    critic_updates: int = setting(10_000, "updates of the critics in each step", 1)
    actor_updates: int = setting(6_000, "updates of the actors in each step", 1)


@hcsac.algorithm("more_steps")
class MoreSteps(OneStep):
    """As many steps as the updates are enough for, each with critics and actors; for a single candidate."""

    settings_type = MoreStepsSettings
    presets: ClassVar = {"best": {"critics": 5}}

    def build(self, spec, settings, weights) -> None:
        super().build(spec, settings, weights)
        fitted, climbed = settings.critic_updates, settings.actor_updates
        self.adam_critic = Adam(self.critic, settings.critic_learning_rate, settings.critic_decay, fitted)
        self.adam_actor = Adam(self.actor, settings.actor_learning_rate, settings.actor_decay, climbed)

    def stage(self, update: int) -> tuple[str, bool]:
        """`critics` of the logged behaviour, `values` of the actors, or `actors`; whether it begins here."""
        step, place = divmod(update, self.settings.critic_updates + self.settings.actor_updates)
        if place < self.settings.critic_updates:
            return "values" if step else "critics", place == 0
        return "actors", place == self.settings.critic_updates

    def draw(self, stage: tuple[str, bool]) -> Draw:
        return Draw(self.settings.batch_size, uniform=True) if stage[0] == "values" else super().draw(stage[0])

    def moves_actor(self, stage: tuple[str, bool]) -> bool:
        return stage[0] == "actors"

    def update(self, batch: Batch, noise, stage: tuple[str, bool]) -> Info:
        part, first = stage
        if first:
            restart(self.adam_actor if part == "actors" else self.adam_critic)
        if part == "actors":
            return self.improve(batch, noise)
        return self.fit(batch) if part == "critics" else self.fit_policy(batch)

    def fit_policy(self, batch: Batch) -> Info:
        """Fitted Q evaluation of the actors' policy, with each critic's own target."""
        with torch.no_grad():
            action = self.joint(self.acting, batch.next_observation, batch.task)
            next_q = self.target(batch.next_observation, batch.task, action[:, :, None])[..., 0]
            target = n_step_target(batch.reward, batch.discount, next_q)
        q = self.critic(batch.observation, batch.task, batch.action[:, :, None])[..., 0]
        loss = bellman_loss(q, target, batch.weight)
        self.adam_critic.step(loss)
        polyak_update(self.target, self.critic, self.settings.target_rate)
        return {"bellman_loss": loss.detach(), "q": q.detach().mean((1, 2))}


@torch.no_grad()
def restart(adam: Adam) -> None:
    """Let the learning rate fall from the beginning again, without the moments of the step before."""
    for number in adam.buffers():
        number.zero_()
