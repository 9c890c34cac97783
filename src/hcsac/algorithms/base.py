"""What every agent is, and what all of them share: scaling, seeds, steps, the state that a checkpoint keeps."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from hcsac.types import Batch, Info

State = dict[str, Tensor]


class Agent(Protocol):
    """Networks, optimisers and one recipe. R replicas train at once along the leading axis.

    Attributes:
        updates: how many were made.
        generators: all that an update draws from.
    """

    updates: int
    generators: list[torch.Generator]

    def phase(self, ahead: int = 0) -> int:
        """Updates of one phase, this one or the one `ahead` of it, do the same to other numbers."""

    def update(self, batch: Batch) -> Info:
        """One step on one minibatch per replica; the metrics stay on the device."""

    def act(self, observation: Tensor, task: Tensor) -> Tensor:
        """Deterministic actions [R, n, A] at observation [R, n, S] for task [R, n]."""

    def state(self) -> State:
        """Everything that decides the next update, as named tensors."""

    def load_state(self, state: State) -> None:
        """Continue from `state` exactly."""


class Scaling(nn.Module):
    """(s - mean) / std, fixed at the start; the identity when observations are not standardised."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, device: torch.device):
        super().__init__()
        self.register_buffer("mean", mean.to(device))
        self.register_buffer("std", std.to(device))

    def forward(self, observation: Tensor) -> Tensor:
        return (observation - self.mean) / self.std


def generators(seeds: Sequence[int], stream: int, device: torch.device | str = "cpu") -> list[torch.Generator]:
    """One generator a replica; streams (0 weights, 1 noise, 2 minibatches) of one seed do not overlap."""
    return [torch.Generator(device).manual_seed(1_000_003 * seed + stream) for seed in seeds]


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, rate: float) -> None:
    """Soft target update (slides): target <- (1 - rate) target + rate source."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)


def module_state(name: str, module: nn.Module) -> State:
    """The module's weights under `name`."""
    return {f"{name}.{key}": value for key, value in module.state_dict().items()}


def load_module_state(name: str, module: nn.Module, state: State) -> None:
    """The reverse of `module_state`."""
    module.load_state_dict({k[len(name) + 1 :]: v for k, v in state.items() if k.startswith(name + ".")})
