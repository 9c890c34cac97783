"""One tester for every algorithm and every switch."""

import numpy as np
import pytest
import torch

from hcsac.algorithms import ALGORITHMS, Scaling, make_algorithm, preset, resolve, settings_of
from hcsac.algorithms.algorithm import generators
from hcsac.errors import UserError
from hcsac.networks.actors import squashed_sample
from hcsac.settings import applicable
from hcsac.sharing.active import ActiveDataset
from hcsac.types import Spec

CPU = torch.device("cpu")
TINY = {"hidden_size": 8, "hidden_layers": 2, "batch_size": 16, "cql_samples": 3, "device": "cpu", "updates": 20}
PARTS = {"bc": ("actor",)}
PARTS |= dict.fromkeys(("td3_bc", "rebrac"), ("actor", "critic", "target.", "target_actor"))
PARTS |= {"iql": ("actor", "critic", "target", "value")}
PARTS |= {"one_step": ("critic", "target")}  # the actors move later
PARTS |= dict.fromkeys(("csac", "mtcsac", "hcsac"), ("actor", "critic", "target", "log_temperature"))
SWITCHES = [
    {},
    {"embedding": "add"},
    {"embedding": "concat"},
    {"embedding": "onehot"},
    {"embedding": "none"},
    {"next_actions": "target_at_next"},
    {"next_actions": "online_at_state"},
    {"next_actions": "online_at_next"},
    {"backup_entropy": False},
    {"cql_backward": "sampled"},
    {"critic_layer_norm": "first"},
    {"critic_layer_norm": "all"},
    {"critics": 3},
    {"cql_backward": "sampled", "next_actions": "target_at_next"},
    {"precision": "bf16"},
    {"bc_warmup": 2},
    {"bc_weight": 1.0},
    {"standardise_observations": True},
    {"target_pessimism": "lcb", "critics": 5},
    {"actors": 3},
    {"actors": 2, "next_actions": "target_at_next"},
    {"policy_average": 0.9, "actor_decay": "cosine", "critic_decay": "linear", "updates": 20},
    {"critic_freeze": 0.5, "updates": 6},
]
FOR_ALL = [{}, {"embedding": "add"}, {"actors": 3, "policy_average": 0.9}]
OWN = {
    "one_step": [{"critic_part": 0.0}, {"critic_part": 0.4, "updates": 6, "actors": 2, "judge_part": 0.3}],
    "iql": [{"extraction": "ddpg_bc"}, {"critic_freeze": 0.5, "updates": 6}],
}


def build(name, data, seeds=(0,), **changes):
    kind = settings_of(name)
    settings = resolve(name, kind().replace(applicable(kind, TINY) | changes), data.task_names)
    scaling = Scaling(torch.full((3,), 0.1), torch.full((3,), 2.0))
    agent = make_algorithm(name, Spec(3, 2, data.task_names), settings, seeds, scaling)
    return agent, ActiveDataset(data, 0.99, "keep", generators(seeds, 2), CPU)


def advance(agent, active):
    """One update on the minibatch that it asks for."""
    return agent.advance(active.sample(*agent.next_draw()))


def weights(agent):
    return {name: tensor.clone() for name, tensor in agent.state().items()}


def cases():
    for name in ALGORITHMS:
        for switch in SWITCHES if name == "mtcsac" else FOR_ALL + OWN.get(name, []):
            if not (name == "csac" and "embedding" in switch):
                yield pytest.param(name, switch, id=f"{name}-{switch}")


@pytest.mark.parametrize(("name", "switch"), list(cases()))
class TestEveryAgent:
    def data(self, name, slides):
        return slides.select(["slide-left"]) if name == "csac" else slides

    def test_learns_and_reports_finite_numbers(self, name, switch, slides):
        agent, active = build(name, self.data(name, slides), seeds=(0, 1), **switch)
        before = weights(agent)
        for _ in range(4):
            info = advance(agent, active)
        after = weights(agent)
        for value in info.values():
            assert value.shape == (2,)
            assert torch.isfinite(value).all()
        for part in PARTS[name] if switch.get("critic_part") is None else ():
            assert any(not torch.equal(before[k], after[k]) for k in before if k.startswith(part)), part

    def test_replica_equals_the_run_with_its_seed(self, name, switch, slides):
        data = self.data(name, slides)
        (many, batches), (one, batch) = build(name, data, (4, 9), **switch), build(name, data, (9,), **switch)
        for _ in range(10 if switch else 100):
            advance(many, batches)
            advance(one, batch)
        together, alone = many.state(), one.state()
        for name, tensor in alone.items():
            if name == "noise.0":
                assert torch.equal(together["noise.1"], tensor)
            elif tensor.dim() > 0:  # counts of steps have no replica
                loose = 0.02 if switch.get("precision") == "bf16" else 1e-4
                of_second = together[name].unflatten(0, (2, -1))[1]
                torch.testing.assert_close(of_second, tensor, rtol=loose, atol=loose, msg=name)

    def test_continues_exactly_from_its_state(self, name, switch, slides):
        data = self.data(name, slides)
        agent, active = build(name, data, (0,), **switch)
        for _ in range(3):
            advance(agent, active)
        other, _ = build(name, data, (5,), **switch)
        other.load_state(weights(agent))
        for _ in range(3):
            batch = active.sample(*agent.next_draw())
            agent.advance(batch)
            other.advance(batch)
        for key, value in agent.state().items():
            assert torch.equal(value, other.state()[key]), key

    def test_acts_inside_the_bounds_and_the_same_twice(self, name, switch, slides):
        agent, _ = build(name, self.data(name, slides), (0, 1), **switch)
        observation, task = 50 * torch.randn(2, 6, 3), torch.zeros(2, 6, dtype=torch.int64)
        action = agent.act(observation, task)
        assert action.shape == (2, 6, 2)
        assert action.abs().max() <= 1
        assert torch.equal(action, agent.act(observation, task))


@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_acts_by_the_tanh_of_its_mean_at_scaled_observations(name, slides):
    changes = {} if name == "csac" else {"embedding": "none"}
    changes |= {"candidates": "1:own"} if name == "one_step" else {}
    agent, _ = build(name, slides.select(["slide-left"]), (0, 1), hidden_layers=1, **changes)
    observation, task = torch.randn(2, 5, 3), torch.zeros(2, 5, dtype=torch.int64)
    w = {key: tensor for key, tensor in agent.state().items() if key.startswith("actor.")}
    hidden = torch.relu((observation - 0.1) / 2.0 @ w["actor.body.first.weight"] + w["actor.body.first.bias"])
    out = hidden @ w["actor.body.trunk.output.weight"] + w["actor.body.trunk.output.bias"]
    torch.testing.assert_close(agent.act(observation, task), torch.tanh(out[..., :2]))


def test_bc_descends_on_the_squared_error_at_the_actors_rate(slides):
    agent, active = build("bc", slides, (0, 1), actor_learning_rate=2e-3)
    before = [p.detach().clone() for p in agent.actor.parameters()]
    batch = active.sample(16)
    error = agent.actor(agent.scaling(batch.observation), batch.task) - batch.action
    gradients = torch.autograd.grad(error.square().mean((1, 2)).sum(), list(agent.actor.parameters()))
    info = agent.advance(batch)
    torch.testing.assert_close(info["imitation_loss"], error.detach().square().mean((1, 2)))
    for p, old, g in zip(agent.actor.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(p, old - 2e-3 * g / (g.abs() + 1e-8), rtol=1e-4, atol=1e-6)


def test_begins_with_targets_equal_to_the_critics_and_the_asked_temperature(slides):
    agent, _ = build("mtcsac", slides, (0, 1), initial_temperature=0.2)
    for p, q in zip(agent.target.parameters(), agent.critic.parameters(), strict=True):
        assert torch.equal(p, q)
        assert not p.requires_grad
    torch.testing.assert_close(agent.log_temperature.detach().exp(), torch.tensor([0.2, 0.2]))
    assert agent.target_entropy == -2.0  # minus the action size


def test_generators_of_seeds_and_streams_are_all_different():
    drawn = [g.initial_seed() for stream in range(3) for g in generators(range(100), stream)]
    assert len(set(drawn)) == 300


def test_noise_is_what_its_legend_says(slides):
    agent, _ = build("mtcsac", slides, (0, 1), next_actions="target_at_next", cql_samples=50, critics=3,
                          cql_backward="sampled", cql_picks=4)  # fmt: skip
    noise = agent.noise(agent.random, 16)
    shapes = {"actor": (16, 2), "target": (16, 2), "here": (16, 50, 2), "next": (16, 50, 2), "uniform": (16, 50, 2),
              "pick": (3, 16, 4)}  # fmt: skip
    for name, shape in shapes.items():
        assert getattr(noise, name).shape == (2, *shape)
    for normal in (noise.here, noise.next):
        assert abs(normal.mean()) < 0.1
        assert abs(normal.std() - 1) < 0.1
    for low, high, flat in ((-1, 1, noise.uniform), (0, 1, noise.pick)):
        assert low <= flat.min() < low + 0.1
        assert high - 0.1 < flat.max() < high
    # Nothing is drawn once and used twice, between states, replicas, kinds or updates: float32 has few coincidences.
    again = torch.cat([n.flatten() for n in agent.noise(agent.random, 16)])
    kinds = (noise.actor, noise.target, noise.here, noise.next, noise.uniform)
    for one in kinds:
        values = one.flatten().unique()
        assert len(values) > 0.99 * one.numel()
        for other in (*(kind for kind in kinds if kind is not one), again):
            assert torch.isin(values, other).float().mean() < 0.01


def test_metrics_mean_what_they_are_called(slides):
    agent, active = build("mtcsac", slides, (0, 1))
    batch = active.sample(16)
    noise = agent.noise(agent.random, 16)
    s = agent.scaling(batch.observation)
    with torch.no_grad():
        _, log_pi = squashed_sample(*agent.actor(s, batch.task), noise.actor)
        q = agent.critic(s, batch.task, batch.action[:, :, None]).mean((1, 2, 3))
        q_uniform = agent.critic(s, batch.task, noise.uniform).mean((1, 2, 3))
    info = agent.advance(batch, noise)
    torch.testing.assert_close(info["entropy"], -log_pi.mean(-1))
    torch.testing.assert_close(info["q"], q)
    torch.testing.assert_close(info["q_uniform"], q_uniform)
    torch.testing.assert_close(info["temperature"], agent.log_temperature.detach().exp())


def test_a_replica_that_diverges_leaves_the_others_alone(slides):
    (many, batches), (one, batch) = build("mtcsac", slides, (4, 9)), build("mtcsac", slides, (9,))
    with torch.no_grad():
        many.critic.first.weight[0] = float("nan")
    for _ in range(3):
        many.advance(batches.sample(16))
        one.advance(batch.sample(16))
    for p, q in zip(many.critic.parameters(), one.critic.parameters(), strict=True):
        torch.testing.assert_close(p[1:], q, rtol=1e-5, atol=1e-5)


def test_score_is_the_least_critic_under_the_asked_task(slides):
    agent, _ = build("mtcsac", slides, (0, 1))
    everything = torch.tensor(slides.observation), torch.tensor(slides.action)
    score = agent.values(*everything, 1)
    tasks = torch.ones(2, len(slides), dtype=torch.int64)
    observation = agent.scaling(everything[0]).expand(2, -1, -1)
    q = agent.critic(observation, tasks, everything[1].expand(2, -1, -1)[:, :, None])[..., 0]
    torch.testing.assert_close(score, torch.minimum(q[:, 0], q[:, 1]))
    assert not torch.equal(score, agent.values(*everything, 0))


@pytest.mark.parametrize(("name", "changes"), [("hcsac", {}), ("td3_bc", {"actors": 2}), ("one_step", {}), ("iql", {})])
def test_advantages_are_over_the_value_of_the_state(name, changes, slides):
    agent, active = build(name, slides, (0, 1), **changes)
    agent.advance(active.sample(*agent.next_draw()))
    states, actions = torch.tensor(slides.observation), torch.tensor(slides.action)
    tasks = torch.ones(2, len(slides), dtype=torch.int64)
    scaled = agent.scaling(states).expand(2, -1, -1)
    if name == "iql":
        with torch.no_grad():
            value = agent.value(scaled, tasks)
    else:
        value = agent.score(scaled, agent.act(states.expand(2, -1, -1), tasks), tasks).detach()
    expected = agent.values(states, actions, 1) - value
    torch.testing.assert_close(agent.values(states, actions, 1, advantages=True), expected)


def test_warmup_leaves_temperature_and_ignores_q(slides):
    agent, active = build("mtcsac", slides, bc_warmup=2)
    temperature = agent.log_temperature.clone()
    for _ in range(2):
        info = agent.advance(active.sample(16))
        assert torch.equal(agent.log_temperature, temperature)
        assert 0 < info["actor_loss"].item() < 4  # a mean squared error of actions
    agent.advance(active.sample(16))
    assert not torch.equal(agent.log_temperature, temperature)


def test_warmup_ends_at_the_same_update_after_a_resume(slides):
    agent, active = build("mtcsac", slides, bc_warmup=3)
    for _ in range(2):
        agent.advance(active.sample(16))
    other, _ = build("mtcsac", slides, bc_warmup=3)
    other.load_state(agent.state())
    changed = []
    for _ in range(2):
        before = other.log_temperature.clone()
        other.advance(active.sample(16))
        changed.append(not torch.equal(before, other.log_temperature))
    assert changed == [False, True]


@pytest.mark.parametrize("embedding", ["add", "onehot"])
def test_targets_follow_by_the_rate(embedding, slides):
    agent, active = build("mtcsac", slides, target_rate=0.25, embedding=embedding)
    before = {name: p.clone() for name, p in agent.target.named_parameters()}
    agent.advance(active.sample(16))
    for name, p in agent.critic.named_parameters():
        expected = before[name] + 0.25 * (p - before[name])
        torch.testing.assert_close(agent.target.get_parameter(name), expected)
        assert not torch.equal(p, before[name])


def test_sampled_gradient_is_the_whole_one_on_average(slides):
    """Many picks of the same proposals: the critic's gradient nears the exact one."""
    whole, active = build("mtcsac", slides)
    sampled, _ = build("mtcsac", slides, cql_backward="sampled", cql_picks=4000)
    batch = active.sample(4)
    noise = whole.noise(whole.random, 4)
    mean, log_std = whole.actor(batch.observation, batch.task)
    proposals = whole.proposals(batch, mean.detach(), log_std.detach(), noise)
    target = torch.zeros(1, 4)
    pick = torch.rand(1, 2, 4, 4000, generator=torch.Generator().manual_seed(0))
    gradients = []
    for agent in (whole, sampled):
        loss, _ = agent.critic_loss(batch, target, *proposals, pick)
        gradients.append(torch.autograd.grad(loss.sum(), agent.critic.trunk.hidden[0].weight)[0])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.1, atol=0.02)


def test_the_update_happens_in_the_documented_order(slides):
    """Recompute one update step by step with NumPy-checked losses and a hand-written first Adam step."""
    from hcsac.losses import cql, sac

    agent, active = build("mtcsac", slides)
    twin, _ = build("mtcsac", slides)
    batch = active.sample(16)
    noise = agent.noise(agent.random, 16)
    agent.advance(batch, noise)

    def first_adam(parameters, loss):  # the first step of Adam moves every weight by rate * g / (|g| + eps)
        gradients = torch.autograd.grad(loss.sum(), parameters)
        with torch.no_grad():
            for p, g in zip(parameters, gradients, strict=True):
                p -= 3e-4 * g / (g.abs() + 1e-8)

    s, s2 = twin.scaling(batch.observation), twin.scaling(batch.next_observation)
    mean, log_std = twin.actor(s, batch.task)
    a, log_pi = squashed_sample(mean, log_std, noise.actor)
    first_adam([twin.log_temperature], sac.temperature_loss(twin.log_temperature, log_pi, -2.0))
    alpha = twin.log_temperature.detach().exp()
    assert alpha != 1  # the actor already sees the new temperature
    q = twin.critic(s, batch.task, a[:, :, None])[..., 0]
    here, here_density = squashed_sample(mean.detach()[:, :, None], log_std.detach()[:, :, None], noise.here)
    first_adam(list(twin.actor.parameters()), sac.actor_loss(alpha, log_pi, q))
    with torch.no_grad():  # the target already sees the new actor
        a2, log_pi2 = squashed_sample(*twin.actor(s2, batch.task), noise.target)
        next_q = twin.target(s2, batch.task, a2[:, :, None])[..., 0]
        y = sac.td_target(batch.reward, batch.discount, next_q, log_pi2, alpha, True)
    data_q = twin.critic(s, batch.task, batch.action[:, :, None])[..., 0]
    q_u, q_pi = twin.critic(s, batch.task, noise.uniform), twin.critic(s, batch.task, here)
    flat = torch.full_like(here_density, -2 * np.log(2))
    lse = cql.log_sum_exp(torch.cat([q_u, q_pi], -1), torch.cat([flat, here_density], -1))
    first_adam(list(twin.critic.parameters()), sac.bellman_loss(data_q, y) + 5.0 * cql.conservative_loss(lse, data_q))

    for name in ("actor", "critic"):
        for p, expected in zip(getattr(agent, name).parameters(), getattr(twin, name).parameters(), strict=True):
            torch.testing.assert_close(p, expected, rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(agent.log_temperature, twin.log_temperature)


def test_csac_refuses_two_tasks(slides):
    with pytest.raises(UserError, match=r"csac learns one task.*--tasks"):
        resolve("csac", preset("slides", "csac"), slides.task_names)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("hcsak", {}, "unknown algorithm 'hcsak'; did you mean 'hcsac'"),
        ("hcsac", {"cql_backward": "sampled", "next_actions": "online_at_next"}, "online_at_next.*use 'all'"),
        ("hcsac", {"sharing": "uds", "reward_rule": "keep"}, "'uds' means reward_rule = 'zero', not 'keep'"),
        ("hcsac", {"sharing": "utds"}, "needs critics of at least 5, not 2; add --critics 5"),
        ("hcsac", {"sharing": "utds", "critics": 5, "target_pessimism": "min"}, "means target_pessimism = 'lcb'"),
        ("mtcsac", {"critics": 1, "target_pessimism": "lcb"}, "at least 2 critics, not 1"),
        ("hcsac", {"share": "slide-lift:slide-right"}, "did you mean 'slide-left'"),
    ],
)
def test_resolve_refuses(name, changes, says, slides):
    with pytest.raises(UserError, match=says):
        resolve(name, settings_of(name)().replace(changes), slides.task_names)


def test_resolve_leaves_nothing_for_the_machine_to_decide(slides):
    settings = resolve("hcsac", settings_of("hcsac")().replace({"precision": "auto"}), slides.task_names)
    assert settings.device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert settings.precision in ("float32", "bf16")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="sees no GPU"):
            resolve("hcsac", settings_of("hcsac")().replace({"device": "cuda"}), slides.task_names)


def test_names_fix_what_they_mean(slides):
    assert "sharing" not in settings_of("mtcsac")().as_dict()
    assert "embedding" not in settings_of("csac")().as_dict()
    assert preset("slides", "csac").embedding == "none"
    assert resolve("hcsac", preset("slides", "hcsac"), slides.task_names).sharing == "quantile"
    assert preset("slides", "td3_bc").sharing == "none"


@pytest.mark.parametrize(
    ("changes", "reward_rule", "target_pessimism"),
    [
        ({}, "keep", "min"),
        ({"reward_rule": "zero"}, "zero", "min"),
        ({"sharing": "uds"}, "zero", "min"),
        ({"sharing": "uds", "reward_rule": "zero"}, "zero", "min"),
        ({"sharing": "utds", "critics": 6}, "keep", "lcb"),
        ({"sharing": "all", "target_pessimism": "lcb"}, "keep", "lcb"),
    ],
)
def test_a_sharing_rule_brings_what_it_implies(changes, reward_rule, target_pessimism, slides):
    settings = resolve("hcsac", settings_of("hcsac")().replace(changes), slides.task_names)
    assert (settings.reward_rule, settings.target_pessimism) == (reward_rule, target_pessimism)
    assert resolve("hcsac", settings, slides.task_names) == settings
