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
from hcsac.algorithms.candidates import Candidate, candidates_of, clone_among, given_candidate
from hcsac.algorithms.registry import algorithm
from hcsac.errors import UserError
from hcsac.losses.choice import best_candidate, shared_earn_more, value_spread
from hcsac.losses.imitation import imitation_loss
from hcsac.losses.iql import advantage_weight
from hcsac.losses.one_step import improvement_loss, n_step_target
from hcsac.losses.sac import bellman_loss
from hcsac.losses.scale import mean_size_by_task
from hcsac.networks.actors import DeterministicActor
from hcsac.networks.critics import Critic
from hcsac.settings import AdvantageWeights, Critics, Settings, Sharing, TaskInput, setting
from hcsac.types import Batch, Draw, Info, Spec

LARGEST_WEIGHT = 20.0  # of one transition in imitation by advantage
MEASURED = 64  # minibatches that the spread of the values is measured on


@dataclass(frozen=True, repr=False)
class OneStepSettings(Sharing, TaskInput, AdvantageWeights, Critics, Settings, group="One-step improvement"):
    """The length of its parts, how far the actors may leave the data, and which of them acts."""

    n_step: int = setting(5, "rewards summed in the critics' targets", 1)
    critic_part: float = setting(0.5, "part of the updates that fit the critics of the behaviour", 0, 1)
    candidates: str = setting(
        "0.1:all,0.2:all,0.3:own,inf:own", "the policies that are trained for the choice of one: "
        "weights of imitation against values of size 1 (inf: imitation alone), each with the rows that its actors "
        "learn from: their task's own, all of D*, or good, which is all imitated by advantage", listed=True,
    )  # fmt: skip
    choose: Literal["given", "fqe", "behaviour-safe"] = setting(
        "fqe", "which candidate acts in a task: the one that is given, the one with the highest value by fitted Q "
        "evaluation, or that one only where it is surely better than imitation alone",
    )  # fmt: skip
    choice_margin: float = setting(
        0.02, "candidates whose estimated values are lower than the highest one by no more than so much of it are as "
        "good, and the first of them in the list acts", 0, 1,
    )  # fmt: skip
    candidate: str | None = setting(None, "the candidate that acts, with choose = given, as 0.1:own")
    narrow_spread: float = setting(
        0.25, "the logs of a task are narrow where the values of its logged actions have a standard deviation of less "
        "than so much of their mean size: no episode shows what leads to failure", 0,
    )  # fmt: skip
    narrow_weight: float = setting(
        0.2, "where the logs of a task are narrow, no candidate of a smaller imitation weight is chosen, and one that "
        "learns from all rows only where the rows of others earn more than the task's own", 0,
    )  # fmt: skip
    weighted_draws: Literal["actors", "all"] = setting(
        "actors", "which parts draw by start_weight and sparse_weight: the actors alone, or critics and judges, too"
    )
    judge_part: float = setting(0.2, "last part of the updates: fitted Q evaluation of the candidates", 0, 1)
    judges: int = setting(2, "critics of each candidate in fitted Q evaluation", 1)

    def require_consistent(self) -> None:
        """Raise a `UserError` where settings exclude each other."""
        candidates = candidates_of(self)
        if self.critics < 2:
            raise UserError("one_step takes the smaller one of two critics; give --critics 2 or more.")
        if self.judges > self.critics:
            raise UserError(f"judges = {self.judges} begin as so many of the {self.critics} critics; give fewer.")
        if self.critic_part + self.judge_part >= 1:
            raise UserError("critic_part and judge_part leave no updates to the actors; their sum must be below 1.")
        if (self.choose == "given") != (self.candidate is not None):
            raise UserError("candidate is for choose = 'given', which needs it; give both or neither.")
        given_candidate(self)
        if self.choose == "behaviour-safe" and clone_among(candidates) is None:
            raise UserError("choose = 'behaviour-safe' compares with imitation alone; add inf:own to candidates.")


@algorithm("one_step")
class OneStep(Algorithm):
    """One-step improvement: n-step SARSA critics of the logged behaviour, then actors that climb them (DDPG+BC)."""

    settings: OneStepSettings
    imitation_weight: Tensor  # [R C P]
    own_rows: Tensor  # [R C P] bool
    good_rows: Tensor  # [R C P] bool
    spread: Tensor  # [R, M], of the values of logged actions
    shared_pay: Tensor  # [R, M] bool, whether the rows of others earn more than a task's own
    settings_type = OneStepSettings
    value_metrics = frozenset({"q", "actor_q", "q_spread"})
    paper = "Brandfonbrener et al. 2021, arXiv 2106.08909; Fujimoto & Gu 2021, arXiv 2106.06860"
    presets = {
        "quick": {
            "candidates": "0.1:all,0.3:own", "judge_part": 0.15, "actors": 2, "disagreement_noise": 2.0,
            "policy_average": 0.999, "actor_decay": "cosine", "critic_decay": "linear", "critic_layer_norm": "all",
            "start_weight": 8.0, "sharing": "auto",
        },
        "best": {"critics": 5, "updates": 20_000},
    }  # fmt: skip
    Actor = DeterministicActor
    several_actors = True

    def build(self, spec: Spec, settings: OneStepSettings, weights: Sequence[torch.Generator]) -> None:
        sizes = spec.observation_size, spec.action_size, len(spec.tasks)
        total = settings.updates or 0
        judges = self.candidates > 1 and settings.choose != "given"
        self.fitted = round(settings.critic_part * total)  # updates until the critics are
        self.improved = total - round(settings.judge_part * total) if judges else total
        self.only_own = all(one.rows == "own" for one in candidates_of(settings))
        self.some_good = any(one.rows == "good" for one in candidates_of(settings))
        self.critic = Critic(*sizes, settings, weights)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.adam_critic = Adam(self.critic, settings.critic_learning_rate, settings.critic_decay, self.fitted)
        steps = self.improved - self.fitted
        self.adam_actor = Adam(self.actor, settings.actor_learning_rate, settings.actor_decay, steps)
        per_actor = [one for one in candidates_of(settings) for _ in range(settings.actors)] * len(weights)
        self.register_buffer("imitation_weight", torch.tensor([one.weight for one in per_actor]), persistent=False)
        self.register_buffer("own_rows", torch.tensor([one.rows == "own" for one in per_actor]), persistent=False)
        self.register_buffer("good_rows", torch.tensor([one.rows == "good" for one in per_actor]), persistent=False)
        if judges:
            of_all = [generator for generator in weights for _ in range(self.candidates)]
            self.judge = Critic(*sizes, settings.replace({"critics": settings.judges}), of_all)
            self.judge_target = copy.deepcopy(self.judge).requires_grad_(False)
            rate = settings.critic_learning_rate
            self.adam_judge = Adam(self.judge, rate, settings.critic_decay, total - self.improved)
            self.register_buffer("spread", torch.zeros(len(weights), len(spec.tasks)))
            self.register_buffer("shared_pay", torch.zeros(len(weights), len(spec.tasks), dtype=torch.bool))
        elif self.choice is not None:
            self.choice.fill_(given_candidate(settings) or 0)

    @classmethod
    def candidates_of(cls, settings: OneStepSettings) -> int:
        """C: as many as the setting names."""
        return len(candidates_of(settings))

    @classmethod
    def with_candidates(cls, settings: OneStepSettings, kept: Sequence[int]) -> OneStepSettings:
        """With these candidates alone."""
        candidates = candidates_of(settings)
        return settings.replace({"candidates": ",".join(str(candidates[c]) for c in kept)})

    def stage(self, update: int) -> str:
        """`critics`, `actors`, `spread` for the update that measures that of the values, then `judges`."""
        if update < self.fitted:
            return "critics"
        if update < self.improved:
            return "actors"
        return "spread" if update == self.improved else "judges"

    def draw(self, stage: str) -> Draw:
        """n-step transitions of D* for the critics, single ones for every actor and for the judges."""
        B = self.settings.batch_size
        if stage == "actors":
            return Draw(B * self.actors, own=self.only_own)
        if stage == "spread":
            return Draw(MEASURED * B, uniform=True)
        uniform = self.settings.weighted_draws == "actors"
        return Draw(B, self.settings.n_step if stage == "critics" else 0, uniform=uniform)

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
        if stage == "actors":
            return self.improve(batch, noise)
        return self.measure(batch) if stage == "spread" else self.evaluate(batch)

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
        rows = self.of_actors(batch)
        action = self.actor(rows.observation, rows.task)
        q = self.two_critics(rows, action, noise)
        weight = self.row_weight(rows)
        by_advantage = self.times_advantage(weight, rows, q.detach(), noise) if self.some_good else weight
        imitation = imitation_loss(action, rows.action, by_advantage)
        tasks = len(self.spec.tasks)
        loss = improvement_loss(q, rows.task, tasks, imitation, self.imitation_weight, weight)
        self.adam_actor.step(loss)
        return {
            "actor_loss": self.per_replica(loss),
            "actor_q": self.per_replica(q.mean(-1)),
            "imitation_loss": self.per_replica(imitation),
        }

    def row_weight(self, rows: Batch) -> Tensor | None:
        """How much each row counts for each actor, [R C P, B]; rows of other tasks nothing where it leaves them."""
        if self.only_own:
            return rows.weight
        assert rows.own is not None
        counts = (rows.own | ~self.own_rows[:, None]).float()
        return counts if rows.weight is None else counts * rows.weight

    @torch.no_grad()
    def times_advantage(self, weight: Tensor | None, rows: Batch, value: Tensor, noise: Tensor) -> Tensor:
        """How much each row is imitated, [R C P, B]; value [R C P, B] at the actors' own actions."""
        advantage = self.two_critics(rows, rows.action, noise) - value
        scale = mean_size_by_task(advantage, rows.task, len(self.spec.tasks), weight)
        good = advantage_weight(advantage, scale, self.settings.inverse_temperature, LARGEST_WEIGHT)
        factor = torch.where(self.good_rows[:, None], good, 1.0)
        return factor if weight is None else factor * weight

    @torch.no_grad()
    def measure(self, batch: Batch) -> Info:
        """How much the values of a task's own actions differ, and whether those of others pay; the judges begin."""
        assert batch.own is not None
        tasks = len(self.spec.tasks)
        value = self.critic(batch.observation, batch.task, batch.action[:, :, None])[..., 0].mean(1)
        self.spread.copy_(value_spread(value, batch.task, tasks, batch.own.float()))
        self.shared_pay.copy_(shared_earn_more(batch.reward, batch.task, batch.own, tasks))
        for part in (self.judge, self.judge_target):
            for own, critic in zip(part.parameters(), self.critic.parameters(), strict=True):
                own.copy_(critic[:, : self.settings.judges].repeat_interleave(self.candidates, 0))
        return {"value_spread": self.spread.mean(1)}

    def of_candidates(self, batch: Batch) -> Batch:
        """The same minibatch for every candidate: [R, B, ...] -> [R C, B, ...]."""
        return Batch(*(None if x is None else x.repeat_interleave(self.candidates, 0) for x in batch))  # type: ignore[arg-type]

    def evaluate(self, batch: Batch) -> Info:
        """Fitted Q evaluation of every candidate, on the same minibatches; it begins at the values of the behaviour."""
        rows = self.of_candidates(batch)
        with torch.no_grad():
            action = self.joint(self.acting, rows.next_observation, rows.task)
            next_q = self.judge_target(rows.next_observation, rows.task, action[:, :, None])[..., 0]
            target = n_step_target(rows.reward, rows.discount, next_q)
        q = self.judge(rows.observation, rows.task, rows.action[:, :, None])[..., 0]
        loss = bellman_loss(q, target, rows.weight)
        self.adam_judge.step(loss)
        polyak_update(self.judge_target, self.judge, self.settings.target_rate)
        return {"judge_loss": loss.detach().unflatten(0, (-1, self.candidates)).mean(1)}

    @torch.no_grad()
    def finish(self, start: Tensor, task: Tensor) -> list[str]:
        """Choose the candidate that acts in each task, by its values at logged first states [n, S], tasks [n]."""
        if self.choice is None or not hasattr(self, "judge"):
            return []
        R, M = self.choice.shape
        value = self.estimates(start, task)
        candidates = candidates_of(self.settings)
        clone = clone_among(candidates) if self.settings.choose == "behaviour-safe" else None
        allowed = self.careful(candidates) | ~self.narrow[..., None]  # [R, M, C]
        for m in range(M):
            self.choice[:, m] = best_candidate(value[..., task == m], clone, allowed[:, m], self.settings.choice_margin)
        return [self._reason(r, m, value[r, ..., task == m].mean((1, 2))) for r in range(R) for m in range(M)]

    def careful(self, candidates: Sequence[Candidate]) -> Tensor:
        """The candidates that may act where the logs of a task are narrow, [R, M, C] bool."""
        weight = torch.tensor([one.weight for one in candidates], device=self.spread.device)
        near = weight >= weight.max().clamp(max=self.settings.narrow_weight)
        own = torch.tensor([one.rows == "own" for one in candidates], device=self.spread.device)
        both = near & (own | self.shared_pay[..., None])
        return torch.where(both.any(-1, keepdim=True), both, near)

    @property
    def narrow(self) -> Tensor:
        """Whether the logs of a task are narrow, [R, M] bool."""
        return self.spread < self.settings.narrow_spread

    @torch.no_grad()
    def estimates(self, start: Tensor, task: Tensor) -> Tensor:
        """The judges' values of every candidate, [R, C, J, n], at states [n, S] of tasks [n]."""
        groups = len(self.seeds) * self.candidates
        observation, tasks = self.scaling(start).expand(groups, -1, -1), task.expand(groups, -1)
        action = self.joint(self.acting, observation, tasks)
        value: Tensor = self.judge(observation, tasks, action[:, :, None])[..., 0]
        return value.unflatten(0, (-1, self.candidates))

    def _reason(self, r: int, m: int, value: Tensor) -> str:
        """Which candidate acts in task m of replica r, and the values [C] that it was chosen by."""
        assert self.choice is not None
        names = [str(one) for one in candidates_of(self.settings)]
        known = ", ".join(f"{name} {self.reward_scale * v:.1f}" for name, v in zip(names, value.tolist(), strict=True))
        logs = "narrow logs" if self.narrow[r, m] else "logs"
        others = "more" if self.shared_pay[r, m] else "no more"
        return (
            f"{self.spec.tasks[m]}, seed {self.seeds[r]}: candidate {names[int(self.choice[r, m])]} acts; {logs} "
            f"(their values vary by {self.spread[r, m]:.0%}; shared transitions earn {others}), "
            f"estimated discounted returns: {known}"
        )

    def two_critics(self, rows: Batch, action: Tensor, noise: Tensor) -> Tensor:
        """The smaller value of two different critics, drawn by noise [R, 2], at [R C P, B, A] -> [R C P, B]."""
        E = self.settings.critics
        first = (noise[:, 0] * E).long()
        second = (first + 1 + (noise[:, 1] * (E - 1)).long()) % E
        pick = torch.stack([first, second], 1)  # [R, 2]
        replica = torch.arange(len(pick), device=pick.device)[:, None]
        weights = {name: weight.detach()[replica, pick] for name, weight in self.critic.named_parameters()}
        at = self.unfold(rows.observation), self.unfold(rows.task), self.unfold(action)[:, :, None]
        value: Tensor = functional_call(self.critic, weights, at)
        return self.fold(value[..., 0].amin(1))

    def score(self, observation: Tensor, action: Tensor, task: Tensor) -> Tensor:
        """min_E Q(s, a) of the behaviour's critics, by which sharing rules select."""
        return self.critic(observation, task, action[:, :, None])[..., 0].amin(1)
