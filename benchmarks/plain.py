"""The baseline of all speeds: a textbook update in eager float32 PyTorch, one module per critic.

The same algorithm as `hcsac.algorithms.ConservativeSAC` with the slides' settings, written like the code of papers: the
state is repeated for every sampled action, there is one optimiser per network, and four forward passes of the actor.
"""

import copy
import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional as F

from hcsac.settings import Settings
from hcsac.types import Batch


def mlp(inputs: int, outputs: int, settings: Settings) -> nn.Sequential:
    """`hidden_layers` of `hidden_size` ReLU units."""
    sizes = [inputs] + [settings.hidden_size] * settings.hidden_layers
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


class TaskNetwork(nn.Module):
    """An MLP on (s + e_task), or (s + e_task, a)."""

    def __init__(self, observation_size: int, action_size: int, outputs: int, tasks: int, settings: Settings):
        super().__init__()
        self.embedding = nn.Embedding(tasks, observation_size)
        self.body = mlp(observation_size + action_size, outputs, settings)

    def forward(self, observation: Tensor, task: Tensor, *action: Tensor) -> Tensor:
        """[B, S], [B] and perhaps [B, A] -> [B, outputs]."""
        return self.body(torch.cat([observation + self.embedding(task), *action], dim=1))


def sample(actor: TaskNetwork, observation: Tensor, task: Tensor) -> tuple[Tensor, Tensor]:
    """A tanh-Gaussian action [B, A] and its log-density [B]."""
    mean, log_std = actor(observation, task).chunk(2, dim=1)
    normal = Normal(mean, (log_std - 1).clamp(-20, 2).exp())
    raw = normal.rsample()
    correction = 2 * (math.log(2) - raw - F.softplus(-2 * raw))
    return raw.tanh(), (normal.log_prob(raw) - correction).sum(1)


class PlainSAC:
    """SAC + CQL with a task embedding."""

    def __init__(self, observation_size: int, action_size: int, tasks: int, settings: Settings):
        self.settings, self.action_size = settings, action_size
        self.actor = TaskNetwork(observation_size, 0, 2 * action_size, tasks, settings)
        self.critics = [TaskNetwork(observation_size, action_size, 1, tasks, settings) for _ in range(2)]
        self.targets = copy.deepcopy(self.critics)
        self.log_alpha = torch.zeros(1, requires_grad=True)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), settings.actor_learning_rate)
        self.alpha_optimiser = torch.optim.Adam([self.log_alpha], settings.actor_learning_rate)
        self.critic_optimisers = [torch.optim.Adam(c.parameters(), settings.critic_learning_rate) for c in self.critics]

    def update(self, batch: Batch) -> None:
        """One step on a batch of one replica."""
        s, a, r, s2, discount, task = (part[0] for part in batch[:6])

        action, log_prob = sample(self.actor, s, task)
        alpha_loss = -(self.log_alpha * (log_prob - self.action_size).detach()).mean()
        self.alpha_optimiser.zero_grad()
        alpha_loss.backward()
        self.alpha_optimiser.step()
        alpha = self.log_alpha.exp().detach()

        q = torch.min(*(critic(s, task, action) for critic in self.critics)).squeeze(1)
        actor_loss = (alpha * log_prob - q).mean()
        self.actor_optimiser.zero_grad()
        actor_loss.backward()
        self.actor_optimiser.step()

        with torch.no_grad():
            next_action, next_log_prob = sample(self.actor, s2, task)
            next_q = torch.min(*(target(s2, task, next_action) for target in self.targets)).squeeze(1)
            y = r + discount * (next_q - alpha * next_log_prob)

        K = self.settings.cql_samples
        states, tasks = s.repeat_interleave(K, dim=0), task.repeat_interleave(K)
        uniform = torch.rand(len(states), self.action_size) * 2 - 1
        with torch.no_grad():
            policy, policy_log_prob = sample(self.actor, states, tasks)
        for critic, optimiser in zip(self.critics, self.critic_optimisers, strict=True):
            q = critic(s, task, a).squeeze(1)
            q_uniform = critic(states, tasks, uniform).view(-1, K) + self.action_size * math.log(2)
            q_policy = critic(states, tasks, policy).view(-1, K) - policy_log_prob.view(-1, K)
            lse = torch.logsumexp(torch.cat([q_uniform, q_policy], dim=1), dim=1) - math.log(2 * K)
            loss = F.mse_loss(q, y) + self.settings.cql_weight * (lse - q).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

        with torch.no_grad():
            for critic, target in zip(self.critics, self.targets, strict=True):
                for p, q in zip(critic.parameters(), target.parameters(), strict=True):
                    q.mul_(1 - self.settings.target_rate).add_(self.settings.target_rate * p)


class PlainBC:
    """Behavioural cloning with a task embedding."""

    def __init__(self, observation_size: int, action_size: int, tasks: int, settings: Settings):
        self.actor = TaskNetwork(observation_size, 0, action_size, tasks, settings)
        self.optimiser = torch.optim.Adam(self.actor.parameters(), settings.actor_learning_rate)

    def update(self, batch: Batch) -> None:
        """One step on a batch of one replica."""
        loss = F.mse_loss(self.actor(batch.observation[0], batch.task[0]).tanh(), batch.action[0])
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
