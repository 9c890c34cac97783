"""Q(s, a) of every replica and critic at once."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import layer_norm

from hcsac.networks.embedding import TaskEmbedding
from hcsac.networks.linear import Linear, Trunk


class Critic(nn.Module):
    """s [R, B, S], task [R, B], K actions per state [R, B, K, A] or [R, E, B, K, A] -> Q [R, E, B, K].

    The state half of the first layer is computed once per state and shared by its K actions.
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
        self.layer_norm = settings.critic_layer_norm
        low = settings.precision == "bf16"
        self.trunk = Trunk(lead, hidden, settings.hidden_layers, 1, generators, low)

    def forward(self, observation: Tensor, task: Tensor, actions: Tensor) -> Tensor:
        R, B = task.shape
        K, A = actions.shape[-2:]
        z = self.embedding(observation, task)
        state_half, action_half = self.first.weight.split([self.embedding.size, A], dim=-2)
        from_state = z @ state_half + self.first.bias  # [R, E, B, H]
        E, H = from_state.shape[1], from_state.shape[-1]
        # Actions are shared by the critics unless each has its own, [R, E, B, K, A].
        rows = actions.reshape(R, 1 if actions.dim() == 4 else E, B * K, A)
        if self.trunk.low_precision:
            rows, action_half, from_state = rows.bfloat16(), action_half.bfloat16(), from_state.bfloat16()
        x = (rows @ action_half).reshape(R, E, B, K, H) + from_state[..., None, :]
        if self.layer_norm:
            x = layer_norm(x, (H,))
        return self.trunk(x.reshape(R, E, B * K, H)).reshape(R, E, B, K)


def first_critic(critic: Critic, observation: Tensor, task: Tensor, action: Tensor) -> Tensor:
    """Q_1(s, a) [R, 1, B] of action [R, B, A]: no other critic is computed, and none gets a gradient."""
    weights = {name: weight[:, :1].detach() for name, weight in critic.named_parameters()}
    return functional_call(critic, weights, (observation, task, action[:, :, None]))[..., 0]
