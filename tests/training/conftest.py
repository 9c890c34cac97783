"""A small run on the sliding point: 96 rows in batches of 16 are 6 updates an epoch."""

import json
from dataclasses import replace

import pytest

from hcsac.algorithms import Scaling, make_algorithm, preset, recorded_settings
from hcsac.data.build import Origin
from hcsac.data.dataset import Dataset
from hcsac.policy import export_policy
from hcsac.settings import applicable
from hcsac.tasks import register_task, registry
from hcsac.training import RunDirectory, checkpoint, train
from hcsac.types import Spec
from tests.conftest import TASKS, slide_episodes

TINY = {
    "hidden_size": 8,
    "hidden_layers": 2,
    "batch_size": 16,
    "cql_samples": 2,
    "updates": 24,
    "evaluate_interval": 1,
    "share_interval": 1,
    "share_quantile": 0.5,
    "evaluation_episodes": 2,
    "final_episodes": 3,
    "log_interval": 2,
    "device": "cpu",
}


def settings(agent="hcsac", **changes):
    chosen = preset("slides", agent)
    return chosen.replace(applicable(type(chosen), TINY) | changes)


def off_by_one():
    """The data of `slides`, paired wrongly on purpose."""
    return Dataset.from_episodes({name: slide_episodes(name) for name in TASKS}, alignment="off_by_one")


def tree(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def finished(slides, tmp_path):
    return train("hcsac", slides, tmp_path / "run", settings(), seeds=(0, 1), progress=False)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A run with standardised observations and its bundle, `policy` inside it; copy it before you change it."""
    data = Dataset.from_episodes({name: slide_episodes(name) for name in TASKS})
    origins = tuple(Origin(name, f"lab/{name.removeprefix('slide-')}-v0") for name in TASKS)
    changed = settings(standardise_observations=True)
    path = tmp_path_factory.mktemp("exported") / "run"
    run = train("hcsac", replace(data, origins=origins), path, changed, seeds=(3, 5), progress=False)
    export_policy(run.path)
    return RunDirectory(run.path)


def agent_of(run):
    """The whole agent of a run at its last checkpoint, critics and all."""
    held = run.identity()
    state, _ = checkpoint.load(run.checkpoint)
    scaling = Scaling(state["scaling/mean"], state["scaling/std"])
    spec = Spec(held["observation_size"], held["action_size"], tuple(held["tasks"]))
    chosen = recorded_settings(held["agent"], held["settings"])
    agent = make_algorithm(held["agent"], spec, chosen, held["seeds"], scaling)
    agent.load_state(checkpoint.part(state, "agent"))
    return agent


@pytest.fixture
def priced(monkeypatch):
    """A way to give both light tasks a reward function."""
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))

    def give(reward):
        for name in TASKS:
            register_task(replace(registry.get_task(name), reward=reward))

    return give
