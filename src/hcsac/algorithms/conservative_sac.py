"""CSAC, MTCSAC and HCSAC: one class. CSAC sees one task, MTCSAC adds the task embedding, HCSAC the sharing rule."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hcsac.algorithms import base
from hcsac.algorithms.adam import Adam
from hcsac.algorithms.base import Scaling, State
from hcsac.algorithms.compiled import compile_update
from hcsac.algorithms.deterministic import DeterministicPolicy
from hcsac.losses.cql import conservative_loss, log_sum_exp, softmax_pick, uniform_log_density
from hcsac.losses.imitation import imitation_loss
from hcsac.losses.sac import actor_loss, bellman_loss, regularised_actor_loss, td_target, temperature_loss
from hcsac.networks.actors import GaussianActor, squashed_sample
from hcsac.networks.critics import Critic
from hcsac.settings import Settings
from hcsac.types import Batch, Info


class Noise(NamedTuple):
    """The random numbers of one update, drawn from each replica's own generator."""

    actor: Tensor  # [R, B, A] normal: the action of the actor and temperature losses
    target: Tensor  # [R, B, A] normal: the next action of the TD target
    here: Tensor  # [R, B, K, A] normal: policy samples at s for the log-sum-exp
    next: Tensor  # [R, B, K, A] normal: policy samples at s', where `next_actions` asks for them
    uniform: Tensor  # [R, B, K, A] in [-1, 1]
    pick: Tensor  # [R, E, B, picks] in [0, 1): which proposals carry the gradient, where it is sampled


class ConservativeSAC:
    """Soft actor-critic with the conservative term of CQL, for R replicas, E critics and M tasks at once.

    Args:
        observation_size, action_size, tasks: S, A, M.
        settings: see `Settings`; `precision` must be float32 or bf16 here.
        seeds: one per replica; a replica equals the run with its seed alone.
        scaling: how observations enter the networks.
        compiled: compile the update.
    """

    Actor = GaussianActor

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
        weights = base.generators(seeds, 0)
        sizes = (observation_size, action_size, tasks)
        self.settings = settings
        self.scaling = scaling
        self.action_size = action_size
        self.target_entropy = -float(action_size) if settings.target_entropy is None else settings.target_entropy
        self.actor = self.Actor(*sizes, settings, weights).to(device)
        self.policy = DeterministicPolicy(self.actor, scaling)
        self.critic = Critic(*sizes, settings, weights).to(device)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        initial = torch.full((len(seeds),), settings.initial_temperature, device=device).log()
        self.log_temperature = initial.requires_grad_()
        self.optimisers = {
            "adam_temperature": Adam([self.log_temperature], settings.actor_learning_rate),
            "adam_actor": Adam(list(self.actor.parameters()), settings.actor_learning_rate),
            "adam_critic": Adam(list(self.critic.parameters()), settings.critic_learning_rate),
        }
        self.generators = base.generators(seeds, 1, device)
        self.updates = 0
        self._recipe = compile_update(self.recipe) if compiled else self.recipe

    def update(self, batch: Batch, noise: Noise | None = None) -> Info:
        """One step on one minibatch per replica: `recipe`, compiled where that was asked for."""
        noise = self.draw_noise(batch) if noise is None else noise
        info = self._recipe(batch, noise, self.phase() == 0)
        self.updates += 1
        return info

    def phase(self, ahead: int = 0) -> int:
        """0 while the actor imitates, 1 after."""
        return int(self.updates + ahead >= self.settings.bc_warmup)

    def recipe(self, batch: Batch, noise: Noise, warming_up: bool) -> Info:
        """Temperature, actor, critic, targets, in this order; each sees what the one before has changed.

        The one exception saves a pass: the policy samples at s of the critic's log-sum-exp come from the actor as
        it was when the update began.
        """
        batch = batch._replace(
            observation=self.scaling(batch.observation), next_observation=self.scaling(batch.next_observation)
        )
        mean, log_std = self.actor(batch.observation, batch.task)
        action, log_prob = squashed_sample(mean, log_std, noise.actor)

        if not warming_up:
            temperature_objective = temperature_loss(self.log_temperature, log_prob, self.target_entropy)
            self.optimisers["adam_temperature"].step(temperature_objective)
        temperature = self.log_temperature.detach().exp()

        if warming_up:
            actor_objective = imitation_loss(action, batch.action, batch.weight)
        else:
            q = self.critic(batch.observation, batch.task, action[:, :, None])[..., 0]
            actor_objective = actor_loss(temperature, log_prob, q, batch.weight)
            if self.settings.bc_weight > 0:
                imitation = imitation_loss(action, batch.action, batch.weight)
                actor_objective = regularised_actor_loss(actor_objective, q, imitation, self.settings.bc_weight)
        self.optimisers["adam_actor"].step(actor_objective)

        target = self.target_values(batch, temperature, noise)
        proposals, log_density, fixed_q = self.proposals(batch, mean.detach(), log_std.detach(), noise)
        critic_objective, info = self.critic_loss(batch, target, proposals, log_density, fixed_q, noise.pick)
        self.optimisers["adam_critic"].step(critic_objective)

        base.follow(self.target, self.critic, self.settings.target_rate)
        return info | {
            "actor_loss": actor_objective.detach(),
            "temperature": temperature,
            "entropy": -log_prob.detach().mean(-1),
            "target": target.mean(-1),
        }

    @torch.no_grad()
    def target_values(self, batch: Batch, temperature: Tensor, noise: Noise) -> Tensor:
        """y [R, B]: the soft Bellman target with a' ~ pi(.|s') and the target critics."""
        next_state = (batch.next_observation, batch.task)
        mean, log_std = self.actor(*next_state)
        action, log_prob = squashed_sample(mean, log_std, noise.target)
        next_q = self.target(*next_state, action[:, :, None])[..., 0]
        settings = self.settings
        lcb_weight = settings.lcb_weight if settings.target_pessimism == "lcb" else None
        return td_target(
            batch.reward, batch.discount, next_q, log_prob, temperature, settings.backup_entropy, lcb_weight
        )

    @torch.no_grad()
    def proposals(
        self, batch: Batch, mean: Tensor, log_std: Tensor, noise: Noise
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The log-sum-exp's actions [R, B, K', A] valued by the critics at s and the log-density of every proposal.

        log_density is [R, B, K''], K'' > K' where the third proposal is valued elsewhere: then `fixed_q`
        [R, E, B, K'' - K'] holds those values when they carry no gradient, and None when the critics give them at s'.
        """
        here, here_density = squashed_sample(mean[:, :, None], log_std[:, :, None], noise.here)
        flat = torch.full_like(here_density, uniform_log_density(self.action_size))
        actions, density = [noise.uniform, here], [flat, here_density]
        fixed_q = None
        where = self.settings.next_actions
        if where != "none":
            next_state = (batch.next_observation, batch.task)
            next_mean, next_log_std = self.actor(*next_state)
            there, there_density = squashed_sample(next_mean[:, :, None], next_log_std[:, :, None], noise.next)
            actions.append(there)
            density.append(there_density)
            if where == "target_at_next":
                fixed_q = self.target(*next_state, actions.pop())
        return torch.cat(actions, dim=2), torch.cat(density, dim=2), fixed_q

    def critic_loss(
        self,
        batch: Batch,
        target: Tensor,
        proposals: Tensor,
        log_density: Tensor,
        fixed_q: Tensor | None,
        pick: Tensor,
    ) -> tuple[Tensor, Info]:
        """MSE + w CQL, [R]: one pass of the critics values the logged action and every proposal at s."""
        K = self.settings.cql_samples
        if self.settings.cql_backward == "sampled":
            data_q, lse, pull, proposal_q = self._sampled(batch, proposals, log_density, fixed_q, pick)
        else:
            at_next = proposals[:, :, 2 * K :] if self.settings.next_actions == "online_at_next" else None
            at_state = proposals[:, :, : 2 * K] if at_next is not None else proposals
            q = self.critic(batch.observation, batch.task, torch.cat([batch.action[:, :, None], at_state], dim=2))
            data_q, proposal_q = q[..., 0], q[..., 1:]
            if at_next is not None:
                fixed_q = self.critic(batch.next_observation, batch.task, at_next)
            every_q = proposal_q if fixed_q is None else torch.cat([proposal_q, fixed_q], dim=-1)
            lse = pull = log_sum_exp(every_q, log_density)
        bellman = bellman_loss(data_q, target, batch.weight)
        info = {
            "bellman_loss": bellman.detach(),
            "conservative_loss": conservative_loss(lse, data_q, batch.weight).detach(),
            "q": data_q.detach().mean((1, 2)),
            "q_uniform": proposal_q[..., :K].detach().mean((1, 2, 3)),
        }
        return bellman + self.settings.cql_weight * conservative_loss(pull, data_q, batch.weight), info

    def _sampled(
        self, batch: Batch, proposals: Tensor, log_density: Tensor, fixed_q: Tensor | None, pick: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Forward on every proposal, backward on the few picked: Q of the data, the log-sum-exp, the mean of picked Q
        (each [R, E, B]; the last has the log-sum-exp's gradient in expectation) and Q of the proposals."""
        with torch.no_grad():
            proposal_q = self.critic(batch.observation, batch.task, proposals)
            every_q = proposal_q if fixed_q is None else torch.cat([proposal_q, fixed_q], dim=-1)
            lse = log_sum_exp(every_q, log_density)
            index = softmax_pick(every_q, log_density, pick)
        moves = index < proposals.shape[2]  # values of the target critics carry no gradient
        wide = proposals[:, None].expand(-1, index.shape[1], -1, -1, -1)
        where = index.clamp(max=proposals.shape[2] - 1)[..., None].expand(*index.shape, self.action_size)
        picked = wide.gather(3, where)
        logged = batch.action[:, None, :, None].expand(-1, index.shape[1], -1, -1, -1)
        q = self.critic(batch.observation, batch.task, torch.cat([logged, picked], dim=3))
        return q[..., 0], lse, (q[..., 1:] * moves).mean(-1), proposal_q

    def draw_noise(self, batch: Batch) -> Noise:
        """Fresh noise: a replica's numbers depend on its own seed and count of updates alone."""
        settings, device = self.settings, batch.action.device
        B, A, K, E = batch.action.shape[1], self.action_size, settings.cql_samples, settings.critics
        third = 0 if settings.next_actions == "none" else K
        picks = settings.cql_picks if settings.cql_backward == "sampled" else 0
        draws = self.generators
        normal = torch.stack([torch.randn(B, 2 + K + third, A, generator=g, device=device) for g in draws])
        uniform = torch.stack([torch.rand(B, K, A, generator=g, device=device) for g in draws])
        pick = torch.stack([torch.rand(E, B, picks, generator=g, device=device) for g in draws])
        here, there = normal[:, :, 2 : 2 + K], normal[:, :, 2 + K :]
        return Noise(normal[:, :, 0], normal[:, :, 1], here, there, 2 * uniform - 1, pick)

    def act(self, observation: Tensor, task: Tensor) -> Tensor:
        """Deterministic actions [R, n, A] at observation [R, n, S] for task [R, n]."""
        return self.policy(observation, task)

    @torch.no_grad()
    def score(self, observation: Tensor, action: Tensor, task: int) -> Tensor:
        """The conservative value min_E Q_task(s, a) of the online critics: [n, S], [n, A] -> [R, n]."""
        shape = (len(self.generators), -1, -1)
        observation = self.scaling(observation).expand(*shape)
        tasks = torch.full(observation.shape[:2], task, device=observation.device)
        return self.critic(observation, tasks, action.expand(*shape)[:, :, None])[..., 0].amin(1)

    def state(self) -> State:
        """Everything that decides the next update, as named tensors."""
        state = {"log_temperature": self.log_temperature.detach(), "updates": torch.tensor(self.updates)}
        for name in ("actor", "critic", "target"):
            state |= base.module_state(name, getattr(self, name))
        for name, optimiser in self.optimisers.items():
            state |= optimiser.state(name)
        return state | {f"noise.{r}": g.get_state() for r, g in enumerate(self.generators)}

    @torch.no_grad()
    def load_state(self, state: State) -> None:
        """Continue from `state` exactly."""
        self.log_temperature.copy_(state["log_temperature"])
        self.updates = int(state["updates"])
        for name in ("actor", "critic", "target"):
            base.load_module_state(name, getattr(self, name), state)
        for name, optimiser in self.optimisers.items():
            optimiser.load_state(name, state)
        for r, generator in enumerate(self.generators):
            generator.set_state(state[f"noise.{r}"].cpu())
