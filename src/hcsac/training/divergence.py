"""Whether a training still makes sense: its numbers are numbers, and its values are what rewards can sum to."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from hcsac.algorithms import Algorithm
from hcsac.files import write_atomically
from hcsac.sharing.active import ActiveDataset
from hcsac.types import Batch, Info

MARGIN = 100.0  # times the largest sum of discounted rewards: no value that is merely overestimated is so large
FIRST = 1.0  # the size of values that networks begin with, in the units that they learn
ATTEMPTS = 3  # to go on from a checkpoint with other minibatches


class Watch:
    """Looks at what updates report, and at weights before they are saved."""

    def __init__(self, algorithm: Algorithm, active: ActiveDataset):
        self.algorithm = algorithm
        self.scale = active.reward_scale
        gamma = algorithm.discount
        self.largest = active.largest_reward / (1 - gamma) if gamma < 1 else float("inf")  # in the data's units

    def fault(self, info: Info) -> str | None:
        """What is wrong with the metrics of an update, if anything: name -> [R]."""
        if not torch.stack(list(info.values())).isfinite().all():
            bad = [name for name, value in info.items() if not value.isfinite().all()]
            return f"{', '.join(bad)} is no number"
        for name in self.algorithm.value_metrics & info.keys():
            value = info[name].abs().max().item() * self.scale
            if value > MARGIN * max(self.largest, FIRST * self.scale):
                return f"{name} is {value:.3g}, and rewards can sum to {self.largest:.3g} at most"
        return None

    def fault_of_weights(self) -> str | None:
        """Which weights are no numbers, if any are."""
        for name, tensor in self.algorithm.state().items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                return f"{name} is no number"
        return None


def save_batch(path: Path, batch: Batch, update: int) -> None:
    """Write the minibatch of an update, for the user to look at: the fields of `Batch`."""
    tensors = {name: x.cpu().contiguous() for name, x in batch._asdict().items() if x is not None}
    with write_atomically(path) as temporary:
        save_file(tensors, temporary, metadata={"update": str(update)})
