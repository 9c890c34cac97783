"""Q(s, a) of all replicas and critics in one batched network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import layer_norm

from hcsac.networks.embedding import TaskEmbedding
from hcsac.networks.linear import HiddenLayers, Linear

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Critic(nn.Module):
    """s [R, B, S], task [R, B], K actions per state [R, B, K, A] or [R, E, B, K, A] -> Q [R, E, B, K].

    The first layer is the sum of a product with the state, computed once a state, and one with each of its K actions.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        tasks: int,
        settings: Any,  # Critics and Network
        generators: Sequence[torch.Generator],
    ):
        super().__init__()
        lead = (settings.critics,)
        hidden = settings.hidden_size
        self.embedding = TaskEmbedding(settings.embedding, lead, tasks, observation_size, generators)
        self.first = Linear(lead, self.embedding.size + action_size, hidden, generators)
        norm = settings.critic_layer_norm
        self.first_norm = norm == "first"
        low = settings.precision == "bf16"
        self.trunk = HiddenLayers(lead, hidden, settings.hidden_layers, 1, generators, low, norm == "all")

    def forward(
        self,
        observation: Float[Tensor, "R B S"],
        task: Int[Tensor, "R B"],
        actions: Float[Tensor, "R B K A"] | Float[Tensor, "R E B K A"],
    ) -> Float[Tensor, "R E B K"]:
        R, B = task.shape
        K, A = actions.shape[-2:]
        z = self.embedding(observation, task)
        state_half, action_half = self.first.weight.split([self.embedding.size, A], dim=-2)
        from_state = z @ state_half + self.first.bias  # [R, E, B, H]
        E, H = from_state.shape[1], from_state.shape[-1]
        # [R, 1, B K, A] where the critics share the actions, [R, E, B K, A] where each critic has its own.
        flat = actions.reshape(R, 1 if actions.dim() == 4 else E, B * K, A)
        if self.trunk.low_precision:
            flat, action_half, from_state = flat.bfloat16(), action_half.bfloat16(), from_state.bfloat16()
        x = (flat @ action_half).reshape(R, E, B, K, H) + from_state[..., None, :]
        if self.first_norm:
            x = layer_norm(x, (H,))
        return self.trunk(x.reshape(R, E, B * K, H)).reshape(R, E, B, K)


def first_critic(
    critic: Critic, observation: Float[Tensor, "R B S"], task: Int[Tensor, "R B"], action: Float[Tensor, "R B A"]
) -> Float[Tensor, "R 1 B"]:
    """Q_1(s, a) [R, 1, B] of action [R, B, A]: no other critic is computed, and none gets a gradient."""
    weights = {name: weight[:, :1].detach() for name, weight in critic.named_parameters()}
    return functional_call(critic, weights, (observation, task, action[:, :, None]))[..., 0]
