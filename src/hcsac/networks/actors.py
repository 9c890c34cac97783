"""Policies: the tanh-squashed Gaussian of SAC and the deterministic tanh policy of BC and TD3.

`act` computes in float32 whatever the training's precision, so that evaluation gives the same actions on all machines
that an exported policy gives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from hcsac.networks.embedding import TaskEmbedding
from hcsac.networks.linear import HiddenLayers, Linear
from hcsac.settings import Settings

if TYPE_CHECKING:
    from jaxtyping import Float, Real

LOG_STD_BOUNDS = (-20.0, 2.0)


class ActorNetwork(nn.Module):
    """Task embedding and MLP: s [R, B, S], task [R, B] -> [R, B, out].

    Attribute names here and in the actors are keys of checkpoints and policy bundles.
    """

    def __init__(
        self,
        observation_size: int,
        size_out: int,
        tasks: int,
        settings: Settings,
        generators: Sequence[torch.Generator],
    ):
        super().__init__()
        self.embedding = TaskEmbedding(settings.embedding, (), tasks, observation_size, generators)
        self.first = Linear((), self.embedding.size, settings.hidden_size, generators)
        low = settings.precision == "bf16"
        self.trunk = HiddenLayers((), settings.hidden_size, settings.hidden_layers, size_out, generators, low)

    def forward(
        self, observation: Float[Tensor, "R B S"], task: Real[Tensor, "R B"], exact: bool = False
    ) -> Float[Tensor, "R B out"]:
        return self.trunk(self.first(self.embedding(observation, task)), exact)


class GaussianActor(nn.Module):
    """s [R, B, S], task [R, B] -> mean and log std, each [R, B, A], of the Gaussian before the tanh.

    log std = clamp(a * out + b, -20, 2), where a and b are learned and start at 1 and -1, as in the authors' code.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        tasks: int,
        settings: Settings,
        generators: Sequence[torch.Generator],
    ):
        super().__init__()
        self.body = ActorNetwork(observation_size, 2 * action_size, tasks, settings, generators)
        self.log_std_scale = nn.Parameter(torch.ones(len(generators), 1, 1))
        self.log_std_shift = nn.Parameter(-torch.ones(len(generators), 1, 1))

    def forward(
        self, observation: Float[Tensor, "R B S"], task: Real[Tensor, "R B"]
    ) -> tuple[Float[Tensor, "R B A"], Float[Tensor, "R B A"]]:
        mean, raw = self.body(observation, task).chunk(2, dim=-1)
        log_std = (self.log_std_scale * raw + self.log_std_shift).clamp(*LOG_STD_BOUNDS)
        return mean, log_std

    def act(self, observation: Float[Tensor, "R B S"], task: Real[Tensor, "R B"]) -> Float[Tensor, "R B A"]:
        """The deterministic action tanh(mean) [R, B, A]."""
        mean, _ = self.body(observation, task, exact=True).chunk(2, dim=-1)
        return torch.tanh(mean)


class DeterministicActor(nn.Module):
    """s [R, B, S], task [R, B] -> action [R, B, A] in (-1, 1)."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        tasks: int,
        settings: Settings,
        generators: Sequence[torch.Generator],
    ):
        super().__init__()
        self.body = ActorNetwork(observation_size, action_size, tasks, settings, generators)

    def forward(self, observation: Float[Tensor, "R B S"], task: Real[Tensor, "R B"]) -> Float[Tensor, "R B A"]:
        return torch.tanh(self.body(observation, task))

    def act(self, observation: Float[Tensor, "R B S"], task: Real[Tensor, "R B"]) -> Float[Tensor, "R B A"]:
        """The same action [R, B, A], computed in float32."""
        return torch.tanh(self.body(observation, task, exact=True))


def squashed_sample(
    mean: Float[Tensor, "*#n A"], log_std: Float[Tensor, "*#n A"], noise: Float[Tensor, "*#n A"]
) -> tuple[Float[Tensor, "*n A"], Float[Tensor, "*n"]]:
    """Reparameterised tanh-Gaussian (Haarnoja et al. 2018, appendix C): a = tanh(u), u = mean + std * noise.

    mean, log_std, noise [..., A] (broadcast) -> action [..., A], log pi(a) [...], with
    log pi(a) = sum_A [ log N(u; mean, std) - log(1 - tanh(u)^2) ], the last term in its stable form
    2 (log 2 - u - softplus(-2u)).
    """
    u = mean + log_std.exp() * noise
    gaussian = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    squash = 2 * (math.log(2) - u - softplus(-2 * u))
    return torch.tanh(u), (gaussian - squash).sum(-1)
