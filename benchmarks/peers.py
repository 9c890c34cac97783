"""The same algorithms in d3rlpy and TorchRL, at the same sizes; omitted if they are not installed.

Their CQL samples a third set of proposals, from the policy at s', which the slides do not have; the equivalent here is
`next_actions = online_at_state`. They are given one minibatch, again and again, and have no task input: both is in
their favour.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from benchmarks.plain import mlp
from hcsac.settings import Settings
from hcsac.types import Batch


def contenders(agent: str, settings: Settings, batch: Batch) -> dict[str, Callable[[], Any]]:
    """Name with version -> one update on `batch` (one replica)."""
    from importlib.metadata import version

    found: dict[str, Callable[[], Any]] = {}
    if find_spec("d3rlpy"):
        found[f"d3rlpy {version('d3rlpy')}"] = _d3rlpy(agent, settings, batch)
    if find_spec("torchrl") and hasattr(settings, "cql_weight"):
        found[f"TorchRL {version('torchrl')}"] = _torchrl(settings, batch)
    return found


def _d3rlpy(agent: str, settings: Settings, batch: Batch) -> Callable[[], Any]:
    import d3rlpy
    from d3rlpy.models.encoders import VectorEncoderFactory
    from d3rlpy.torch_utility import TorchMiniBatch

    encoder = VectorEncoderFactory([settings.hidden_size] * settings.hidden_layers)
    both = {"actor_encoder_factory": encoder, "critic_encoder_factory": encoder, "batch_size": settings.batch_size}
    configs: dict[str, Callable[[], Any]] = {
        "bc": lambda: d3rlpy.algos.BCConfig(encoder_factory=encoder, batch_size=settings.batch_size),
        "td3_bc": lambda: d3rlpy.algos.TD3PlusBCConfig(**both),
        "iql": lambda: d3rlpy.algos.IQLConfig(**both, value_encoder_factory=encoder),
        "rebrac": lambda: d3rlpy.algos.ReBRACConfig(**both),
    }
    config: Any = configs.get(agent, lambda: _d3rlpy_cql(both, settings))()
    made = config.create(device="cpu:0")
    S, A = batch.observation.shape[-1], batch.action.shape[-1]
    made.create_impl((S,), A)
    rows = batch.reward.shape[1]
    given = TorchMiniBatch(
        observations=batch.observation[0], actions=batch.action[0], rewards=batch.reward[0][:, None],
        next_observations=batch.next_observation[0], next_actions=batch.action[0],
        returns_to_go=torch.zeros(rows, 1), terminals=torch.zeros(rows, 1), intervals=torch.ones(rows, 1),
        device="cpu:0",
    )  # fmt: skip
    step = iter(range(10**9))  # a delayed actor moves by it
    return lambda: made.impl.update(given, next(step))


def _d3rlpy_cql(both: dict[str, Any], settings: Settings) -> Any:
    import d3rlpy

    return d3rlpy.algos.CQLConfig(
        **both, n_action_samples=settings.cql_samples, conservative_weight=settings.cql_weight,
        alpha_learning_rate=0.0,  # a fixed weight, as ours
        soft_q_backup=True,
    )  # fmt: skip


def _torchrl(settings: Settings, batch: Batch) -> Callable[[], Any]:
    from tensordict import TensorDict
    from tensordict.nn import TensorDictModule
    from torchrl.data import Bounded
    from torchrl.modules import NormalParamExtractor, ProbabilisticActor, TanhNormal, ValueOperator
    from torchrl.objectives import SoftUpdate
    from torchrl.objectives.cql import CQLLoss

    S, A = batch.observation.shape[-1], batch.action.shape[-1]

    class Value(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(S + A, 1, settings)

        def forward(self, observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
            return self.body(torch.cat([observation, action], -1))

    spec = Bounded(-torch.ones(A), torch.ones(A), (A,))
    body = nn.Sequential(mlp(S, 2 * A, settings), NormalParamExtractor())
    actor = ProbabilisticActor(
        TensorDictModule(body, ["observation"], ["loc", "scale"]), spec=spec, in_keys=["loc", "scale"],
        distribution_class=TanhNormal, return_log_prob=True,
    )  # fmt: skip
    loss = CQLLoss(
        actor, ValueOperator(Value(), in_keys=["observation", "action"]), loss_function="l2", action_spec=spec,
        min_q_weight=settings.cql_weight, num_random=settings.cql_samples, deterministic_backup=False,
    )  # fmt: skip
    loss.make_value_estimator(gamma=settings.discount)
    targets = SoftUpdate(loss, tau=settings.target_rate)
    optimisers = {
        "actor": torch.optim.Adam(loss.actor_network_params.flatten_keys().values(), settings.actor_learning_rate),
        "critic": torch.optim.Adam(loss.qvalue_network_params.flatten_keys().values(), settings.critic_learning_rate),
        "alpha": torch.optim.Adam([loss.log_alpha], settings.actor_learning_rate),
    }
    rows = batch.reward.shape[1]
    ended = torch.zeros(rows, 1, dtype=torch.bool)
    after = {"observation": batch.next_observation[0], "reward": batch.reward[0][:, None], "done": ended,
             "terminated": ended}  # fmt: skip
    given = TensorDict({"observation": batch.observation[0], "action": batch.action[0], "next": after}, [rows])

    def update() -> None:
        losses = loss(given.clone(False))
        parts = {"actor": losses["loss_actor"], "critic": losses["loss_qvalue"] + losses["loss_cql"],
                 "alpha": losses["loss_alpha"]}  # fmt: skip
        for optimiser in optimisers.values():
            optimiser.zero_grad()
        sum(parts.values()).backward()
        for optimiser in optimisers.values():
            optimiser.step()
        targets.step()

    return update
