"""Runs, bundles and studies that the first format left behind are read, evaluated, exported and continued."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from hcsac import Dataset, evaluate, export_policy, load_policy, train
from hcsac.algorithms import recorded_settings
from hcsac.experiments import read_record
from hcsac.training import RunDirectory, learning_curve, transition_history
from tests.conftest import TASKS, run, slide_episodes

FORMAT_1 = Path(__file__).parents[1] / "fixtures" / "format_1"


@pytest.fixture
def old(tmp_path):
    """A copy of all of it, to be written to."""
    return shutil.copytree(FORMAT_1, tmp_path / "old")


def data():
    return Dataset.from_episodes({name: slide_episodes(name) for name in TASKS})


@pytest.mark.parametrize("name", ["finished", "interrupted", "bc"])
def test_a_run_loads_evaluates_and_exports(name, old):
    policy = load_policy(old / name)
    assert policy.seeds == [3, 5]
    assert evaluate(old / name, episodes=2).shape == (2, 2, 2)
    observation = np.ones((4, 3), np.float32)
    bundle = export_policy(old / name, old / "new").path
    np.testing.assert_allclose(load_policy(bundle).act(observation, "slide-right"),
                               policy.act(observation, "slide-right"), atol=1e-6)  # fmt: skip


def test_a_bundle_acts_as_its_run(old):
    bundle, its_run = load_policy(old / "finished" / "policy"), load_policy(old / "finished")
    observation = np.linspace(-2, 2, 12, dtype=np.float32).reshape(4, 3)
    for seed in (3, 5):
        np.testing.assert_array_equal(bundle.act(observation, "slide-left", seed),
                                      its_run.act(observation, "slide-left", seed))  # fmt: skip


def test_an_interrupted_run_ends_as_the_uninterrupted_one(old):
    held = json.loads((old / "interrupted" / "run.json").read_text())
    settings = recorded_settings(held["agent"], held["settings"])
    run = train("hcsac", data(), old / "interrupted", settings, held["seeds"], resume=True, progress=False)
    ended, whole = (load_file(path / "checkpoint.safetensors") for path in (run.path, old / "finished"))
    networks = [name for name in whole if name.startswith(("agent/actor", "agent/critic", "agent/target"))]
    assert networks
    for name in networks:
        np.testing.assert_allclose(ended[name], whole[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_records_and_ledger_are_read(old, capsys):
    finished = RunDirectory(old / "finished")
    assert len(learning_curve(finished, "slide-left")[0]) == 4
    assert {b.task for row in range(48) for b in transition_history(finished, row).uses} == {"slide-right"}
    assert run("sharing-history", finished.path) == 0
    assert "slide-left" in capsys.readouterr().out


def test_a_study_is_read(old, capsys):
    record = read_record(old / "study")
    assert len(record.runs) > 1
    assert run("study", "status", old / "study") == 0
    assert "hcsac" in capsys.readouterr().out
