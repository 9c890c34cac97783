"""What is shared on top of D: pairs (row, task that uses it), one by one or whole tasks at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hcsac.sharing.drawing import BlockEdges, Edges, edges


class SharedPairs(NamedTuple):
    """Pairs (row of D, task that uses it), each [n], task after task; 10 bytes a pair, 14 with weights."""

    row: np.ndarray  # int64
    task: np.ndarray  # int16
    weight: np.ndarray | None = None  # float32

    def on(self, device: torch.device) -> Pairs:
        """The same on a device."""
        return Pairs(*(None if x is None else torch.as_tensor(x, device=device) for x in self))  # type: ignore[arg-type]


class SharedTasks(NamedTuple):
    """All rows of a task as data of another, [blocks], task after task: which number a pair has is arithmetic."""

    first: np.ndarray  # int64, row of D
    size: np.ndarray  # int64, rows from there on
    task: np.ndarray  # int64, the task that uses them

    def on(self, device: torch.device) -> Blocks:
        """The same on a device."""
        return Blocks(*(torch.as_tensor(x, device=device) for x in self))


class Pairs(NamedTuple):
    """Rows of D and the tasks that use them, on the device, each [n]."""

    row: Tensor  # int64
    task: Tensor  # int16 where it is the index, int64 where it is drawn
    weight: Tensor | None  # float32

    @property
    def length(self) -> int:
        """n."""
        return len(self.row)

    def at(self, number: Tensor) -> Pairs:
        """The pairs of these numbers [B]."""
        weight = None if self.weight is None else self.weight[number]
        return Pairs(self.row[number], self.task[number].long(), weight)

    def of_tasks(self, tasks: int) -> np.ndarray:
        """How many each task uses, [M]."""
        return np.bincount(self.task.cpu().numpy(), minlength=tasks)

    def edges(self, own: Edges, row_weight: np.ndarray) -> Edges:
        """Those of D with these pairs after it, each of the weight of its row."""
        shared = torch.as_tensor(edges(row_weight[self.row.cpu().numpy()])[1:], device=self.row.device)
        return Edges(torch.cat([own.edge, own.edge[-1] + shared]))

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {name: tensor for name, tensor in self._asdict().items() if tensor is not None}


class Blocks(NamedTuple):
    """`SharedTasks` on the device."""

    first: Tensor
    size: Tensor
    task: Tensor

    @property
    def length(self) -> int:
        """n."""
        return int(self.size.sum())

    def at(self, number: Tensor) -> Pairs:
        """The pairs of these numbers [B]."""
        end = self.size.cumsum(0)
        block = torch.searchsorted(end, number, right=True).clamp(max=len(end) - 1)
        return Pairs(self.first[block] + number - (end - self.size)[block], self.task[block], None)

    def of_tasks(self, tasks: int) -> np.ndarray:
        """How many each task uses, [M]."""
        return np.bincount(self.task.cpu(), self.size.cpu().double(), tasks).astype(np.int64)

    def edges(self, own: Edges, row_weight: np.ndarray) -> Edges:
        """Those of D with these pairs after it, each of the weight of its row; no memory for a pair."""
        return BlockEdges(own.edge, self.first, self.size)

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return self._asdict()


def restored(state: dict[str, Tensor], device: torch.device) -> Pairs | Blocks:
    """The reverse of `state`."""
    held = {name: tensor.to(device) for name, tensor in state.items()}
    if "first" in held:
        return Blocks(**held)
    return Pairs(held["row"], held["task"], held.get("weight"))
