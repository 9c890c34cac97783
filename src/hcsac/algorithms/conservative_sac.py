"""CSAC, MTCSAC and HCSAC: one class. CSAC sees one task, MTCSAC adds the task embedding, HCSAC the sharing rule."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from hcsac.algorithms.adam import Adam
from hcsac.algorithms.algorithm import Algorithm, Random, polyak_update
from hcsac.algorithms.registry import algorithm
from hcsac.errors import UserError
from hcsac.losses.cql import conservative_loss, log_sum_exp, softmax_pick, uniform_log_density
from hcsac.losses.imitation import imitation_loss
from hcsac.losses.sac import actor_loss, bellman_loss, regularised_actor_loss, td_target, temperature_loss
from hcsac.networks.actors import GaussianActor, squashed_sample
from hcsac.networks.critics import Critic
from hcsac.settings import Critics, Fields, Settings, Settling, Sharing, TaskInput, setting, sharing_names
from hcsac.types import Batch, Info, Spec

NextActions = Literal["none", "target_at_next", "online_at_state", "online_at_next"]


@dataclass(frozen=True, repr=False)
class SoftActorCritic(Settling, Critics, group="Soft actor-critic"):
    """Entropy, and imitation beside the values."""

    backup_entropy: bool = setting(True, "keep the entropy term in the TD target")
    target_pessimism: Literal["min", "lcb"] | None = setting(
        None,
        "the TD target's value over the critics: minimum or lower confidence bound; default: what the sharing rule "
        "implies, else min",
        resolved="min",
    )
    lcb_weight: float = setting(1.0, "weight beta of the lower confidence bound mean - beta std", 0)
    initial_temperature: float = setting(1.0, "temperature at the first update", 1e-8)
    target_entropy: float | None = setting(None, "entropy the temperature aims at (default: minus the action size)")
    bc_weight: float = setting(
        0.0, "weight of the behaviour cloning term in the actor's loss, against Q scaled to size 1 (TD3+BC)", 0
    )
    bc_warmup: int = setting(0, "first updates in which the actor only imitates the data", 0)


@dataclass(frozen=True, repr=False)
class Conservative(Fields, group="Conservative term"):
    """The regulariser of conservative Q-learning."""

    cql_weight: float = setting(5.0, "weight w of MSE + w CQL (twice the slides' alpha)", 0)
    cql_samples: int = setting(10, "actions from each proposal of the log-sum-exp (K)", 1)
    next_actions: NextActions = setting("none", "a third proposal, pi at s': valued where and by whom")
    cql_backward: Literal["all", "sampled"] = setting("all", "proposals that the log-sum-exp's gradient passes through")
    cql_picks: int = setting(2, "proposals drawn for it per state and critic, when sampled", 1)


@dataclass(frozen=True, repr=False)
class CSACSettings(Conservative, SoftActorCritic, Settings):
    """Those of the conservative agents; no task enters the networks, nothing is shared."""

    def require_consistent(self) -> None:
        """Raise a `UserError` where settings exclude each other."""
        if self.cql_backward == "sampled" and self.next_actions == "online_at_next":
            raise UserError(
                "cql_backward = 'sampled' picks among actions at s; with next_actions = 'online_at_next' use 'all'."
            )
        if self.target_pessimism == "lcb" and self.critics < 2:
            raise UserError("target_pessimism = 'lcb' needs the spread of at least 2 critics, not 1; add --critics 5.")


@dataclass(frozen=True, repr=False)
class MTCSACSettings(TaskInput, CSACSettings):
    """With the task embedding."""


@dataclass(frozen=True, repr=False)
class HCSACSettings(Sharing, MTCSACSettings):
    """With the task embedding and the sharing rule."""

    sharing: str = setting("quantile", "rule that selects transitions of other tasks", choices=sharing_names)
    cql_rows: Literal["all", "own"] = setting(
        "all", "transitions that count as data in the conservative term: shared ones, too, or a task's own alone"
    )


class Noise(NamedTuple):
    """The random numbers of one update, drawn from each replica's own generator."""

    actor: Tensor  # [R, P B, A] normal: the actions of the actor and temperature losses
    target: Tensor  # [R, B, A] normal: the next action of the TD target
    here: Tensor  # [R, B, K, A] normal: policy samples at s for the log-sum-exp
    next: Tensor  # [R, B, K, A] normal: policy samples at s', where `next_actions` asks for them
    uniform: Tensor  # [R, B, K, A] in [-1, 1]
    pick: Tensor  # [R, E, B, picks] in [0, 1): which proposals carry the gradient, where it is sampled


class ConservativeSAC(Algorithm):
    """Soft actor-critic with the conservative term of CQL, for R replicas, E critics and M tasks at once."""

    settings: CSACSettings
    Actor = GaussianActor
    value_metrics = frozenset({"q", "q_uniform", "target"})
    several_actors = True

    def build(self, spec: Spec, settings: CSACSettings, weights: Sequence[torch.Generator]) -> None:
        self.critic = Critic(spec.observation_size, spec.action_size, len(spec.tasks), settings, weights)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.own_rows = isinstance(settings, HCSACSettings) and settings.cql_rows == "own"
        self.log_temperature = nn.Parameter(torch.full((len(weights),), settings.initial_temperature).log())
        self.target_entropy = -float(spec.action_size) if settings.target_entropy is None else settings.target_entropy
        pace = settings.actor_learning_rate, settings.actor_decay, settings.updates
        self.adam_temperature = Adam([self.log_temperature], *pace)
        self.adam_actor = Adam(self.actor, *pace)
        self.adam_critic = Adam(self.critic, settings.critic_learning_rate, settings.critic_decay, settings.updates)

    def stage(self, update: int) -> tuple[bool, bool]:
        """Whether the actor still imitates the data only, and whether the critics move."""
        return update < self.settings.bc_warmup, not self.frozen(update)

    def update(self, batch: Batch, noise: Noise, stage: tuple[bool, bool]) -> Info:
        """Temperature, actor, critic, targets, in this order; each sees what the one before has changed.

        The one exception saves a pass: the policy samples at s of the critic's log-sum-exp come from the actor as
        it was when the update began.
        """
        warming_up, fits = stage
        own = self.of_actors(batch)
        mean, log_std = self.actor(own.observation, own.task)
        action, log_prob = squashed_sample(mean, log_std, self.fold(noise.actor))

        if not warming_up:
            temperature_objective = temperature_loss(self.log_temperature, self.unfold(log_prob), self.target_entropy)
            self.adam_temperature.step(temperature_objective)
        temperature = self.log_temperature.detach().exp()

        if warming_up:
            actor_objective = imitation_loss(action, own.action, own.weight)
        else:
            q = self.critic(batch.observation, batch.task, self.unfold(action)[:, :, None])[..., 0]
            q = self.fold(q.transpose(1, 2)).transpose(1, 2)  # [R P, E, B]
            actor_objective = actor_loss(temperature.repeat_interleave(self.actors), log_prob, q, own.weight)
            if self.settings.bc_weight > 0:
                imitation = imitation_loss(action, own.action, own.weight)
                actor_objective = regularised_actor_loss(actor_objective, q, imitation, self.settings.bc_weight)
        self.adam_actor.step(actor_objective)
        info = {
            "actor_loss": self.per_replica(actor_objective),
            "temperature": temperature,
            "entropy": -self.per_replica(log_prob.mean(-1)),
        }
        if not fits:
            return info

        rows, mean, log_std = self.of_critics(batch), self.one_of_each(mean), self.one_of_each(log_std)
        target = self.target_values(rows, temperature, noise)
        proposals, log_density, fixed_q = self.proposals(rows, mean.detach(), log_std.detach(), noise)
        critic_objective, of_critics = self.critic_loss(rows, target, proposals, log_density, fixed_q, noise.pick)
        self.adam_critic.step(critic_objective)

        polyak_update(self.target, self.critic, self.settings.target_rate)
        return of_critics | info | {"target": target.mean(-1)}

    def one_actor(self, observation: Tensor, task: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log std [R, B, A] at rows of the critics, each by the actor whose minibatch the row is of."""
        P = self.actors
        mean, log_std = self.actor(observation.repeat_interleave(P, 0), task.repeat_interleave(P, 0))
        return self.one_of_each(mean), self.one_of_each(log_std)

    @torch.no_grad()
    def target_values(self, batch: Batch, temperature: Tensor, noise: Noise) -> Tensor:
        """y [R, B]: the soft Bellman target with a' ~ pi(.|s') and the target critics."""
        next_state = (batch.next_observation, batch.task)
        mean, log_std = self.one_actor(*next_state)
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
        flat = torch.full_like(here_density, uniform_log_density(self.spec.action_size))
        actions, density = [noise.uniform, here], [flat, here_density]
        fixed_q = None
        where = self.settings.next_actions
        if where != "none":
            next_state = (batch.next_observation, batch.task)
            next_mean, next_log_std = self.one_actor(*next_state)
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
        weight = own_weight(batch) if self.own_rows else batch.weight
        info = {
            "bellman_loss": bellman.detach(),
            "conservative_loss": conservative_loss(lse, data_q, weight).detach(),
            "q": data_q.detach().mean((1, 2)),
            "q_uniform": proposal_q[..., :K].detach().mean((1, 2, 3)),
        }
        return bellman + self.settings.cql_weight * conservative_loss(pull, data_q, weight), info

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
        where = index.clamp(max=proposals.shape[2] - 1)[..., None].expand(*index.shape, self.spec.action_size)
        picked = wide.gather(3, where)
        logged = batch.action[:, None, :, None].expand(-1, index.shape[1], -1, -1, -1)
        q = self.critic(batch.observation, batch.task, torch.cat([logged, picked], dim=3))
        return q[..., 0], lse, (q[..., 1:] * moves).mean(-1), proposal_q

    def noise(self, random: Random, batch_size: int) -> Noise:
        """Fresh noise: a replica's numbers depend on its own seed and count of updates alone."""
        settings = self.settings
        P, A, K = self.actors, self.spec.action_size, settings.cql_samples
        B = batch_size // P
        third = 0 if settings.next_actions == "none" else K
        picks = settings.cql_picks if settings.cql_backward == "sampled" else 0
        normal = random.normal(B, P + 1 + K + third, A)
        uniform = random.uniform(B, K, A)
        pick = random.uniform(settings.critics, B, picks)
        actor, target, here, there = normal.split([P, 1, K, third], dim=2)
        return Noise(actor.transpose(1, 2).flatten(1, 2), target[:, :, 0], here, there, 2 * uniform - 1, pick)

    def score(self, observation: Tensor, action: Tensor, task: Tensor) -> Tensor:
        """The conservative value min_E Q(s, a) of the online critics."""
        return self.critic(observation, task, action[:, :, None])[..., 0].amin(1)


def own_weight(batch: Batch) -> Tensor:
    """The weights of a task's own rows, and 0 for those of others, [R, B]."""
    assert batch.own is not None
    own = batch.own.float()
    return own if batch.weight is None else own * batch.weight


# The preset `quick` has shown what keeps these agents on their feet; `best` adds what steadies every policy.
STEADY = {
    "target_rate": 0.02,
    "backup_entropy": False,
    "initial_temperature": 0.1,
    "bc_warmup": 1500,
    "bc_weight": 5.0,
    "cql_samples": 4,
    "cql_backward": "sampled",
    "critic_layer_norm": "none",
    "critic_freeze": 0.1,
}
SMALL = {"hidden_size": 256, "batch_size": 256}  # the paper's authors leave BC and CSAC at this size


@algorithm("csac")
class CSAC(ConservativeSAC):
    """Conservative soft actor-critic on one task."""

    settings_type = CSACSettings
    presets = {"paper": SMALL, "best": STEADY}
    multi_task = False


@algorithm("mtcsac")
class MTCSAC(ConservativeSAC):
    """CSAC for all tasks at once: the task enters the state."""

    settings_type = MTCSACSettings
    presets = {"best": STEADY}


@algorithm("hcsac")
class HCSAC(ConservativeSAC):
    """MTCSAC in which tasks learn from each other's transitions, chosen by value (or another sharing rule)."""

    settings_type = HCSACSettings
    presets = {"best": STEADY | {"sharing": "quantile"}}
