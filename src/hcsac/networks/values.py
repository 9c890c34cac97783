"""V(s) of all replicas in one batched network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from hcsac.networks.embedding import TaskEmbedding
from hcsac.networks.linear import HiddenLayers, Linear

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class StateValue(nn.Module):
    """s [R, B, S], task [R, B] -> V [R, B]: one network a replica, layer normalised as the critics are."""

    def __init__(
        self,
        observation_size: int,
        tasks: int,
        settings: Any,  # Critics and Network
        generators: Sequence[torch.Generator],
    ):
        super().__init__()
        hidden, norm = settings.hidden_size, settings.critic_layer_norm
        self.embedding = TaskEmbedding(settings.embedding, (), tasks, observation_size, generators)
        self.first = Linear((), self.embedding.size, hidden, generators)
        self.first_norm = norm == "first"
        low = settings.precision == "bf16"
        self.trunk = HiddenLayers((), hidden, settings.hidden_layers, 1, generators, low, norm == "all")

    def forward(self, observation: Float[Tensor, "R B S"], task: Int[Tensor, "R B"]) -> Float[Tensor, "R B"]:
        x = self.first(self.embedding(observation, task))
        if self.first_norm:
            x = layer_norm(x, x.shape[-1:])
        return self.trunk(x)[..., 0]
