"""Fitted Q evaluation: what policies are worth, estimated from logged data alone."""

import copy
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hcsac.algorithms import Adam, Scaling, polyak_update
from hcsac.algorithms.algorithm import generators
from hcsac.data.dataset import Dataset
from hcsac.data.rewards import can_relabel
from hcsac.data.scaling import observation_scaling
from hcsac.errors import UserError
from hcsac.evaluation import rank_correlation
from hcsac.losses.choice import best_candidate, lower_bound
from hcsac.losses.one_step import n_step_target
from hcsac.losses.sac import bellman_loss
from hcsac.networks.critics import Critic
from hcsac.policy.policy import Policy
from hcsac.settings import check_fields, setting
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.selection import SharedPairs
from hcsac.training.progress import Progress
from hcsac.types import Batch

CPU = torch.device("cpu")


@dataclass(frozen=True)
class FittedQSettings:
    """How the critics of the evaluation are fitted.

    Raises:
        UserError: a value of the wrong type or out of bounds.
    """

    behaviour_updates: int = setting(5000, "updates of the critics of the logged behaviour, where all others begin", 1)
    updates: int = setting(2000, "updates of the critics of each policy", 1)
    critics: int = setting(3, "critics of each policy", 1)
    n_step: int = setting(5, "rewards summed in the behaviour's targets", 1)
    batch_size: int = setting(256, "transitions in a minibatch", 1)
    hidden_size: int = setting(256, "units in each of the two hidden layers", 1)
    learning_rate: float = setting(1e-3, "Adam's learning rate, which falls to 0", 0)
    target_rate: float = setting(0.005, "Polyak rate of the targets", 0, 1)
    discount: float = setting(0.99, "discount factor gamma of one step", 0, 1)
    seed: int = setting(0, "seed of weights and minibatches", 0)

    def __post_init__(self) -> None:
        check_fields(self)


class Choice(NamedTuple):
    """The estimates for one task, and what they recommend. Policies are counted over all seeds of all runs."""

    task: str
    value: np.ndarray  # [G], estimated discounted return from the logged first states
    low: np.ndarray | None  # [G], one-sided 95 % lower bound of the difference to the baseline; None without one
    best: int  # the policy with the highest value
    safe: int | None  # that one if its lower bound is above 0, else the baseline


def fitted_q_evaluation(
    policies: Sequence[Policy], dataset: Dataset, settings: FittedQSettings | None = None, progress: bool = True
) -> np.ndarray:
    """Values of policies at the logged first states, without a simulator (Le et al. 2019, arXiv 1903.08738).

    Critics of the logged behaviour are fitted first, by n-step SARSA. From there the critics of every policy are fitted
    to y = r + gamma Q'(s', pi(s')), all on the same minibatches. Rewards of all tasks are recomputed where they can be,
    so that every task is evaluated on all rows; else on its own.

    Returns:
        [G, critics, n]: of the G replicas of all policies, at the n first states, each under the task it was logged for
        (`dataset.task[dataset.episode_start[:-1]]`).

    Raises:
        UserError: a policy of other tasks or sizes than the data.
    """
    settings = settings or FittedQSettings()
    for policy in policies:
        if tuple(policy.tasks) != dataset.task_names or policy.observation_size != dataset.observation_size:
            raise UserError(
                f"a policy of {', '.join(policy.tasks)} cannot be evaluated on data of "
                f"{', '.join(dataset.task_names)}; give the data that it was trained on, in their order."
            )
    evaluation = _Evaluation(policies, dataset, settings)
    total = settings.behaviour_updates + settings.updates
    with closing(Progress(total, 0, "fitted Q evaluation", "updates", progress)) as shown:
        for _ in range(settings.behaviour_updates):
            evaluation.fit_behaviour()
            shown.advance(1)
        evaluation.begin()
        for _ in range(settings.updates):
            evaluation.fit_policies()
            shown.advance(1)
    return evaluation.at_first_states()


def choose(value: np.ndarray, dataset: Dataset, baseline: int | None = None) -> list[Choice]:
    """What fitted Q evaluation recommends for each task.

    Args:
        value: [G, critics, n] of `fitted_q_evaluation`.
        baseline: index of a cloned policy among the G, which only a surely better one replaces.
    """
    of_start = dataset.task[dataset.episode_start[:-1]]
    chosen = []
    for m, task in enumerate(dataset.task_names):
        own = torch.as_tensor(value[:, :, of_start == m])[None]  # [1, G, J, n]
        low = None if baseline is None else lower_bound(own[0] - own[0, baseline]).numpy()
        safe = None if baseline is None else int(best_candidate(own, baseline))
        chosen.append(Choice(task, own[0].mean((1, 2)).numpy(), low, int(best_candidate(own)), safe))
    return chosen


def choice_table(choice: Choice, labels: Sequence[str], returns: np.ndarray | None = None) -> str:
    """The estimates of one task as text, best first, and the recommendation.

    Args:
        labels: names of the G policies.
        returns: mean returns [G] in the simulator, where it was asked: the rank correlation with them and the regret
            of the choice (highest return minus that of the choice) are added.
    """
    width = max(map(len, labels))
    bound = "" if choice.low is None else f" {'above baseline':>15}"
    true = "" if returns is None else f" {'return':>8}"
    lines = [f"{choice.task}", f"  {'policy':<{width}} {'estimate':>9}{bound}{true}"]
    for g in np.argsort(-choice.value):
        low = "" if choice.low is None else f" {choice.low[g]:>+15.2f}"
        own = "" if returns is None else f" {returns[g]:>8.1f}"
        lines.append(f"  {labels[g]:<{width}} {choice.value[g]:>9.2f}{low}{own}")
    lines.append(f"  highest estimate: {labels[choice.best]}")
    if choice.safe is not None:
        why = "surely better than the baseline" if choice.safe == choice.best else "no other is surely better"
        lines.append(f"  behaviour-safe:   {labels[choice.safe]} ({why}: lower 95 % bound of the paired difference)")
    if returns is not None:
        if not np.isnan(agreement := rank_correlation(choice.value, returns)):
            lines.append(f"  rank correlation of estimates and returns: {agreement:.2f}")
        chosen = [("highest estimate", choice.best)] + ([] if choice.safe is None else [("safe", choice.safe)])
        regrets = ", ".join(f"{name} {returns.max() - returns[g]:.1f}" for name, g in chosen)
        lines.append(f"  regret: {regrets}; a random choice {returns.max() - returns.mean():.1f}")
    return "\n".join(lines)


class _Evaluation:
    """The critics and the data they are fitted to."""

    def __init__(self, policies: Sequence[Policy], dataset: Dataset, settings: FittedQSettings):
        self.policies, self.settings, self.bounds = policies, settings, dataset.action_bounds
        self.active = _every_row_for_every_task(dataset, settings)
        mean, scale = (torch.tensor(part, dtype=torch.float32) for part in observation_scaling(dataset))
        self.scaling = Scaling(mean, scale)
        network = SimpleNamespace(
            critics=settings.critics, hidden_size=settings.hidden_size, hidden_layers=2, embedding="onehot",
            critic_layer_norm="all", precision="float32",
        )  # fmt: skip
        sizes = dataset.observation_size, dataset.action_size, dataset.num_tasks
        self.count = sum(len(policy.seeds) for policy in policies)
        self.behaviour = _Critics(Critic(*sizes, network, generators([settings.seed], 0)), settings, first=True)
        of_all = generators([settings.seed], 0) * self.count
        self.critics = _Critics(Critic(*sizes, network, of_all), settings, first=False)

    def fit_behaviour(self) -> None:
        """One update by n-step SARSA."""
        batch = self.active.sample(self.settings.batch_size, self.settings.n_step)
        assert batch.next_action is not None
        self.behaviour.step(self._scaled(batch), batch.next_action)

    def begin(self) -> None:
        """The critics of all policies begin at those of the behaviour."""
        self.critics.copy_from(self.behaviour)

    def fit_policies(self) -> None:
        """One update of the critics of all policies on the same minibatch."""
        batch = self.active.sample(self.settings.batch_size)
        action = self._actions(batch.next_observation[0], batch.task[0])
        batch = self._scaled(batch)
        every = Batch(*(None if x is None else x.expand(self.count, *x.shape[1:]) for x in batch))  # type: ignore[arg-type]
        self.critics.step(every, action)

    @torch.no_grad()
    def at_first_states(self) -> np.ndarray:
        """[G, critics, n]."""
        state, task = self.active.first_states()
        action = self._actions(state, task)
        observation = self.scaling(state).expand(self.count, -1, -1)
        value = self.critics.critic(observation, task.expand(self.count, -1), action[:, :, None])
        return value[..., 0].numpy()

    def _actions(self, observation: Tensor, task: Tensor) -> Tensor:
        """Of all policies at the same states, in [-1, 1]: [n, S], [n] -> [G, n, A]."""
        actions = []
        for policy in self.policies:
            R = len(policy.seeds)
            actions.append(policy.act_all(observation.expand(R, -1, -1).numpy(), task.expand(R, -1).numpy()))
        return torch.as_tensor(self.bounds.inside(np.concatenate(actions)))

    def _scaled(self, batch: Batch) -> Batch:
        return batch._replace(
            observation=self.scaling(batch.observation), next_observation=self.scaling(batch.next_observation)
        )


class _Critics:
    """Critics, their targets and their optimiser."""

    def __init__(self, critic: Critic, settings: FittedQSettings, first: bool):
        self.critic, self.rate = critic, settings.target_rate
        self.target = copy.deepcopy(critic).requires_grad_(False)
        total = settings.behaviour_updates if first else settings.updates
        self.adam = Adam(critic, settings.learning_rate, "linear", total)

    def copy_from(self, other: "_Critics") -> None:
        with torch.no_grad():
            for part, source in ((self.critic, other.critic), (self.target, other.critic)):
                for own, weight in zip(part.parameters(), source.parameters(), strict=True):
                    own.copy_(weight.expand_as(own))

    def step(self, batch: Batch, next_action: Tensor) -> None:
        with torch.no_grad():
            next_q = self.target(batch.next_observation, batch.task, next_action[:, :, None])[..., 0]
            target = n_step_target(batch.reward, batch.discount, next_q)
        q = self.critic(batch.observation, batch.task, batch.action[:, :, None])[..., 0]
        self.adam.step(bellman_loss(q, target))
        polyak_update(self.target, self.critic, self.rate)


def _every_row_for_every_task(dataset: Dataset, settings: FittedQSettings) -> ActiveDataset:
    """D* of all rows under all tasks where their rewards can be recomputed, else D."""
    minibatches = generators([settings.seed], 2)
    if not can_relabel(dataset):
        return ActiveDataset(dataset, settings.discount, "keep", minibatches, CPU)
    active = ActiveDataset(dataset, settings.discount, "recompute", minibatches, CPU)
    foreign = [np.flatnonzero(dataset.task != m) for m in range(dataset.num_tasks)]
    tasks = np.repeat(np.arange(dataset.num_tasks, dtype=np.int16), [len(rows) for rows in foreign])
    active.set_shared([SharedPairs(np.concatenate(foreign), tasks)])
    return active
