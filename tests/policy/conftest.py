"""One exported run for all, and policies of every kind without a run."""

import shutil
from pathlib import Path

import pytest
import torch

from hcsac.algorithms import ALGORITHMS, make_policy
from hcsac.policy import export
from hcsac.policy.state import PolicyState
from hcsac.settings import applicable
from hcsac.training import RunDirectory
from hcsac.types import Spec
from tests.training.conftest import exported, finished, settings  # noqa: F401 (fixtures)

EMBEDDINGS = ("add", "concat", "onehot", "none")
KINDS = [(agent, embedding) for agent in ALGORITHMS for embedding in EMBEDDINGS if agent != "csac"]
KINDS.append(("csac", "none"))
S, A, TASKS = 5, 2, ["walk", "run", "stand"]


@pytest.fixture
def run(exported, tmp_path):  # noqa: F811
    """A copy of the exported run to change; its bundle is in `policy`."""
    shutil.copytree(exported.path, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


@pytest.fixture
def no_graph(monkeypatch):
    """For tests of what surrounds the ONNX file, whose making takes seconds."""
    monkeypatch.setattr(export, "onnx_bytes", lambda state, description: b"onnx")
    monkeypatch.setattr(export, "largest_difference", lambda content, state: None)


def state_of(
    agent, embedding, standardise=True, precision="float32", seeds=(0,), hidden_size=16, choice=None, **changes
):
    """A policy of random weights; `choice` [R][M] where there are several candidates."""
    chosen = settings(agent, precision=precision, hidden_size=hidden_size, **changes)
    chosen = chosen.replace(applicable(type(chosen), {"embedding": embedding}))
    draw = torch.Generator().manual_seed(7)
    tensors = make_policy(agent, Spec(S, A, tuple(TASKS)), chosen, len(seeds)).state_dict()
    tensors = {name: 0.3 * torch.randn(tensor.shape, generator=draw) for name, tensor in tensors.items()}
    tensors["scaling.mean"] = tensors["scaling.mean"] if standardise else torch.zeros(S)
    tensors["scaling.std"] = 0.1 + tensors["scaling.std"].abs() if standardise else torch.ones(S)
    if "choice" in tensors:
        tensors["choice"] = torch.tensor(choice or [[0] * len(TASKS)] * len(seeds))
    metadata = {
        "agent": agent, "seeds": list(seeds), "observation_size": S, "action_size": A, "behaviour": {},
        "settings": chosen.as_dict(),
    }  # fmt: skip
    return PolicyState.build(Path("here"), metadata, TASKS, 1, tensors)
