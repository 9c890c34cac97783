"""The ONNX file computes what PyTorch does, whatever the agent and the embedding."""

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from hcsac.algorithms import SingleReplicaPolicy
from hcsac.errors import UserError
from hcsac.policy import Policy
from hcsac.policy import onnx as graph
from hcsac.policy.onnx import largest_difference, onnx_bytes
from tests.policy.conftest import KINDS, TASKS, A, S, state_of

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (pip install onnxruntime)")


def inputs(rows=1000):
    draw = np.random.default_rng(1)
    return draw.normal(size=(rows, S)).astype(np.float32), draw.integers(0, len(TASKS), rows)


def plain(state, observation, task, member=0):
    """One network of the policy by hand, in float64."""
    held = {name: tensor.double().numpy() for name, tensor in state.network.state_dict().items()}
    x = (observation - held["scaling.mean"]) / held["scaling.std"]
    body = {name.removeprefix("actor.body."): tensor[member] for name, tensor in held.items() if "body" in name}
    one_hot = np.eye(len(TASKS))[task]
    if "embedding.table" in body:
        e = one_hot @ body["embedding.table"]
        x = x + e if state.settings.embedding == "add" else np.concatenate([x, e], 1)
    elif state.settings.embedding == "onehot":
        x = np.concatenate([x, one_hot], 1)
    for layer in ("first", "trunk.hidden.0"):
        x = np.maximum(x @ body[f"{layer}.weight"] + body[f"{layer}.bias"], 0)
    return np.tanh(x @ body["trunk.output.weight"] + body["trunk.output.bias"])[:, :A]


def run_onnx(content, observation, task):
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["action"], {"observation": observation, "task": task})[0]


@pytest.mark.parametrize(("agent", "embedding"), KINDS)
@pytest.mark.parametrize("standardise", [True, False])
def test_what_is_exported_is_what_the_policy_does_by_hand(agent, embedding, standardise):
    """Every kind in PyTorch; the next tests hold ONNX against PyTorch."""
    state = state_of(agent, embedding, standardise, precision="bf16")
    observation, task = inputs()
    action = SingleReplicaPolicy(state.network, len(TASKS))(torch.tensor(observation), torch.tensor(task)).numpy()
    np.testing.assert_allclose(action, plain(state, observation, task), atol=1e-5)
    for m, name in enumerate(TASKS):
        np.testing.assert_array_equal(Policy(state).act(observation[task == m], name), action[task == m])


def check(agent, embedding, standardise, precision):
    state = state_of(agent, embedding, standardise, precision)
    content = onnx_bytes(state, {})
    assert largest_difference(content, state) < 1e-5
    observation, task = inputs()
    np.testing.assert_allclose(run_onnx(content, observation, task), plain(state, observation, task), atol=1e-5)


@pytest.mark.parametrize(
    ("agent", "embedding", "standardise", "precision"),
    [("bc", "onehot", True, "float32"), ("csac", "none", False, "float32"), ("mtcsac", "concat", True, "float32"),
     ("hcsac", "add", True, "bf16")],
)  # fmt: skip
def test_onnx_agrees(agent, embedding, standardise, precision):
    check(agent, embedding, standardise, precision)


@pytest.mark.parametrize(
    ("agent", "changes"),
    [("td3_bc", {"actors": 3}), ("one_step", {"candidates": "1:own,2:own,3:own", "actors": 2, "choice": [[2, 0, 2]]})],
)
def test_several_actors_and_candidates_are_one_file(agent, changes):
    state = state_of(agent, "onehot", **changes)
    observation, task = inputs()
    networks = len(state.network.actor.body.first.weight)
    members = [plain(state, observation, task, member) for member in range(networks)]
    if agent == "td3_bc":
        expected = np.mean(members, 0)
    else:  # [C P, n, A]
        of_candidate = np.stack(members).reshape(3, 2, len(task), A).mean(1)
        expected = of_candidate[np.array([2, 0, 2])[task], np.arange(len(task))]
    content = onnx_bytes(state.pruned(), {})
    assert largest_difference(content, state) < 1e-5
    np.testing.assert_allclose(run_onnx(content, observation, task), expected, atol=1e-5)


def test_a_policy_with_noise_gives_its_mean_and_the_noise():
    state = state_of("td3_bc", "onehot", actors=3, disagreement_noise=2.0)
    observation, task = inputs()
    members = np.stack([plain(state, observation, task, member) for member in range(3)])
    content = onnx_bytes(state, {})
    assert largest_difference(content, state) < 1e-5
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    mean, std = session.run(["action", "noise_std"], {"observation": observation, "task": task})
    np.testing.assert_allclose(mean, members.mean(0), atol=1e-5)
    np.testing.assert_allclose(std, 2 * members.std(0, ddof=1), atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(("agent", "embedding"), KINDS)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_onnx_of_every_kind_agrees(agent, embedding, precision):
    check(agent, embedding, precision == "float32", precision)


@pytest.fixture(scope="module")
def hcsac_add():
    state = state_of("hcsac", "add")
    return state, onnx_bytes(state, {"seed": "0"})


def test_any_number_of_rows_and_a_task_that_is_none(hcsac_add):
    content = hcsac_add[1]
    observation, task = inputs(7)
    whole = run_onnx(content, observation, task)
    assert whole.dtype == np.float32
    for rows in (0, 1, 2, 7):
        part = run_onnx(content, observation[:rows], task[:rows])
        assert part.shape == (rows, A)
        np.testing.assert_allclose(part, whole[:rows], atol=1e-6)
    wild = run_onnx(content, 1e6 * observation, np.array([0, 1, 2, 3, -1, 99, 0]))
    assert np.isnan(wild[3:6]).all()
    assert abs(np.delete(wild, [3, 4, 5], 0)).max() <= 1


def test_the_file_says_what_it_is_and_nothing_of_this_machine(hcsac_add):
    state, content = hcsac_add
    held = onnxruntime.InferenceSession(content).get_modelmeta().custom_metadata_map
    assert json.loads(held["tasks"]) == TASKS
    assert held["seed"] == "0"
    for word in (b".py", b"site-packages", b"stack_trace", str(Path.home()).encode(), str(Path.cwd()).encode()):
        assert word not in content
    assert onnx_bytes(state, {"seed": "0"}) == content


def test_the_exporter_is_silent_and_left_as_it_was(capfd):
    level = logging.getLogger("torch.onnx").level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        onnx_bytes(state_of("bc", "add"), {})
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("torch.onnx").level == level


def test_another_policy_is_refused(hcsac_add, monkeypatch):
    state, content = hcsac_add
    other = state_of("hcsac", "add")
    with torch.no_grad():
        other.network.actor.body.trunk.output.bias.add_(1e-3)
    with pytest.raises(UserError, match=r"differs from PyTorch by \d.*, more than 1e-05; nothing was written"):
        largest_difference(content, other)
    with torch.no_grad():
        other.network.actor.body.trunk.output.bias.fill_(torch.nan)
    with pytest.raises(UserError, match="differs from PyTorch by nan"):
        largest_difference(content, other)
    monkeypatch.setattr(graph, "TOLERANCE", 0.0)
    with pytest.raises(UserError, match="differs"):
        largest_difference(content, state)
