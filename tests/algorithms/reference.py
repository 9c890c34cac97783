"""One replica of SAC with CQL written out from the slides, slowly: float64, one critic after another, plain sums.

Nothing of hcsac is used but the names of its weights, from which the reference starts.
"""

import math

import torch
from torch.distributions import Normal
from torch.distributions.transforms import TanhTransform


class Reference:
    def __init__(self, agent, replica):
        self.set = agent.settings
        self.mean, self.std = agent.scaling.mean.double(), agent.scaling.std.double()
        weights = {
            part: {name: weight[replica].detach().double() for name, weight in getattr(agent, part).named_parameters()}
            for part in ("actor", "critic", "target")
        }
        self.actor, self.critic = ({k: v.clone().requires_grad_() for k, v in weights[p].items()} for p in weights
                                   if p != "target")  # fmt: skip
        self.target = {k: v.clone() for k, v in weights["target"].items()}
        self.log_alpha = agent.log_temperature[replica].detach().double().clone().requires_grad_()
        self.steps = 0
        s = self.set
        self.adam = {
            "alpha": torch.optim.Adam([self.log_alpha], lr=s.actor_learning_rate),
            "actor": torch.optim.Adam(list(self.actor.values()), lr=s.actor_learning_rate),
            "critic": torch.optim.Adam(list(self.critic.values()), lr=s.critic_learning_rate),
        }

    def state_of_task(self, table, observation, task):
        rows = []
        for s, i in zip(observation, task, strict=True):
            if self.set.embedding == "add":
                rows.append(s + table[i])
            elif self.set.embedding == "concat":
                rows.append(torch.cat([s, table[i]]))
            elif self.set.embedding == "onehot":
                rows.append(torch.cat([s, torch.eye(2, dtype=s.dtype)[i]]))
            else:
                rows.append(s)
        return torch.stack(rows)

    def layers(self, x, weight, prefix, norm):
        """weight(name) gives the matrices of one network."""

        def normal(x):
            return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()

        x = x @ weight("first.weight") + weight("first.bias")
        x = normal(x) if norm in ("first", "all") else x
        for number in range(self.set.hidden_layers - 1):
            name = f"{prefix}trunk.hidden.{number}"
            x = x.clamp(min=0) @ weight(name + ".weight") + weight(name + ".bias")
            x = normal(x) if norm == "all" else x
        return x.clamp(min=0) @ weight(prefix + "trunk.output.weight") + weight(prefix + "trunk.output.bias")

    def policy(self, observation, task):
        w = self.actor
        z = self.state_of_task(w.get("body.embedding.table"), observation, task)
        mean, raw = self.layers(z, lambda name: w["body." + name], "", "none").chunk(2, -1)
        return mean, (w["log_std_scale"] * raw + w["log_std_shift"]).clamp(-20, 2)

    def sample(self, mean, log_std, noise):
        u = mean + log_std.exp() * noise
        log_prob = Normal(mean, log_std.exp()).log_prob(u) - TanhTransform().log_abs_det_jacobian(u, torch.tanh(u))
        return torch.tanh(u), log_prob.sum(-1)

    def q(self, weights, e, observation, task, action):
        """[B] of critic e at action [B, A]."""
        table = weights["embedding.table"][e] if "embedding.table" in weights else None
        x = torch.cat([self.state_of_task(table, observation, task), action], -1)
        return self.layers(x, lambda name: weights[name][e], "", self.set.critic_layer_norm)[:, 0]

    def least(self, weights, observation, task, action):
        return self.every(weights, observation, task, action).amin(0)

    def every(self, weights, observation, task, action):
        return torch.stack([self.q(weights, e, observation, task, action) for e in range(self.set.critics)])

    def pessimistic(self, observation, task, action):
        """The target critics' value of the TD target."""
        if self.set.target_pessimism == "min":
            return self.least(self.target, observation, task, action)
        q = self.every(self.target, observation, task, action)
        mean = q.sum(0) / len(q)
        return mean - self.set.lcb_weight * (((q - mean) ** 2).sum(0) / (len(q) - 1)).sqrt()

    def proposals(self, s, s2, task, here, noise):
        """Per proposal: action, log-density, the state it is valued at, and whether the targets value it."""
        K, A = self.set.cql_samples, noise.uniform.shape[-1]
        for k in range(K):
            yield noise.uniform[:, k], torch.full((len(s),), A * math.log(1 / 2), dtype=s.dtype), s, False
        for k in range(K):
            yield *self.sample(*here, noise.here[:, k]), s, False
        where = self.set.next_actions
        if where != "none":
            there = self.policy(s2, task)
            for k in range(K):
                at = s if where == "online_at_state" else s2
                yield *self.sample(*there, noise.next[:, k]), at, where == "target_at_next"

    def critic_loss(self, s, task, action, y, proposals, pick, w=1, kept=1):
        loss = 0
        for e in range(self.set.critics):
            q = self.q(self.critic, e, s, task, action)
            values = [self.q(self.target if fixed else self.critic, e, at, task, a) for a, _, at, fixed in proposals]
            ratio = torch.stack(
                [v.exp() / p.exp() for v, (_, p, _, _) in zip(values, proposals, strict=True)]
            )  # [K', B]
            if self.set.cql_backward == "all":
                pull = ratio.mean(0).log()
            else:
                share = (ratio / ratio.sum(0)).detach().cumsum(0)
                pull = torch.zeros_like(q)
                for b in range(len(s)):
                    for u in pick[e, b]:
                        k = int((share[:, b] <= u).sum())
                        if not proposals[k][3]:
                            pull[b] = pull[b] + values[k][b] / pick.shape[-1]
            loss = loss + (w * (q - y) ** 2).mean() + self.set.cql_weight * (w * kept * (pull - q)).mean()
        return loss

    def update(self, batch, noise):
        def step(name, loss):
            for optimiser in self.adam.values():
                optimiser.zero_grad()
            loss.backward()
            self.adam[name].step()

        st = self.set
        task, reward, discount, action = batch.task, batch.reward.double(), batch.discount.double(), batch.action
        action = action.double()
        w = 1 if batch.weight is None else batch.weight.double()
        s, s2 = ((o.double() - self.mean) / self.std for o in (batch.observation, batch.next_observation))
        noise = type(noise)(*(n.double() for n in noise))

        mean, log_std = self.policy(s, task)
        a, log_pi = self.sample(mean, log_std, noise.actor)
        if self.steps >= st.bc_warmup:
            aim = -action.shape[-1] if st.target_entropy is None else st.target_entropy
            step("alpha", -(self.log_alpha * (log_pi.detach() + aim)).mean())
            alpha = self.log_alpha.detach().exp()
            q = self.least(self.critic, s, task, a)
            loss = (w * (alpha * log_pi - q)).mean()
            if st.bc_weight:
                loss = loss / q.detach().abs().mean() + st.bc_weight * (w * ((a - action) ** 2).mean(-1)).mean()
        else:
            alpha = self.log_alpha.detach().exp()
            loss = (w * ((a - action) ** 2).mean(-1)).mean()
        step("actor", loss)

        with torch.no_grad():
            a2, log_pi2 = self.sample(*self.policy(s2, task), noise.target)
            value = self.pessimistic(s2, task, a2) - (alpha * log_pi2 if st.backup_entropy else 0)
            y = reward + discount * value
            proposals = list(self.proposals(s, s2, task, (mean, log_std), noise))
        kept = batch.own.double() if getattr(st, "cql_rows", "all") == "own" else 1
        loss = self.critic_loss(s, task, action, y, proposals, noise.pick, w, kept)
        step("critic", loss)

        for name, weight in self.target.items():
            self.target[name] = (1 - st.target_rate) * weight + st.target_rate * self.critic[name].detach()
        self.steps += 1
