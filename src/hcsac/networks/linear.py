"""Layers with leading axes: one weight [*lead, in, out] serves all replicas (R) or all replicas and critics (R, E)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def uniform(shape: Sequence[int], bound: float, generators: Sequence[torch.Generator]) -> Tensor:
    """U(-bound, bound) of shape [R, *shape]; each replica draws from its own generator, so it equals a run alone."""
    return torch.stack([torch.empty(*shape).uniform_(-bound, bound, generator=g) for g in generators])


class Linear(nn.Module):
    """x [*lead, n, in] -> [*lead, n, out], initialised like torch.nn.Linear (He et al. 2015, a = sqrt 5)."""

    def __init__(self, lead: tuple[int, ...], size_in: int, size_out: int, generators: Sequence[torch.Generator]):
        super().__init__()
        bound = 1 / math.sqrt(size_in)
        self.weight = nn.Parameter(uniform((*lead, size_in, size_out), bound, generators))
        self.bias = nn.Parameter(uniform((*lead, 1, size_out), bound, generators))

    def forward(self, x: Tensor) -> Tensor:
        # The weight follows the activations' precision: bf16 in hidden layers when asked, float32 elsewhere.
        return x @ self.weight.to(x.dtype) + self.bias.to(x.dtype)


class Trunk(nn.Module):
    """ReLU, then hidden layers, then the output layer: pre-activations [*lead, n, H] -> [*lead, n, out].

    The hidden products run in bf16 when `low_precision` is set; the output layer is always float32, because
    a bf16 value of 66 has steps of 0.5. `exact` keeps all of one pass in float32.
    """

    def __init__(
        self,
        lead: tuple[int, ...],
        hidden_size: int,
        hidden_layers: int,
        size_out: int,
        generators: Sequence[torch.Generator],
        low_precision: bool,
    ):
        super().__init__()
        self.hidden = nn.ModuleList(
            Linear(lead, hidden_size, hidden_size, generators) for _ in range(hidden_layers - 1)
        )
        self.output = Linear(lead, hidden_size, size_out, generators)
        self.low_precision = low_precision

    def forward(self, x: Tensor, exact: bool = False) -> Tensor:
        if self.low_precision and not exact:
            x = x.bfloat16()
        x = torch.relu(x)
        for layer in self.hidden:
            x = torch.relu_(layer(x))
        return self.output(x.float())
