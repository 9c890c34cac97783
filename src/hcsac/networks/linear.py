"""Layers with leading axes: one weight [*lead, in, out] serves all replicas (R) or all replicas and critics (R, E)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

if TYPE_CHECKING:
    from jaxtyping import Float


def uniform(shape: Sequence[int], bound: float, generators: Sequence[torch.Generator]) -> Tensor:
    """U(-bound, bound) of shape [R, *shape]; a replica draws from its own generator, as if it were trained alone."""
    return torch.stack([torch.empty(*shape).uniform_(-bound, bound, generator=g) for g in generators])


class Linear(nn.Module):
    """x [*lead, n, in] -> [*lead, n, out], initialised like torch.nn.Linear (He et al. 2015, a = sqrt 5)."""

    def __init__(self, lead: tuple[int, ...], size_in: int, size_out: int, generators: Sequence[torch.Generator]):
        super().__init__()
        bound = 1 / math.sqrt(size_in)
        self.weight = nn.Parameter(uniform((*lead, size_in, size_out), bound, generators))
        self.bias = nn.Parameter(uniform((*lead, 1, size_out), bound, generators))

    def forward(self, x: Float[Tensor, "*lead n in"]) -> Float[Tensor, "*lead n out"]:
        # Computed in the precision of x: bf16 in hidden layers where the setting says so, float32 elsewhere.
        return x @ self.weight.to(x.dtype) + self.bias.to(x.dtype)


class HiddenLayers(nn.Module):
    """All layers after the first: ReLU, hidden layers, output layer; pre-activations [*lead, n, H] -> [*lead, n, out].

    With `low_precision` the matrix products of the hidden layers are computed in bf16. The output layer is always
    float32: near 66, neighbouring bf16 values are 0.5 apart. `exact` computes one forward pass in float32 throughout.
    With `norm` every pre-activation of a hidden layer, those given too, is normalised (Ba et al. 2016, no parameters).
    """

    def __init__(
        self,
        lead: tuple[int, ...],
        hidden_size: int,
        hidden_layers: int,
        size_out: int,
        generators: Sequence[torch.Generator],
        low_precision: bool,
        norm: bool = False,
    ):
        super().__init__()
        self.norm = norm
        self.hidden = nn.ModuleList(
            Linear(lead, hidden_size, hidden_size, generators) for _ in range(hidden_layers - 1)
        )
        self.output = Linear(lead, hidden_size, size_out, generators)
        self.low_precision = low_precision

    def forward(self, x: Float[Tensor, "*lead n H"], exact: bool = False) -> Float[Tensor, "*lead n out"]:
        if self.low_precision and not exact:
            x = x.bfloat16()
        x = torch.relu(self._normalised(x))
        for layer in self.hidden:
            x = torch.relu_(self._normalised(layer(x)))
        return self.output(x.float())

    def _normalised(self, x: Float[Tensor, "*lead n H"]) -> Float[Tensor, "*lead n H"]:
        return layer_norm(x, x.shape[-1:]) if self.norm else x
