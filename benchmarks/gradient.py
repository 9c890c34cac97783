"""Variance that `cql_backward = sampled` adds: its critic gradient against the full one, on a critic in training."""

from typing import Any

import torch
from torch import Tensor

from benchmarks.updates import CPU
from hcsac import load, preset
from hcsac.algorithms import resolve
from hcsac.algorithms.algorithm import generators
from hcsac.algorithms.conservative_sac import MTCSAC
from hcsac.sharing.active import ActiveDataset
from hcsac.types import Spec

UPDATES = 3000


def measure(batches: int = 40, draws: int = 10) -> dict[str, Any]:
    """Squared distances of gradients, relative to the squared length of the mean gradient.

    `minibatch`: of the full gradient of one minibatch to its mean over many, the variance of minibatch sampling.
    `picks m`: of the sampled gradient to the full one of the same minibatch and proposals.
    """
    data = load(["sample/walker-walk-medium-v0", "sample/walker-run-medium-v0"])
    changes = {"precision": "float32", "device": "cpu", "cql_samples": 10, "updates": UPDATES}
    settings = resolve("mtcsac", preset("quick", "mtcsac").replace(changes), data.task_names)
    agent = MTCSAC(Spec(24, 6, data.task_names), settings, [0])
    active = ActiveDataset(data, settings.discount, "keep", generators([0], 2), CPU)
    for _ in range(UPDATES):
        agent.advance(active.sample(settings.batch_size))

    full: list[Tensor] = []
    noise: dict[int, list[float]] = {1: [], 2: [], 4: []}
    bias: dict[int, list[Tensor]] = {m: [] for m in noise}
    for _ in range(batches):
        batch = active.sample(settings.batch_size)
        mean, log_std = agent.actor(batch.observation, batch.task)
        temperature = agent.log_temperature.detach().exp()

        def gradient(
            backward: str, picks: int, fixed: tuple[Any, ...], batch: Any = batch, target: Any = None
        ) -> Tensor:
            agent.settings = settings.replace({"cql_backward": backward, "cql_picks": picks})
            pick = torch.rand(1, settings.critics, settings.batch_size, picks)
            loss, _ = agent.critic_loss(batch, target, *fixed, pick)
            return torch.cat([g.flatten() for g in torch.autograd.grad(loss.sum(), list(agent.critic.parameters()))])

        drawn = agent.noise(agent.random, settings.batch_size)
        target = agent.target_values(batch, temperature, drawn)
        fixed = agent.proposals(batch, mean.detach(), log_std.detach(), drawn)
        whole = gradient("all", 1, fixed, target=target)
        full.append(whole)
        for picks, found in noise.items():
            sampled = [gradient("sampled", picks, fixed, target=target) for _ in range(draws)]
            found.extend((one - whole).square().sum().item() for one in sampled)
            bias[picks].append(torch.stack(sampled).mean(0) - whole)
        agent.settings = settings
    stacked = torch.stack(full)
    average = stacked.mean(0)
    length = average.square().sum().item()
    results: dict[str, Any] = {"minibatch": (stacked - average).square().sum(1).mean().item() / length}
    for picks, found in noise.items():
        results[f"picks {picks}"] = sum(found) / len(found) / length
        left = torch.stack(bias[picks]).mean(0).square().sum().item() / length
        results[f"picks {picks}, mean of {batches * draws} draws"] = left
    return results
