"""TD3: the online agent of the collection. Twin critics on one leading axis, delayed policy, smoothed targets."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from hcsac.algorithms import base
from hcsac.algorithms.adam import Adam
from hcsac.algorithms.base import State
from hcsac.losses.sac import bellman_loss
from hcsac.losses.td3 import policy_loss, smoothed_action, td3_target
from hcsac.networks.actors import DeterministicActor
from hcsac.networks.critics import Critic
from hcsac.settings import Settings
from hcsac.types import Batch, Info

SMOOTHING_STD, SMOOTHING_CLIP, POLICY_DELAY = 0.2, 0.5, 2  # the paper's


class TD3:
    """Fujimoto et al. 2018 with R replicas. LayerNorm in the first critic layer (`critic_layer_norm`) is what makes
    the plain algorithm learn walker in some hundred thousand steps."""

    def __init__(
        self, observation_size: int, action_size: int, settings: Settings, seeds: Sequence[int], device: torch.device
    ):
        weights = base.generators(seeds, 0)
        sizes = (observation_size, action_size, 1)
        self.settings = settings
        self.actor = DeterministicActor(*sizes, settings, weights).to(device)
        self.critic = Critic(*sizes, settings, weights).to(device)
        self.target_actor = copy.deepcopy(self.actor).requires_grad_(False)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.optimisers = {
            "adam_actor": Adam(list(self.actor.parameters()), settings.actor_learning_rate),
            "adam_critic": Adam(list(self.critic.parameters()), settings.critic_learning_rate),
        }
        self.generators = base.generators(seeds, 1, device)
        self.updates = 0

    def update(self, batch: Batch) -> Info:
        """Critics; and at every second update the actor and all targets."""
        with torch.no_grad():
            shape, device = batch.action.shape[1:], batch.action.device
            draws = [torch.randn(shape, generator=g, device=device) for g in self.generators]
            next_action = self.target_actor(batch.next_observation, batch.task)
            next_action = smoothed_action(next_action, torch.stack(draws), SMOOTHING_STD, SMOOTHING_CLIP)
            next_q = self.target_critic(batch.next_observation, batch.task, next_action[:, :, None])[..., 0]
            target = td3_target(batch.reward, batch.discount, next_q)
        q = self.critic(batch.observation, batch.task, batch.action[:, :, None])[..., 0]
        critic_objective = bellman_loss(q, target)
        self.optimisers["adam_critic"].step(critic_objective)

        self.updates += 1
        if self.updates % POLICY_DELAY == 0:
            action = self.actor(batch.observation, batch.task)
            self.optimisers["adam_actor"].step(policy_loss(self._first_critic(batch, action)))
            base.follow(self.target_actor, self.actor, self.settings.target_rate)
            base.follow(self.target_critic, self.critic, self.settings.target_rate)
        return {"bellman_loss": critic_objective.detach(), "q": q.detach().mean((1, 2))}

    def _first_critic(self, batch: Batch, action: Tensor) -> Tensor:
        """Q_1(s, a) [R, 1, B] of action [R, B, A]: the policy climbs one critic, so the others are not computed."""
        weights = {name: weight[:, :1].detach() for name, weight in self.critic.named_parameters()}
        return functional_call(self.critic, weights, (batch.observation, batch.task, action[:, :, None]))[..., 0]

    @torch.no_grad()
    def act(self, observation: Tensor, task: Tensor) -> Tensor:
        """Deterministic actions [R, n, A] at observation [R, n, S] for task [R, n]."""
        return self.actor.act(observation, task)

    def state(self) -> State:
        """Everything that decides the next update, as named tensors."""
        state: State = {"updates": torch.tensor(self.updates)}
        for name in ("actor", "critic", "target_actor", "target_critic"):
            state |= base.module_state(name, getattr(self, name))
        for name, optimiser in self.optimisers.items():
            state |= optimiser.state(name)
        return state | {f"noise.{r}": g.get_state() for r, g in enumerate(self.generators)}

    def load_state(self, state: State) -> None:
        """Continue from `state` exactly."""
        self.updates = int(state["updates"])
        for name in ("actor", "critic", "target_actor", "target_critic"):
            base.load_module_state(name, getattr(self, name), state)
        for name, optimiser in self.optimisers.items():
            optimiser.load_state(name, state)
        for r, generator in enumerate(self.generators):
            generator.set_state(state[f"noise.{r}"].cpu())
