"""How often each transition of D is drawn, and draws by these weights."""

import numpy as np
import torch
from torch import Tensor

from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.settings import Drawing
from hcsac.sharing.neighbours import Space, blocks, some_of

NEAREST = 5  # a state is where few episodes come by if its 5th nearest other episode is far
SPARSE = 0.1  # fraction of a task's transitions that count as sparse


def row_weights(dataset: Dataset, settings: Drawing) -> np.ndarray | None:
    """How many times as often as by uniform drawing each transition is drawn: [N] float64, > 0.

    A transition's weight is the product of

    - `start_weight`, if it is one of the `start_rows` (the first `start_steps` of an episode),
    - `sparse_weight`, if it is one of the `sparse_rows`,

    divided by the mean of these products over its task. So tasks keep their parts of D, whatever the length of their
    episodes and wherever their sparse regions are.

    Returns:
        None where both weights are 1.

    Raises:
        UserError: a `sparse_weight` other than 1, and a task with a single episode.
    """
    if settings.start_weight == settings.sparse_weight == 1:
        return None
    weight = np.where(start_rows(dataset, settings.start_steps), settings.start_weight, 1.0)
    if settings.sparse_weight != 1:
        weight[sparse_rows(dataset)] *= settings.sparse_weight
    mean = np.bincount(dataset.task, weight) / np.bincount(dataset.task)
    return weight / mean[dataset.task]


def start_rows(dataset: Dataset, steps: int) -> np.ndarray:
    """Whether a transition is one of the first `steps` of its episode, [N] bool."""
    return dataset.step < steps


def sparse_rows(dataset: Dataset) -> np.ndarray:
    """Whether a transition starts where few episodes of its task come by, [N] bool.

    These are the tenth of each task (rounded up; fewer where distances are equal) whose `distance_to_episodes` exceeds
    its 90 % quantile over the task.
    """
    sparse = np.zeros(len(dataset), bool)
    for i in range(dataset.num_tasks):
        rows = dataset.rows_of(i)
        distance = distance_to_episodes(dataset, i)
        sparse[rows] = distance > np.quantile(distance, 1 - SPARSE)
    return sparse


def distance_to_episodes(dataset: Dataset, task: int) -> np.ndarray:
    """Distance from each transition's observation to the 5th nearest of the task's other episodes, [|D_task|] float32.

    An episode is as near as the nearest of its observations; the transition's own episode is left out, because the
    steps before and after are always near. Euclidean distance of observations that are normalised by their mean and std
    over the task. A task of at most 5 episodes: to the farthest of the others. Of a task with more than 20,000
    transitions the distances are to 20,000 of them, drawn by a generator with a fixed seed, which also give mean and
    std: the same in every run on the same data. Memory is bounded, time grows with N (a few seconds for 100,000).

    Raises:
        UserError: the task has a single episode.
    """
    rows = dataset.rows_of(task)
    episode = np.searchsorted(dataset.episode_start, rows, side="right") - 1
    sample = some_of(rows)  # ascending: episode after episode
    present, first = np.unique(episode[sample], return_index=True)
    if len(present) < 2:
        raise UserError(
            f"setting sparse_weight compares episodes of a task, and {dataset.task_names[task]!r} has only one; "
            "leave it at 1, or train on more episodes."
        )
    space = Space(dataset.observations[dataset.start_index[rows[sample]]])
    kth = min(NEAREST, len(present) - 1) - 1
    distance = np.empty(len(rows), np.float32)
    for block in blocks(len(rows)):
        x = space.scaled(dataset.observations[dataset.start_index[rows[block]]])
        nearest = np.minimum.reduceat(space.squares(x), first, axis=1)
        nearest[episode[block, None] == present] = np.inf
        square = np.partition(nearest, kth, axis=1)[:, kth] + np.square(x).sum(1)
        distance[block] = np.sqrt(np.maximum(square, 0))
    return distance


def edges(weight: np.ndarray) -> np.ndarray:
    """Cumulative weights from 0, [n + 1] float64: place k has the interval from edges[k] to edges[k + 1]."""
    return np.concatenate([[0.0], np.cumsum(weight, dtype=np.float64)])


class Edges:
    """Cumulative weights of places, [n + 1] float64 (`edges`), strictly ascending."""

    def __init__(self, edge: Tensor):
        self.edge = edge

    def at(self, place: Tensor) -> Tensor:
        """The weight before each place."""
        return self.edge[place]

    def place(self, position: Tensor) -> Tensor:
        """The place that has each position, from 0 to the sum of all weights."""
        return torch.searchsorted(self.edge, position, right=True) - 1

    @property
    def total(self) -> Tensor:
        """The sum of all weights."""
        return self.edge[-1]


class BlockEdges(Edges):
    """Those of D, and after it of blocks of consecutive rows of D again: their edges are those of D, moved.

    Args:
        edge: of D, [N + 1].
        first, size: first row of each block, and how many it has, [blocks].
    """

    def __init__(self, edge: Tensor, first: Tensor, size: Tensor):
        super().__init__(edge)
        self.first, self.size = first, size
        weight = edge[first + size] - edge[first]
        self.block_edge = edge[-1] + torch.cat([weight.new_zeros(1), weight.cumsum(0)])
        self.block_place = len(edge) - 1 + torch.cat([size.new_zeros(1), size.cumsum(0)])

    def at(self, place: Tensor) -> Tensor:
        """As `Edges.at`."""
        rows = len(self.edge) - 1
        block = (torch.searchsorted(self.block_place, place, right=True) - 1).clamp(0, len(self.first) - 1)
        row = (self.first[block] + place - self.block_place[block]).clamp(0, rows)
        inside = self.block_edge[block] + self.edge[row] - self.edge[self.first[block]]
        return torch.where(place < rows, self.edge[place.clamp(max=rows)], inside)

    def place(self, position: Tensor) -> Tensor:
        """As `Edges.place`."""
        block = (torch.searchsorted(self.block_edge, position, right=True) - 1).clamp(0, len(self.first) - 1)
        first, size = self.first[block], self.size[block]
        row = super().place(position - self.block_edge[block] + self.edge[first])
        row = torch.minimum(torch.maximum(row, first), first + size - 1)  # rounding may lead to a neighbour
        shared = self.block_place[block] + row - first
        return torch.where(position < self.edge[-1], super().place(position), shared)

    @property
    def total(self) -> Tensor:
        """As `Edges.total`."""
        return self.block_edge[-1]


def draw_between(edge: Edges, low: Tensor, high: Tensor, batch_size: int, generator: torch.Generator) -> Tensor:
    """Places [B] with probabilities proportional to their weights, with replacement.

    Args:
        low, high: two of the edges, or two [B] of them, between which each place is drawn.
    """
    share = torch.rand(batch_size, dtype=torch.float64, generator=generator, device=edge.edge.device)
    # The sum may round to `high`, which is the next place.
    position = torch.minimum(low + share * (high - low), torch.nextafter(high, low))
    return edge.place(position)
