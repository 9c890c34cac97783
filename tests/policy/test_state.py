"""Policies of several actors and candidates: what leaves the run is what acted in it, and nothing that never acts."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hcsac.algorithms import ALGORITHMS, Algorithm
from hcsac.policy import Policy, export_policy, load_policy
from hcsac.policy.state import PolicyState
from hcsac.training import checkpoint, train
from tests.policy.conftest import TASKS, S, settings, state_of
from tests.training.conftest import agent_of

ROWS = np.random.default_rng(0).normal(size=(2, 40, 3)).astype(np.float32)
TASK = np.random.default_rng(1).integers(0, 2, (2, 40))


def trained(agent, slides, path, choice=None, **changes):
    """A run of two seeds; `choice` takes the place of the candidates that it chose."""
    run = train(agent, slides, path / "run", settings(agent, updates=6, **changes), seeds=(3, 5), progress=False)
    if choice is not None:
        state, update = checkpoint.load(run.checkpoint)
        checkpoint.save(run.checkpoint, state | {"agent/choice": torch.tensor(choice)}, update)
    return run


@pytest.mark.parametrize(
    ("agent", "changes"),
    [
        ("td3_bc", {"actors": 3}),
        ("hcsac", {"actors": 2, "policy_average": 0.9}),
        ("one_step", {"candidates": "0.1:own,1:own,3:own", "choice": [[1, 1], [1, 1]]}),
        (
            "one_step",
            {"candidates": "0.1:own,1:own,3:own", "choice": [[2, 0], [2, 2]], "actors": 2, "policy_average": 0.9},
        ),
    ],
)
def test_a_bundle_acts_as_the_agent_of_its_run(agent, changes, slides, tmp_path, no_graph):
    run = trained(agent, slides, tmp_path, **changes)
    expected = agent_of(run).act(torch.tensor(ROWS), torch.tensor(TASK)).numpy()
    for path in (run.path, export_policy(run.path).path):
        np.testing.assert_allclose(load_policy(path).act_all(ROWS, TASK), expected, atol=1e-6)
    single = export_policy(run.path, tmp_path / "five", seed=5)
    acted = load_policy(single.path).act_all(ROWS[1:], TASK[1:])
    np.testing.assert_allclose(acted[0], expected[1], atol=1e-6)


def test_the_onnx_file_of_several_actors_and_candidates_acts_as_the_agent_of_its_run(slides, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (pip install onnxruntime)")
    run = trained("one_step", slides, tmp_path, candidates="0.1:own,1:own,3:own", choice=[[2, 0], [1, 1]], actors=3,
                  policy_average=0.9)  # fmt: skip
    expected = agent_of(run).act(torch.tensor(ROWS), torch.tensor(TASK)).numpy()
    session = runtime.InferenceSession(str(export_policy(run.path).path / "policy.onnx"))
    action = session.run(["action"], {"observation": ROWS[0], "task": TASK[0]})[0]
    np.testing.assert_allclose(action, expected[0], atol=1e-5)


@pytest.mark.parametrize(
    ("choice", "kept", "of_five"),
    [
        ([[1, 1], [1, 1]], "1:own", "1:own"),
        ([[2, 0], [2, 2]], "0.1:own,3:own", "3:own"),
        ([[0, 1], [2, 0]], "0.1:own,1:own,3:own", "0.1:own,3:own"),
    ],
)
def test_a_bundle_has_only_the_candidates_that_act(choice, kept, of_five, slides, tmp_path, no_graph):
    run = trained("one_step", slides, tmp_path, candidates="0.1:own,1.0:own,3:own", choice=choice, actors=2)
    for seed, words in ((None, kept), (5, of_five)):
        bundle = export_policy(run.path, tmp_path / "out", seed).path
        record = json.loads((bundle / "policy.json").read_text())
        assert record["settings"] == run.identity()["settings"] | {"candidates": words}
        tensors = load_file(bundle / "policy.safetensors")
        candidates = words.count(",") + 1
        replicas = 2 if seed is None else 1
        assert all(len(t) == replicas * candidates * 2 for name, t in tensors.items() if name.startswith("actor."))
        assert ("choice" in tensors) == (candidates > 1)


def test_an_algorithm_that_cannot_leave_candidates_out_keeps_them(monkeypatch):
    plain = Algorithm.__dict__["with_candidates"]
    monkeypatch.setattr(ALGORITHMS.get("one_step"), "with_candidates", plain)
    state = state_of("one_step", "onehot", candidates="0.1:own,1:own,3:own", choice=[[2, 0, 2]])
    assert state.pruned() is state


def test_pruning_changes_no_action():
    state = state_of("one_step", "add", seeds=(0, 1, 2), candidates="1:own,2:own,3:own,4:own", actors=2,
                     choice=[[3, 1, 3], [1, 1, 1], [3, 3, 1]])  # fmt: skip
    pruned = state.pruned()
    assert pruned.settings.candidates == "2:own,4:own"
    rows, task = np.random.default_rng(0).normal(size=(3, 50, S)).astype(np.float32), np.arange(150).reshape(3, 50) % 3
    np.testing.assert_allclose(Policy(pruned).act_all(rows, task), Policy(state).act_all(rows, task), atol=1e-6)
    for r, seed in enumerate(state.seeds):
        acted = Policy(state.only(seed)).act_all(rows[r : r + 1], task[r : r + 1])
        np.testing.assert_allclose(acted[0], Policy(state).act_all(rows, task)[r], atol=1e-6)
    assert isinstance(pruned, PolicyState)
    assert pruned.tasks == TASKS
