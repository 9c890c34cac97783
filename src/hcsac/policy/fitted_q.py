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
from hcsac.data.rewards import why_not_relabelled
from hcsac.data.scaling import observation_scaling
from hcsac.errors import UserError
from hcsac.evaluation import rank_correlation
from hcsac.losses.choice import best_candidate, lower_bound, value_spread
from hcsac.losses.one_step import n_step_target
from hcsac.losses.sac import bellman_loss
from hcsac.networks.critics import Critic
from hcsac.policy.policy import Policy
from hcsac.settings import RewardRule, check_fields, setting
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.pairs import SharedTasks
from hcsac.training.progress import Progress
from hcsac.types import Batch

CPU = torch.device("cpu")
SPREAD_ROWS = 20_000  # that the spread of the behaviour's values is measured on


@dataclass(frozen=True)
class FittedQSettings:
    """How the critics of the evaluation are fitted.

    Raises:
        UserError: a value of the wrong type or out of bounds.
    """

    behaviour_updates: int = setting(3000, "updates of the critics of the logged behaviour, where all others begin", 1)
    updates: int = setting(2000, "updates of the critics of each policy", 1)
    critics: int = setting(3, "critics of each policy", 1)
    n_step: int = setting(5, "rewards summed in the behaviour's targets", 1)
    batch_size: int = setting(256, "transitions in a minibatch", 1)
    hidden_size: int = setting(128, "units in each of the two hidden layers", 1)
    learning_rate: float = setting(1e-3, "Adam's learning rate, which falls to 0", 0)
    target_rate: float = setting(0.1, "Polyak rate of the targets", 0, 1)
    discount: float = setting(0.99, "discount factor gamma of one step", 0, 1)
    seed: int = setting(0, "seed of weights and minibatches", 0)

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def of_length(cls, updates: int | None) -> "FittedQSettings":
        """With so many updates for each policy, and 1.5 times as many for the behaviour; None for the defaults."""
        return cls() if updates is None else cls(behaviour_updates=updates + (updates + 1) // 2, updates=updates)


class FirstStateValues(NamedTuple):
    """Estimated discounted returns from the first states of n logged episodes, in the order of the dataset.

    Each is of the task that its episode was logged for (`dataset.task[dataset.episode_start[:-1]]`).
    """

    policies: np.ndarray  # [G, critics, n], of the G replicas of all policies
    behaviour: np.ndarray  # [critics, n], of the first logged actions, by n-step SARSA
    logged: np.ndarray  # [n], summed rewards; an episode that the clock ends goes on with the behaviour's value
    spread: np.ndarray  # [M], of the behaviour's values in each task (`value_spread`): small where logs are narrow


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
    """`policies` [G, critics, n] of `first_state_values`."""
    return first_state_values(policies, dataset, settings, progress).policies


def first_state_values(
    policies: Sequence[Policy], dataset: Dataset, settings: FittedQSettings | None = None, progress: bool = True
) -> FirstStateValues:
    """Values of policies at the logged first states, without a simulator (Le et al. 2019, arXiv 1903.08738).

    Critics of the logged behaviour are fitted first, by n-step SARSA on each task's own rows. From there the critics of
    every policy are fitted to y = r + gamma Q'(s', pi(s')), all on the same minibatches: where the rewards of all tasks
    can be recomputed, on all rows for every task, else on its own.

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
    return FirstStateValues(
        evaluation.at_first_states(), evaluation.of_first_actions(), evaluation.of_episodes(), evaluation.spread()
    )


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
        self.policies, self.settings, self.dataset = policies, settings, dataset
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
        """One update by n-step SARSA, on each task's own rows: the behaviour of others earns something else."""
        batch = self.active.sample(self.settings.batch_size, self.settings.n_step, own=True)
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
        return value[..., 0].numpy() * self.active.reward_scale

    def of_first_actions(self) -> np.ndarray:
        """The behaviour's values of the first logged actions, [critics, n]."""
        return self._behaviour_at(self.dataset.episode_start[:-1])

    def of_episodes(self) -> np.ndarray:
        """Discounted returns of the logged episodes, [n].

        The last row of an episode that the clock ends is worth what the behaviour's critics say (their mean): its
        return would go on.
        """
        dataset, last = self.dataset, self.dataset.episode_start[1:] - 1
        first = dataset.episode_start[:-1]
        reward = dataset.reward.astype(np.float64)
        reward[last] = np.where(dataset.terminated[last], reward[last], self._behaviour_at(last).mean(0))
        return np.add.reduceat(reward * self.settings.discount**dataset.step, first)

    def spread(self) -> np.ndarray:
        """How much the behaviour's values of logged actions differ within each task, [M]."""
        rows = np.arange(0, len(self.dataset), -(-len(self.dataset) // SPREAD_ROWS))
        value, task = self._behaviour_at(rows).mean(0), self.dataset.task[rows]
        spread = value_spread(torch.as_tensor(value)[None], torch.as_tensor(task)[None], self.dataset.num_tasks)
        return spread[0].numpy()

    @torch.no_grad()
    def _behaviour_at(self, rows: np.ndarray) -> np.ndarray:
        """[critics, n] of the logged actions of these rows [n], under their own tasks."""
        state = torch.as_tensor(self.dataset.observations[self.dataset.start_index[rows]])
        action, task = torch.as_tensor(self.dataset.action[rows]), torch.as_tensor(self.dataset.task[rows])
        value = self.behaviour.critic(self.scaling(state)[None], task[None], action[None, :, None])
        return value[0, ..., 0].numpy() * self.active.reward_scale

    def _actions(self, observation: Tensor, task: Tensor) -> Tensor:
        """Of all policies at the same states, in [-1, 1]: [n, S], [n] -> [G, n, A]."""
        actions = []
        for policy in self.policies:
            R = len(policy.seeds)
            actions.append(policy.act_all(observation.expand(R, -1, -1).numpy(), task.expand(R, -1).numpy()))
        return torch.as_tensor(self.dataset.action_bounds.inside(np.concatenate(actions)))

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


def _value_size(dataset: Dataset, discount: float) -> float:
    """About the size of values, which rewards are divided by: critics learn values of size 1 in the fewest updates."""
    steps = min(1 / max(1 - discount, 1e-9), len(dataset) / len(dataset.episode_return))
    return float(np.sqrt(np.square(dataset.reward, dtype=np.float64).mean())) * steps or 1.0


def _every_row_for_every_task(dataset: Dataset, settings: FittedQSettings) -> ActiveDataset:
    """D* of all rows under all tasks where their rewards can be recomputed, else D."""
    minibatches = generators([settings.seed], 2)
    rule: RewardRule = "recompute" if why_not_relabelled(dataset) is None else "keep"
    scale = _value_size(dataset, settings.discount)
    active = ActiveDataset(dataset, settings.discount, rule, minibatches, CPU, reward_scale=scale)
    if rule == "keep":
        return active
    rows = [dataset.rows_of(j) for j in range(dataset.num_tasks)]
    blocks = [(of_task[0], len(of_task), m) for m in range(len(rows)) for j, of_task in enumerate(rows) if j != m]
    active.set_shared([SharedTasks(*np.array(blocks, np.int64).reshape(-1, 3).T)])
    return active
