"""The active dataset D*: an index over the transitions of D, and the sampler that turns it into minibatches."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from hcsac.data.dataset import Dataset
from hcsac.settings import RewardRule
from hcsac.sharing.drawing import Edges, draw_between, edges
from hcsac.sharing.ends import end_table
from hcsac.sharing.n_step import discounted_sum, n_steps
from hcsac.sharing.pairs import Blocks, Pairs, SharedPairs, SharedTasks, restored
from hcsac.sharing.reward_table import RewardsAsDrawn, reward_table
from hcsac.sharing.stratified import Strata, draw_from_strata, strata
from hcsac.types import Batch


class ActiveDataset:
    """D on the training device and, per replica, the pairs shared on top of it. Rows are never copied.

    On a CPU these are the dataset's own arrays, which may be memory-mapped files.

    Args:
        rule: the reward of shared transitions (`reward_table`).
        generators: one per replica, on the device; each replica draws its own minibatches.
        own_fraction: None to draw uniformly over D*. Otherwise each task has the part of a minibatch that its own
            transitions are of D, whatever is shared with it. This fraction of the part is drawn from its own
            transitions, the rest from those shared with it (all of it from its own where none are).
        weighted: whether batches carry weights.
        reward_scale: what the rewards of minibatches are divided by.
        row_weight: [N] how often each row is drawn, relative to the others (`drawing.row_weights`); None for all
            alike. A shared pair has the weight of its row. With `own_fraction` they count within each part.

    Raises:
        UserError: rewards that the rule needs cannot be recomputed, or a task's function `terminated` fails.
    """

    def __init__(
        self,
        dataset: Dataset,
        discount: float,
        rule: RewardRule,
        generators: Sequence[torch.Generator],
        device: torch.device,
        own_fraction: float | None = None,
        weighted: bool = False,
        row_weight: np.ndarray | None = None,
        reward_scale: float = 1.0,
    ):
        def put(array: np.ndarray) -> Tensor:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # they are read-only, and nothing here writes
                return torch.from_numpy(array).to(device)

        self.observations = put(dataset.observations)
        self.start_index = put(dataset.start_index)
        self.action = put(dataset.action)
        self.terminated = put(end_table(dataset))
        self.task = put(dataset.task)
        self.left = put(dataset.rows_left)
        self.discount = discount
        as_drawn = RewardsAsDrawn.serves(dataset, rule, device)
        self.reward = RewardsAsDrawn(dataset, rule) if as_drawn else put(reward_table(dataset, rule))
        self.reward_scale = reward_scale
        self.generators = list(generators)
        self.own_fraction = own_fraction
        self.own_rows = np.bincount(dataset.task, minlength=dataset.num_tasks)
        self.weighted = weighted
        self.row_weight = row_weight
        self.own_edge = None if row_weight is None else Edges(put(edges(row_weight)))
        self.changes = 0  # how often the shared pairs have changed
        nothing = SharedPairs(np.empty(0, np.int64), np.empty(0, np.int16))
        self.set_shared([nothing for _ in generators])

    def set_shared(self, shared: Sequence[SharedPairs | SharedTasks]) -> None:
        """Replace the shared pairs of every replica: each sharing step starts again from D."""
        self._set([of_replica.on(self.task.device) for of_replica in shared])

    def _set(self, shared: list[Pairs | Blocks]) -> None:
        self.changes += 1
        self.shared, self.counts = shared, [pairs.length for pairs in shared]
        if self.own_fraction is not None:
            self.strata = [self._strata(pairs, self.own_fraction) for pairs in shared]
        self.edge = [self._edge(pairs) for pairs in shared]

    def _strata(self, pairs: Pairs | Blocks, own_fraction: float) -> Strata:
        return strata(self.own_rows, pairs.of_tasks(len(self.own_rows)), own_fraction, self.task.device)

    def _edge(self, pairs: Pairs | Blocks) -> Edges | None:
        """Cumulative weights of D followed by the shared pairs; D's own where nothing is shared."""
        if self.row_weight is None or self.own_edge is None or pairs.length == 0:
            return self.own_edge
        return pairs.edges(self.own_edge, self.row_weight)

    def sample(self, batch_size: int, n: int = 0, own: bool = False, uniform: bool = False) -> Batch:
        """One minibatch per replica, drawn with replacement from its D*.

        Args:
            n: 0 for single transitions; otherwise sums of up to n rewards and the logged action after them.
            own: draw from D alone, without the shared pairs.
            uniform: draw all rows alike, whatever their `row_weight`.
        """
        draws = [self._draw(r, batch_size, own, uniform) for r in range(len(self.generators))]
        row = torch.stack([draw.row for draw in draws])
        task = torch.stack([draw.task for draw in draws])
        weight = torch.stack([draw.weight for draw in draws if draw.weight is not None]) if self.weighted else None
        if n:
            return self._n_step_batch(row, task, weight, n)
        start = self.start_index[row]
        return Batch(
            observation=self.observations[start],
            action=self.action[row],
            reward=self.reward[row, task] / self.reward_scale,
            next_observation=self.observations[start + 1],
            discount=self.discount * (~self.terminated[row, task]).float(),
            task=task,
            weight=weight,
            own=self.task[row] == task,
        )

    def _n_step_batch(self, row: Tensor, task: Tensor, weight: Tensor | None, n: int) -> Batch:
        steps = n_steps(row, task, self.left, self.terminated, n)
        start = self.start_index[steps.row]
        reward = self.reward[steps.inside, task[..., None]] / self.reward_scale
        return Batch(
            observation=self.observations[start],
            action=self.action[steps.row],
            reward=discounted_sum(reward, steps.length, self.discount),
            next_observation=self.observations[start + steps.length],
            discount=self.discount**steps.length * (~steps.ends).float(),
            task=task,
            weight=weight,
            next_action=self.action[steps.next_row],
            own=self.task[row] == task,
        )

    def chunks(self, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Observation [n, S] and action [n, A] of every transition of D in order, n <= `rows` at a time."""
        for start, action in zip(torch.split(self.start_index, rows), torch.split(self.action, rows), strict=True):
            yield self.observations[start], action

    def first_states(self) -> tuple[Tensor, Tensor]:
        """First observations [episodes, S] of all episodes of D, and their tasks [episodes]."""
        first = torch.ones_like(self.task, dtype=torch.bool)
        first[1:] = self.left[:-1] == 0
        return self.observations[self.start_index[first]], self.task[first]

    @property
    def largest_reward(self) -> float:
        """The largest size of a reward for any task."""
        if isinstance(self.reward, RewardsAsDrawn):
            return self.reward.largest
        table = self.reward if self.reward.stride(1) else self.reward[:, :1]  # all tasks alike
        return max(part.abs().max().item() for part in table.split(1_000_000))

    def mean_reward(self, row: np.ndarray, task: int) -> float:
        """Mean reward assigned to these transitions [n] for that task; NaN for none."""
        return self.reward[torch.as_tensor(row, device=self.task.device), task].double().mean().item()

    def _draw(self, replica: int, batch_size: int, own_only: bool, uniform: bool) -> Pairs:
        own = len(self.task)
        shared = self.shared[replica]
        pick = self._pick(replica, batch_size, own_only, uniform)  # places in D followed by the shared pairs
        one = torch.ones(batch_size, device=self.task.device) if self.weighted else None
        if self.counts[replica] == 0:
            return Pairs(pick, self.task[pick], one)
        is_shared = pick >= own
        pairs = shared.at((pick - own).clamp(min=0))
        rows = torch.where(is_shared, pairs.row, pick)
        tasks = torch.where(is_shared, pairs.task, self.task[rows])
        if one is not None and pairs.weight is not None:
            one = torch.where(is_shared, pairs.weight, one)
        return Pairs(rows, tasks, one)

    def _pick(self, replica: int, batch_size: int, own_only: bool, uniform: bool) -> Tensor:
        generator, device = self.generators[replica], self.task.device
        edge = None if uniform else self.own_edge if own_only else self.edge[replica]
        if self.own_fraction is not None and not own_only:
            return draw_from_strata(self.strata[replica], batch_size, generator, edge)
        if edge is None:
            count = len(self.task) + (0 if own_only else self.counts[replica])
            return torch.randint(count, (batch_size,), generator=generator, device=device)
        return draw_between(edge, edge.edge[0], edge.total, batch_size, generator)

    def state(self) -> dict[str, Tensor]:
        """The index and the generators, for a checkpoint; the keys are those of format 1."""
        state: dict[str, Tensor] = {}
        for r, pairs in enumerate(self.shared):
            state |= {f"borrowed.{r}.{name}": tensor for name, tensor in pairs.state().items()}
            state[f"sampler.{r}"] = self.generators[r].get_state()
        return state

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from `state` exactly."""
        starts = [f"borrowed.{r}." for r in range(len(self.generators))]
        saved = [{k.removeprefix(start): v for k, v in state.items() if k.startswith(start)} for start in starts]
        self._set([restored(of_replica, self.task.device) for of_replica in saved])
        for r, generator in enumerate(self.generators):
            generator.set_state(state[f"sampler.{r}"].cpu())
