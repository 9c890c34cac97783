"""TD3: the recipe's order, its state, and that it climbs a known reward."""

import pytest
import torch

from hcsac.algorithms.td3 import TD3, TD3Settings
from hcsac.networks.critics import first_critic
from hcsac.types import Batch, Spec

S, A, B = 3, 2, 16
SETTINGS = TD3Settings(hidden_layers=2, hidden_size=16, critic_layer_norm="first", device="cpu")


def make(seeds: tuple[int, ...] = (0,), **changes: object) -> TD3:
    return TD3(Spec(S, A, ("slide",)), SETTINGS.replace(changes), seeds)


def batches(count: int, replicas: int = 1, discount: float = 0.99) -> list[Batch]:
    draw = torch.Generator().manual_seed(7)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(1, B, *size, generator=draw).expand(replicas, B, *size)

    return [
        Batch(
            observation=normal(S),
            action=normal(A).tanh(),
            reward=normal(),
            next_observation=normal(S),
            discount=torch.full((replicas, B), discount),
            task=torch.zeros(replicas, B, dtype=torch.int64),
        )
        for _ in range(count)
    ]


def changed(before: dict[str, torch.Tensor], agent: TD3, name: str) -> bool:
    """Whether any weight of a network differs from what it was."""
    after = agent.state()
    keys = [key for key in after if key.startswith(name + ".")]
    assert keys
    return any(not torch.equal(before[key], after[key]) for key in keys)


def snapshot(agent: TD3) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in agent.state().items()}


def test_policy_and_targets_move_at_every_second_update():
    agent = make()
    first, second = batches(2)
    start = snapshot(agent)
    agent.advance(first)
    assert changed(start, agent, "critic")
    assert not any(changed(start, agent, name) for name in ("actor", "target_actor", "target_critic"))
    middle = snapshot(agent)
    agent.advance(second)
    assert all(changed(middle, agent, name) for name in ("actor", "target_actor", "target_critic"))


def test_targets_follow_at_the_target_rate():
    agent = make(target_rate=0.25)
    start = snapshot(agent)
    for batch in batches(2):
        agent.advance(batch)
    after = agent.state()
    for key, weight in after.items():
        if key.startswith(("actor.", "critic.")):
            torch.testing.assert_close(after[f"target_{key}"], 0.75 * start[key] + 0.25 * weight)


def test_the_policy_climbs_the_first_critic_alone():
    agent = make()
    (batch,) = batches(1)
    action = agent.actor(batch.observation, batch.task)
    q = agent.critic(batch.observation, batch.task, action[:, :, None])[:, :1, :, 0]
    torch.testing.assert_close(first_critic(agent.critic, batch.observation, batch.task, action), q)


def test_where_the_world_ends_the_next_state_does_not_count():
    agent, other = make(), make()
    (batch,) = batches(1, discount=0.0)
    loss = agent.advance(batch)["bellman_loss"]
    assert torch.equal(loss, other.advance(batch._replace(next_observation=batch.observation + 5))["bellman_loss"])


def test_state_continues_exactly():
    agent, other = make(), make(seeds=(5,))
    data = batches(7)
    for batch in data[:3]:
        agent.advance(batch)
    other.load_state(snapshot(agent))
    for batch in data[3:]:
        agent.advance(batch)
        other.advance(batch)
    left, right = agent.state(), other.state()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_a_replica_equals_its_seed_alone():
    together, alone = make(seeds=(3, 4)), make(seeds=(4,))
    for both, single in zip(batches(4, replicas=2), batches(4), strict=True):
        together.advance(both)
        alone.advance(single)
    for name, weight in alone.critic.named_parameters():
        torch.testing.assert_close(together.critic.get_parameter(name)[1:], weight, rtol=1e-4, atol=1e-6)


def test_it_climbs_a_known_reward():
    wanted = torch.tensor([0.5, -0.3])
    agent = make(hidden_size=64, actor_learning_rate=1e-3, critic_learning_rate=1e-3)
    draw = torch.Generator().manual_seed(0)
    zero = torch.zeros(1, 64, dtype=torch.int64)
    for _ in range(1200):
        observation = torch.randn(1, 64, S, generator=draw)
        action = 2 * torch.rand(1, 64, A, generator=draw) - 1
        reward = -(action - wanted).square().sum(-1)
        agent.advance(Batch(observation, action, reward, observation, torch.zeros(1, 64), zero))
    chosen = agent.act(torch.randn(1, 64, S, generator=draw), zero)[0].mean(0)
    assert chosen.tolist() == pytest.approx(wanted.tolist(), abs=0.15)
