"""The compiled update computes what the eager one does, and is chosen where it pays."""

import pytest
import torch

from hcsac.algorithms import make_algorithm, resolve, settings_of
from hcsac.algorithms.algorithm import generators
from hcsac.algorithms.compiled import wants_compile
from hcsac.errors import UserError
from hcsac.settings import Settings, applicable
from hcsac.sharing.active import ActiveDataset
from hcsac.types import Spec
from tests.algorithms.test_algorithms import CPU, TINY


@pytest.mark.parametrize(
    "changes",
    [
        {"cql_backward": "sampled", "bc_weight": 1.0, "hidden_layers": 1},
        pytest.param({"cql_backward": "sampled", "bc_weight": 1.0}, marks=pytest.mark.long),
        pytest.param({"bc_warmup": 2}, marks=pytest.mark.long),
        pytest.param({}, marks=pytest.mark.long),
        pytest.param({"next_actions": "target_at_next", "precision": "bf16"}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_compiled_equals_eager(slides, changes):
    """One compiled region computes what the plain operations do, in one graph and with two replicas."""
    settings = resolve("mtcsac", settings_of("mtcsac")().replace(TINY | changes), slides.task_names)
    spec = Spec(3, 2, slides.task_names)
    pair = [make_algorithm("mtcsac", spec, settings, (0, 1), compiled=compiled) for compiled in (False, True)]
    active = ActiveDataset(slides, 0.99, "keep", generators((0, 1), 2), CPU)
    # A bf16 number has 8 bits, and what is fused is rounded less often.
    loose = {"rtol": 2e-2, "atol": 2e-3} if settings.precision == "bf16" else {"rtol": 1e-3, "atol": 1e-4}
    for _ in range(5):
        batch = active.sample(16)
        infos = [agent.advance(batch) for agent in pair]
        for key, value in infos[0].items():
            torch.testing.assert_close(infos[1][key], value, **loose)
    states = [agent.state() for agent in pair]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, **loose)


@pytest.mark.long
@pytest.mark.parametrize("name", ["bc", "iql", "one_step", "rebrac", "td3_bc"])
def test_other_algorithms_compiled_equal_eager(name, slides):
    kind, spec = settings_of(name), Spec(3, 2, slides.task_names)
    settings = resolve(name, kind().replace(applicable(kind, TINY)), slides.task_names)
    pair = [make_algorithm(name, spec, settings, (0,), compiled=compiled) for compiled in (False, True)]
    active = ActiveDataset(slides, 0.99, "keep", generators((0,), 2), CPU)
    for _ in range(5):
        batch = active.sample(*pair[0].next_draw())
        for agent in pair:
            agent.advance(batch)
    for a, b in zip(pair[0].actor.parameters(), pair[1].actor.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


class TestWhetherToCompile:
    @pytest.mark.parametrize(("choice", "updates", "answer"), [
        ("off", 10**6, False), ("on", 1, True), ("auto", 9_999, False), ("auto", 10_000, True)])  # fmt: skip
    def test_by_the_length_of_the_run(self, choice, updates, answer, monkeypatch):
        monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/" + name)
        assert wants_compile(Settings(compile=choice), updates) == answer

    def test_without_a_compiler(self, monkeypatch):
        monkeypatch.setenv("CXX", "no-such-compiler")
        assert not wants_compile(Settings(), 10**6)
        with pytest.raises(UserError, match=r"compile = 'on' needs the C\+\+ compiler 'no-such-compiler'"):
            wants_compile(Settings(compile="on"), 1)
