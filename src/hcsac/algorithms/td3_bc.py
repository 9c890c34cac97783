"""TD3+BC (Fujimoto & Gu 2021), for M tasks and R replicas at once: TD3 whose actor also imitates the data."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hcsac.algorithms.offline_td3 import OfflineTD3, OfflineTD3Settings
from hcsac.algorithms.registry import algorithm
from hcsac.losses.scale import mean_size_by_task
from hcsac.losses.td3 import td3_bc_loss
from hcsac.networks.critics import first_critic
from hcsac.settings import setting
from hcsac.types import Batch


@dataclass(frozen=True, repr=False)
class TD3BCSettings(OfflineTD3Settings, group="TD3+BC"):
    """With TD3's three, the paper's four numbers."""

    td3_alpha: float = setting(2.5, "weight of Q scaled to size 1 against imitation (lambda = alpha / E|Q|)", 0)


@algorithm("td3_bc")
class TD3BC(OfflineTD3):
    """Clipped double Q with a delayed deterministic actor that maximises Q and imitates the data."""

    settings: TD3BCSettings
    settings_type = TD3BCSettings
    paper = "Fujimoto & Gu 2021, arXiv 2106.06860"
    presets = {"quick": {"target_rate": 0.005}}

    def actor_values(self, batch: Batch, action: Tensor) -> Tensor:
        """Those of the first critic, as in TD3."""
        return first_critic(self.critic, batch.observation, batch.task, action)[:, 0]

    def actor_loss(self, q: Tensor, own: Batch, imitation: Tensor) -> Tensor:
        """Imitation with weight 1, values of size alpha."""
        scale = mean_size_by_task(q.detach(), own.task, len(self.spec.tasks))
        return td3_bc_loss(q, scale, imitation, self.settings.td3_alpha, own.weight)
