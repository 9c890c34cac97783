"""Behavioural cloning: a tanh policy fitted to the logged actions, per task or for all tasks at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hcsac.agents import base
from hcsac.agents.base import Scaling, State
from hcsac.losses.imitation import imitation_loss
from hcsac.networks.actors import DeterministicActor
from hcsac.settings import Settings
from hcsac.types import Batch, Info


class BehaviouralCloning:
    """The yardstick: no critic, no reward. Arguments as for `ConservativeSAC`."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        tasks: int,
        settings: Settings,
        seeds: Sequence[int],
        scaling: Scaling,
        device: torch.device,
        compiled: bool = False,
    ):
        self.scaling = scaling
        weights = base.generators(seeds, 0)
        self.actor = DeterministicActor(observation_size, action_size, tasks, settings, weights).to(device)
        self.optimiser = base.adam(list(self.actor.parameters()), settings.actor_learning_rate)
        self._loss = torch.compile(self.loss) if compiled else self.loss

    def update(self, batch: Batch) -> Info:
        """One step on the mean squared error."""
        loss = self._loss(batch)
        base.step(self.optimiser, loss)
        return {"imitation_loss": loss.detach()}

    def loss(self, batch: Batch) -> Tensor:
        """The imitation loss [R] of the batch."""
        return imitation_loss(self.actor(self.scaling(batch.observation), batch.task), batch.action)

    @torch.no_grad()
    def act(self, observation: Tensor, task: Tensor) -> Tensor:
        """Deterministic actions [R, n, A] at observation [R, n, S] for task [R, n]."""
        return self.actor.act(self.scaling(observation), task)

    def state(self) -> State:
        """Everything that decides the next update, as named tensors."""
        return base.module_state("actor", self.actor) | base.optimiser_state("adam_actor", self.optimiser)

    def load_state(self, state: State) -> None:
        """Continue from `state` exactly."""
        base.load_module_state("actor", self.actor, state)
        base.load_optimiser_state("adam_actor", self.optimiser, state)
