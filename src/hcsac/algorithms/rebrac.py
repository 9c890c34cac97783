"""ReBRAC (Tarasov et al. 2023), for M tasks and R replicas at once: TD3+BC whose critics stay near the data, too."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hcsac.algorithms.offline_td3 import OfflineTD3, OfflineTD3Settings
from hcsac.algorithms.registry import algorithm
from hcsac.losses.imitation import squared_distance
from hcsac.losses.one_step import improvement_loss
from hcsac.losses.td3 import rebrac_target
from hcsac.settings import ActorImitation, LayerNorm, setting
from hcsac.types import Batch, Draw


@dataclass(frozen=True, repr=False)
class ReBRACSettings(ActorImitation, OfflineTD3Settings, group="ReBRAC"):
    """A penalty for the actor and one for the critics, decoupled; layer normalisation of the critics."""

    critic_layer_norm: LayerNorm = setting("all", "layer normalisation after which hidden layers of the critics")
    critic_bc_weight: float = setting(
        0.05, "weight, in units of reward, of the target action's distance ||a' - a'_logged||^2 / A in the TD target", 0
    )


@algorithm("rebrac")
class ReBRAC(OfflineTD3):
    """TD3 with two decoupled penalties for leaving the data: one in the actor's loss, one in the critics' target."""

    settings: ReBRACSettings
    settings_type = ReBRACSettings
    paper = "Tarasov et al. 2023, arXiv 2305.09836"
    presets = {
        "quick": {"target_rate": 0.005},
        "d4rl": {"batch_size": 1024, "actor_learning_rate": 1e-3, "critic_learning_rate": 1e-3, "updates": 1_000_000},
    }

    def draw(self, stage: tuple[bool, bool]) -> Draw:
        """Single steps with the action that was logged after each."""
        return super().draw(stage)._replace(n=1)

    def target_of(self, batch: Batch, action: Tensor, next_q: Tensor) -> Tensor:
        """With the penalty for leaving the logged next action."""
        assert batch.next_action is not None
        distance = squared_distance(action, batch.next_action)
        return rebrac_target(batch.reward, batch.discount, next_q, distance, self.settings.critic_bc_weight)

    def actor_values(self, batch: Batch, action: Tensor) -> Tensor:
        """The minimum of the critics."""
        return self.critic(batch.observation, batch.task, action[:, :, None])[..., 0].amin(1)

    def actor_loss(self, q: Tensor, own: Batch, imitation: Tensor) -> Tensor:
        """Values of size 1, imitation with its weight."""
        weight = torch.full_like(imitation, self.settings.actor_bc_weight)
        return improvement_loss(q, own.task, len(self.spec.tasks), imitation, weight, own.weight)
