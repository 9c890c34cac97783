"""One-step improvement: critics of the logged behaviour, then actors that climb them and stay near the data."""

from __future__ import annotations

import copy
import math
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
from hcsac.losses.choice import best_candidate
from hcsac.losses.imitation import imitation_loss
from hcsac.losses.one_step import improvement_loss, n_step_target
from hcsac.losses.sac import bellman_loss
from hcsac.networks.actors import DeterministicActor
from hcsac.networks.critics import Critic
from hcsac.settings import Critics, Settings, Sharing, TaskInput, setting
from hcsac.types import Batch, Draw, Info, Spec


@dataclass(frozen=True, repr=False)
class OneStepSettings(Sharing, TaskInput, Critics, Settings, group="One-step improvement"):
    """The length of its parts, how far the actors may leave the data, and which of them acts."""

    n_step: int = setting(5, "rewards summed in the critics' targets", 1)
    critic_part: float = setting(0.5, "part of the updates that fit the critics of the behaviour", 0, 1)
    imitation_weights: str = setting(
        "0.03,0.1,0.3,1,inf", "weights of imitation against values of size 1 (inf: imitation alone); a candidate is "
        "trained for each", listed=True,
    )  # fmt: skip
    actor_rows: Literal["own", "all"] = setting("own", "rows the actors learn from: their task's own or all of D*")
    choose: Literal["weight", "fqe", "behaviour-safe"] = setting(
        "fqe", "which candidate acts in a task: that of imitation_weight, the one with the highest value by fitted Q "
        "evaluation, or that one only where it is surely better than imitation alone",
    )  # fmt: skip
    imitation_weight: float | None = setting(None, "the weight whose candidate acts, with choose = weight", 0)
    judge_part: float = setting(0.2, "last part of the updates: fitted Q evaluation of the candidates", 0, 1)
    judges: int = setting(2, "critics of each candidate in fitted Q evaluation", 1)

    def require_consistent(self) -> None:
        """Raise a `UserError` where settings exclude each other."""
        weights = weights_of(self)
        if self.critics < 2:
            raise UserError("one_step takes the smaller one of two critics; give --critics 2 or more.")
        if self.judges > self.critics:
            raise UserError(f"judges = {self.judges} begin as so many of the {self.critics} critics; give fewer.")
        if self.critic_part + self.judge_part >= 1:
            raise UserError("critic_part and judge_part leave no updates to the actors; their sum must be below 1.")
        if (self.choose == "weight") != (self.imitation_weight is not None):
            raise UserError("imitation_weight is for choose = 'weight', which needs it; give both or neither.")
        if self.imitation_weight is not None and self.imitation_weight not in weights:
            raise UserError(
                f"setting imitation_weight = {self.imitation_weight:g} is none of imitation_weights = "
                f"{self.imitation_weights}; add it there."
            )
        if self.choose == "behaviour-safe" and math.inf not in weights:
            raise UserError("choose = 'behaviour-safe' compares with imitation alone; add inf to imitation_weights.")


def weights_of(settings: OneStepSettings) -> tuple[float, ...]:
    """The imitation weights, in the order in which they were given.

    Raises:
        UserError: they are no numbers, below 0, or given twice.
    """
    try:
        weights = tuple(float(word) for word in settings.imitation_weights.split(","))
    except ValueError:
        weights = ()
    if not weights or len(set(weights)) != len(weights) or not all(w >= 0 for w in weights):
        raise UserError(
            f"setting imitation_weights = {settings.imitation_weights!r} must be different numbers of at least 0, "
            "separated by commas, as 0.1,0.3,inf."
        )
    return weights


@algorithm("one_step")
class OneStep(Algorithm):
    """One-step improvement: n-step SARSA critics of the logged behaviour, then actors that climb them (DDPG+BC)."""

    settings: OneStepSettings
    imitation_weight: Tensor  # [R C P]
    settings_type = OneStepSettings
    paper = "Brandfonbrener et al. 2021, arXiv 2106.08909; Fujimoto & Gu 2021, arXiv 2106.06860"
    presets = {"best": {"critics": 5, "updates": 20_000}}
    Actor = DeterministicActor

    def build(self, spec: Spec, settings: OneStepSettings, weights: Sequence[torch.Generator]) -> None:
        sizes = spec.observation_size, spec.action_size, len(spec.tasks)
        total = settings.updates or 0
        judges = self.candidates > 1 and settings.choose != "weight"
        self.fitted = round(settings.critic_part * total)  # updates until the critics are
        self.improved = total - round(settings.judge_part * total) if judges else total
        self.critic = Critic(*sizes, settings, weights)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.adam_critic = Adam(self.critic, settings.critic_learning_rate, settings.critic_decay, self.fitted)
        steps = self.improved - self.fitted
        self.adam_actor = Adam(self.actor, settings.actor_learning_rate, settings.actor_decay, steps)
        of_candidate = torch.tensor(weights_of(settings)).repeat_interleave(settings.actors)
        self.register_buffer("imitation_weight", of_candidate.repeat(len(weights)), persistent=False)
        if judges:
            of_all = [generator for generator in weights for _ in range(self.candidates)]
            self.judge = Critic(*sizes, settings.replace({"critics": settings.judges}), of_all)
            self.judge_target = copy.deepcopy(self.judge).requires_grad_(False)
            rate = settings.critic_learning_rate
            self.adam_judge = Adam(self.judge, rate, settings.critic_decay, total - self.improved)
        elif self.choice is not None and settings.imitation_weight is not None:
            self.choice.fill_(weights_of(settings).index(settings.imitation_weight))

    @classmethod
    def candidates_of(cls, settings: OneStepSettings) -> int:
        """C: one for each imitation weight."""
        return len(weights_of(settings))

    @classmethod
    def with_candidates(cls, settings: OneStepSettings, kept: Sequence[int]) -> OneStepSettings:
        """With the imitation weights of these candidates."""
        words = settings.imitation_weights.split(",")
        return settings.replace({"imitation_weights": ",".join(words[candidate] for candidate in kept)})

    def stage(self, update: int) -> str:
        """`critics`, `actors`, `first judge` for the first update that evaluates the candidates, then `judges`."""
        if update < self.fitted:
            return "critics"
        if update < self.improved:
            return "actors"
        return "first judge" if update == self.improved else "judges"

    def draw(self, stage: str) -> Draw:
        """n-step transitions of D* for the critics, single ones for every actor and for the judges."""
        B = self.settings.batch_size
        if stage == "critics":
            return Draw(B, self.settings.n_step)
        return Draw(B * self.actors, own=self.settings.actor_rows == "own") if stage == "actors" else Draw(B)

    def moves_actor(self, stage: str) -> bool:
        """Only between the critics and the judges."""
        return stage == "actors"

    def noise(self, random: Random, batch_size: int) -> Tensor:
        """[R, 2] in [0, 1): which two critics value the actors' actions."""
        return random.uniform(2)

    def update(self, batch: Batch, noise: Tensor, stage: str) -> Info:
        """A step of the critics of the behaviour, of the actors that climb them, or of the candidates' judges."""
        if stage == "critics":
            return self.fit(batch)
        return self.improve(batch, noise) if stage == "actors" else self.evaluate(batch, stage == "first judge")

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

    def evaluate(self, batch: Batch, first: bool) -> Info:
        """Fitted Q evaluation of every candidate, on the same minibatches; it begins at the values of the behaviour."""
        C = self.candidates
        if first:
            with torch.no_grad():
                for part in (self.judge, self.judge_target):
                    for own, critic in zip(part.parameters(), self.critic.parameters(), strict=True):
                        own.copy_(critic[:, : self.settings.judges].repeat_interleave(C, 0))
        rows = Batch(*(None if x is None else x.repeat_interleave(C, 0) for x in batch))  # type: ignore[arg-type]
        with torch.no_grad():
            action = self.joint(self.acting, rows.next_observation, rows.task)
            next_q = self.judge_target(rows.next_observation, rows.task, action[:, :, None])[..., 0]
            target = n_step_target(rows.reward, rows.discount, next_q)
        q = self.judge(rows.observation, rows.task, rows.action[:, :, None])[..., 0]
        loss = bellman_loss(q, target, rows.weight)
        self.adam_judge.step(loss)
        polyak_update(self.judge_target, self.judge, self.settings.target_rate)
        return {"judge_loss": loss.detach().unflatten(0, (-1, C)).mean(1)}

    @torch.no_grad()
    def finish(self, start: Tensor, task: Tensor) -> list[str]:
        """Choose the candidate that acts in each task, by its values at logged first states [n, S], tasks [n]."""
        if self.choice is None or not hasattr(self, "judge"):
            return []
        (R, M), C = self.choice.shape, self.candidates
        observation = self.scaling(start).expand(R * C, -1, -1)
        tasks = task.expand(R * C, -1)
        action = self.joint(self.acting, observation, tasks)
        value = self.judge(observation, tasks, action[:, :, None])[..., 0].unflatten(0, (R, C))  # [R, C, J, n]
        clone = weights_of(self.settings).index(math.inf) if self.settings.choose == "behaviour-safe" else None
        for m in range(M):
            self.choice[:, m] = best_candidate(value[..., task == m], clone)
        return [self._reason(r, m, value[r, ..., task == m].mean((1, 2))) for r in range(R) for m in range(M)]

    def _reason(self, r: int, m: int, value: Tensor) -> str:
        """Which candidate acts in task m of replica r, and the values [C] that it was chosen by."""
        assert self.choice is not None
        weights = weights_of(self.settings)
        values = ", ".join(f"{weight:g}: {v:.1f}" for weight, v in zip(weights, value.tolist(), strict=True))
        chosen = weights[int(self.choice[r, m])]
        return (
            f"{self.spec.tasks[m]}, seed {self.seeds[r]}: imitation weight {chosen:g} acts; estimated discounted "
            f"returns by weight {values}"
        )

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
