"""Behavioural cloning: a tanh policy fitted to the logged actions, per task or for all tasks at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hcsac.algorithms.adam import Adam
from hcsac.algorithms.algorithm import Algorithm
from hcsac.algorithms.registry import algorithm
from hcsac.losses.imitation import imitation_loss
from hcsac.networks.actors import DeterministicActor
from hcsac.settings import Settings, TaskInput
from hcsac.types import Batch, Info, Spec


@dataclass(frozen=True, repr=False)
class BCSettings(TaskInput, Settings):
    """None of its own."""


@algorithm("bc")
class BehaviouralCloning(Algorithm):
    """Behavioural cloning: the baseline without critics and rewards."""

    settings_type = BCSettings
    presets = {"paper": {"hidden_size": 256, "batch_size": 256, "actor_learning_rate": 1e-3}}
    Actor = DeterministicActor
    several_actors = True

    def build(self, spec: Spec, settings: BCSettings, weights: Sequence[torch.Generator]) -> None:
        self.adam_actor = Adam(self.actor, settings.actor_learning_rate, settings.actor_decay, settings.updates)

    def update(self, batch: Batch, noise: Tensor | None, stage: None) -> Info:
        """One step on the mean squared error."""
        own = self.of_actors(batch)
        loss = imitation_loss(self.actor(own.observation, own.task), own.action, own.weight)
        self.adam_actor.step(loss)
        return {"imitation_loss": self.per_replica(loss)}
