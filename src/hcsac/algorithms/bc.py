"""Behavioural cloning: a tanh policy fitted to the logged actions, per task or for all tasks at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hcsac.algorithms import base
from hcsac.algorithms.adam import Adam
from hcsac.algorithms.base import Scaling, State
from hcsac.algorithms.compiled import compile_update
from hcsac.algorithms.deterministic import DeterministicPolicy
from hcsac.losses.imitation import imitation_loss
from hcsac.networks.actors import DeterministicActor
from hcsac.settings import Settings
from hcsac.types import Batch, Info


class BehaviouralCloning:
    """The yardstick: no critic, no reward. Arguments as for `ConservativeSAC`."""

    Actor = DeterministicActor

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
        self.actor = self.Actor(observation_size, action_size, tasks, settings, weights).to(device)
        self.policy = DeterministicPolicy(self.actor, scaling)
        self.optimiser = Adam(list(self.actor.parameters()), settings.actor_learning_rate)
        self.generators: list[torch.Generator] = []
        self.updates = 0
        self._recipe = compile_update(self.recipe) if compiled else self.recipe

    def phase(self, ahead: int = 0) -> int:
        """Every update is alike."""
        return 0

    def update(self, batch: Batch) -> Info:
        """One step on one minibatch per replica: `recipe`, compiled where that was asked for."""
        self.updates += 1
        return self._recipe(batch)

    def recipe(self, batch: Batch) -> Info:
        """One step on the mean squared error."""
        action = self.actor(self.scaling(batch.observation), batch.task)
        loss = imitation_loss(action, batch.action)
        self.optimiser.step(loss)
        return {"imitation_loss": loss.detach()}

    def act(self, observation: Tensor, task: Tensor) -> Tensor:
        """Deterministic actions [R, n, A] at observation [R, n, S] for task [R, n]."""
        return self.policy(observation, task)

    def state(self) -> State:
        """Everything that decides the next update, as named tensors."""
        state = base.module_state("actor", self.actor) | self.optimiser.state("adam_actor")
        return state | {"updates": torch.tensor(self.updates)}

    def load_state(self, state: State) -> None:
        """Continue from `state` exactly."""
        base.load_module_state("actor", self.actor, state)
        self.optimiser.load_state("adam_actor", state)
        self.updates = int(state["updates"])
