"""One-step improvement: critics of the logged behaviour, then actors that climb them and stay near the data."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call

from hcsac.algorithms.adam import Adam
from hcsac.algorithms.algorithm import Algorithm, Random, polyak_update
from hcsac.algorithms.registry import algorithm
from hcsac.errors import UserError
from hcsac.losses.imitation import imitation_loss
from hcsac.losses.one_step import improvement_loss, n_step_target
from hcsac.losses.sac import bellman_loss
from hcsac.networks.actors import DeterministicActor
from hcsac.networks.critics import Critic
from hcsac.settings import Critics, Settings, Sharing, TaskInput, setting
from hcsac.types import Batch, Draw, Info, Spec


@dataclass(frozen=True, repr=False)
class OneStepSettings(Sharing, TaskInput, Critics, Settings, group="One-step improvement"):
    """Length of the two parts, and how far the actors may leave the data."""

    n_step: int = setting(5, "rewards summed in the critics' targets", 1)
    critic_part: float = setting(0.6, "part of the updates that fit the critics; the others improve the actors", 0, 1)
    imitation_weights: str = setting(
        "0.03,0.1,0.3,1", "weights of imitation against values of size 1; candidates are trained for all of them",
        listed=True,
    )  # fmt: skip
    imitation_weight: float | None = setting(
        None, "the weight whose candidate acts (default: the one that fitted Q evaluation chooses for each task)", 0
    )
    actor_rows: Literal["own", "all"] = setting("own", "rows the actors learn from: their task's own or all of D*")

    def require_consistent(self) -> None:
        """Raise a `UserError` where settings exclude each other."""
        if self.critics < 2:
            raise UserError("one_step takes the minimum of two critics; give --critics 2 or more.")
        weights_of(self)


def weights_of(settings: OneStepSettings) -> tuple[float, ...]:
    """The imitation weights, ascending as they were given.

    Raises:
        UserError: they are no numbers, below 0, or given twice.
    """
    words = settings.imitation_weights.split(",")
    try:
        weights = tuple(float(word) for word in words)
    except ValueError:
        weights = ()
    if not weights or len(set(weights)) != len(weights) or not all(0 <= w < float("inf") for w in weights):
        raise UserError(
            f"setting imitation_weights = {settings.imitation_weights!r} must be different numbers of at least 0, "
            "separated by commas, as 0.1,0.3."
        )
    if settings.imitation_weight is not None and settings.imitation_weight not in weights:
        raise UserError(
            f"setting imitation_weight = {settings.imitation_weight:g} is none of imitation_weights = "
            f"{settings.imitation_weights}; add it there."
        )
    return weights


@algorithm("one_step")
class OneStep(Algorithm):
    """One-step improvement: n-step SARSA critics of the logged behaviour, then actors that climb them (DDPG+BC)."""

    settings: OneStepSettings
    imitation_weight: Tensor  # [R C P]
    settings_type = OneStepSettings
    paper = "Brandfonbrener et al. 2021, arXiv 2106.08909; Fujimoto & Gu 2021, arXiv 2106.06860"
    Actor = DeterministicActor

    def build(self, spec: Spec, settings: OneStepSettings, weights: Sequence[torch.Generator]) -> None:
        self.critic = Critic(spec.observation_size, spec.action_size, len(spec.tasks), settings, weights)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        fits = round(settings.critic_part * (settings.updates or 0))
        steps = (settings.updates or 0) - fits
        self.adam_critic = Adam(self.critic, settings.critic_learning_rate, settings.critic_decay, fits)
        self.adam_actor = Adam(self.actor, settings.actor_learning_rate, settings.actor_decay, steps)
        self.fits = fits
        of_candidate = torch.tensor(weights_of(settings)).repeat_interleave(settings.actors)
        self.register_buffer("imitation_weight", of_candidate.repeat(len(weights)), persistent=False)

    @classmethod
    def candidates_of(cls, settings: OneStepSettings) -> int:
        """C: one for each imitation weight."""
        return len(weights_of(settings))

    def stage(self, update: int) -> str:
        """`critics` until they are fitted, then `actors`."""
        return "critics" if update < self.fits else "actors"

    def draw(self, stage: str) -> Draw:
        """n-step transitions of D* for the critics, single ones for every actor."""
        B = self.settings.batch_size
        if stage == "critics":
            return Draw(B, self.settings.n_step)
        return Draw(B * self.actors, own=self.settings.actor_rows == "own")

    def moves_actor(self, stage: str) -> bool:
        """Not while the critics are fitted."""
        return stage == "actors"

    def noise(self, random: Random, batch_size: int) -> Tensor:
        """[R, 2] in [0, 1): which two critics value the actors' actions."""
        return random.uniform(2)

    def update(self, batch: Batch, noise: Tensor, stage: str) -> Info:
        """A step of the critics towards the behaviour's value, or one of the actors against the fitted critics."""
        return self.fit(batch) if stage == "critics" else self.improve(batch, noise)

    def fit(self, batch: Batch) -> Info:
        """n-step SARSA with each critic's own target."""
        assert batch.next_action is not None
        with torch.no_grad():
            next_q = self.target(batch.next_observation, batch.task, batch.next_action[:, :, None])[..., 0]
            target = n_step_target(batch.reward, batch.discount, next_q)
        q = self.critic(batch.observation, batch.task, batch.action[:, :, None])[..., 0]
        loss = bellman_loss(q, target, batch.weight)
        self.adam_critic.step(loss)
        polyak_update(self.target, self.critic, self.settings.target_rate)
        spread = q.detach().std(1).mean(-1)
        return {"bellman_loss": loss.detach(), "q": q.detach().mean((1, 2)), "q_spread": spread}

    def improve(self, batch: Batch, noise: Tensor) -> Info:
        """Actors of all candidates: up the smaller of two random critics, back to the logged actions."""
        own = self.of_actors(batch)
        action = self.actor(own.observation, own.task)
        q = self.two_critics(self.unfold(own.observation), self.unfold(own.task), self.unfold(action), noise).amin(1)
        imitation = imitation_loss(action, own.action, own.weight)
        tasks = len(self.spec.tasks)
        loss = improvement_loss(self.fold(q), own.task, tasks, imitation, self.imitation_weight, own.weight)
        self.adam_actor.step(loss)
        return {
            "actor_loss": self.per_replica(loss),
            "actor_q": self.per_replica(self.fold(q).mean(-1)),
            "imitation_loss": self.per_replica(imitation),
        }

    def two_critics(self, observation: Tensor, task: Tensor, action: Tensor, noise: Tensor) -> Tensor:
        """Values [R, 2, n] of two different critics, drawn by noise [R, 2], at [R, n, S], [R, n], [R, n, A]."""
        E = self.settings.critics
        first = (noise[:, 0] * E).long()
        second = (first + 1 + (noise[:, 1] * (E - 1)).long()) % E
        pick = torch.stack([first, second], 1)  # [R, 2]
        replica = torch.arange(len(pick), device=pick.device)[:, None]
        weights = {name: weight.detach()[replica, pick] for name, weight in self.critic.named_parameters()}
        value: Tensor = functional_call(self.critic, weights, (observation, task, action[:, :, None]))
        return value[..., 0]

    def score(self, observation: Tensor, action: Tensor, task: Tensor) -> Tensor:
        """min_E Q(s, a) of the behaviour's critics, by which sharing rules select."""
        return self.critic(observation, task, action[:, :, None])[..., 0].amin(1)
