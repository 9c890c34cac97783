"""Whole updates against an implementation of one replica written out from the slides."""

import numpy as np
import pytest
import torch

from tests.algorithms.reference import Reference
from tests.algorithms.test_algorithms import build

SEEDS = (3, 8)
SWITCHES = [
    {}, {"embedding": "concat"}, {"embedding": "onehot"}, {"embedding": "none"}, {"critics": 1}, {"critics": 3},
    {"next_actions": "target_at_next"}, {"next_actions": "online_at_state"}, {"next_actions": "online_at_next"},
    {"backup_entropy": False}, {"critic_layer_norm": "first"}, {"critic_layer_norm": "all"},
    {"hidden_layers": 1}, {"cql_weight": 0.5},
    {"cql_backward": "sampled"}, {"cql_backward": "sampled", "next_actions": "target_at_next", "cql_picks": 3},
    {"cql_backward": "sampled", "next_actions": "online_at_state"}, {"bc_warmup": 2}, {"bc_weight": 2.0},
    {"initial_temperature": 0.1, "target_entropy": -5.0}, {"target_rate": 0.3},
    {"actor_learning_rate": 1e-3, "critic_learning_rate": 1e-4},
    {"target_pessimism": "lcb", "critics": 5}, {"target_pessimism": "lcb", "critics": 2, "lcb_weight": 3.0},
]  # fmt: skip


def of_replica(parts, replica):
    return type(parts)(*(None if part is None else part[replica] for part in parts))


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda s: "-".join(map(str, s.values())) or "slides")
def test_updates_are_the_slides_written_out(switch, slides):
    compare(switch, slides, weighted=False)


@pytest.mark.parametrize("switch", [{}, {"cql_backward": "sampled"}, {"bc_warmup": 2, "bc_weight": 2.0}], ids=str)
def test_updates_on_weighted_rows_are_the_equations_written_out(switch, slides):
    compare(switch, slides, weighted=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows", ["all", "own"])
def test_shared_rows_count_as_data_in_the_conservative_term_or_not(rows, weighted, slides):
    compare({"cql_rows": rows}, slides, weighted, "hcsac")


def compare(switch, slides, weighted, name="mtcsac"):
    agent, active = build(name, slides, SEEDS, **switch)
    references = [Reference(agent, r) for r in range(len(SEEDS))]
    for _ in range(4):
        batch = active.sample(8)
        if weighted:
            batch = batch._replace(weight=torch.rand(len(SEEDS), 8, generator=torch.Generator().manual_seed(0)))
        if name == "hcsac":
            batch = batch._replace(own=torch.rand(len(SEEDS), 8, generator=torch.Generator().manual_seed(1)) < 0.5)
        noise = agent.noise(agent.random, 8)
        agent.advance(batch, noise)
        for r, reference in enumerate(references):
            reference.update(of_replica(batch, r), of_replica(noise, r))
    # Within a twentieth of one of the four steps: Adam magnifies the rounding of gradients near zero.
    for r, reference in enumerate(references):
        for part in ("actor", "critic", "target"):
            for name, weight in getattr(agent, part).named_parameters():
                expected = getattr(reference, part)[name].float()
                torch.testing.assert_close(weight[r], expected, rtol=0, atol=1.5e-5, msg=f"replica {r} {part} {name}")
        torch.testing.assert_close(agent.log_temperature[r], reference.log_alpha.float(), rtol=0, atol=1.5e-5)


@pytest.mark.parametrize("norm", ["none", "first", "all"])
@pytest.mark.parametrize("where", ["none", "target_at_next", "online_at_state", "online_at_next"])
def test_critic_gradient_equals_finite_differences(where, norm, slides):
    """Of MSE + w CQL in float64 at weights picked at random, by steps too fine to cross a corner of a ReLU."""
    agent, active = build("mtcsac", slides, SEEDS, next_actions=where, critic_layer_norm=norm)
    for _ in range(2):
        agent.advance(active.sample(8))
    batch = active.sample(8)
    noise = agent.noise(agent.random, 8)
    scaled = batch._replace(
        observation=agent.scaling(batch.observation), next_observation=agent.scaling(batch.next_observation)
    )
    mean, log_std = (x.detach() for x in agent.actor(scaled.observation, batch.task))
    y = agent.target_values(scaled, agent.log_temperature.detach().exp(), noise)
    loss, _ = agent.critic_loss(scaled, y, *agent.proposals(scaled, mean, log_std, noise), noise.pick)
    weights = dict(agent.critic.named_parameters())
    gradients = dict(zip(weights, torch.autograd.grad(loss.sum(), list(weights.values())), strict=True))

    random = np.random.default_rng(0)
    r = 1
    reference = Reference(agent, r)
    s, s2, task = scaled.observation[r].double(), scaled.next_observation[r].double(), batch.task[r]
    wide = type(noise)(*(n[r].double() for n in noise))
    with torch.no_grad():
        proposals = list(reference.proposals(s, s2, task, (mean[r].double(), log_std[r].double()), wide))

        def value():
            return reference.critic_loss(s, task, batch.action[r].double(), y[r].double(), proposals, wide.pick)

        assert abs(value().item() - loss[r].item()) < 1e-4 * abs(loss[r].item())
        for name, weight in reference.critic.items():
            flat, gradient = weight.view(-1), gradients[name][r].flatten()
            for n in random.integers(0, len(flat), 4):
                sides = []
                for delta in (1e-7, -2e-7):
                    flat[n] += delta
                    sides.append(value().item())
                flat[n] += 1e-7
                slope = (sides[0] - sides[1]) / 2e-7
                assert gradient[n].item() == pytest.approx(slope, rel=2e-3, abs=2e-4), name
