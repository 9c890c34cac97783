"""The main job on other bodies: logs, export and import, check, training, evaluation, and the bundle of a policy."""

import json

import numpy as np
import pytest

import hcsac
from tests.cli.conftest import TINY
from tests.conftest import run
from tests.policy.conftest import no_graph  # noqa: F401 (a fixture)

# Sensors that the state does not fix, with a reward function of its own; a target beside qpos and qvel, without one.
PAIRS = {"quadruped": ("quadruped-walk", "quadruped-run"), "reacher": ("reacher-easy", "reacher-hard")}
LEARNER = ["--keep", "all", "--steps", "1000", "--random-steps", "1000", "--namespace", "lab"]


@pytest.mark.parametrize("body", PAIRS)
def test_from_logs_to_a_policy(body, tmp_path, no_graph):  # noqa: F811
    names = []
    for task in PAIRS[body]:
        assert run("collect", task, *LEARNER, "--output", tmp_path / task) == 0
        file = tmp_path / f"{task}.npz"
        assert run("data", "export", f"lab/{task}-full-replay-v0", "--format", "npz", "--output", file) == 0
        names.append(f"user/{task}-v0")
        assert run("data", "import", file, "--task", task, "--name", names[-1]) == 0
    assert run("data", "check", *names, "--steps", "100") == 0
    both = ["--data", ",".join(names), "--sharing", "all", "--reward-rule", "recompute", "--evaluation-steps", "20"]
    assert run("train", "hcsac", *both, *TINY, "--output", tmp_path / "run") == 0
    lent = [json.loads(line) for line in (tmp_path / "run" / "sharing.jsonl").read_text().splitlines()]
    assert [one["borrowed"] for one in lent] == [1000, 1000]
    assert run("export", tmp_path / "run", "--output", tmp_path / "policy") == 0
    policy = hcsac.load_policy(tmp_path / "policy")
    dataset = hcsac.load(names)
    action = policy.act(dataset.observation[:5], PAIRS[body][0])
    assert action.shape == (5, dataset.action_size)
    bounds = dataset.action_bounds
    assert (bounds.low <= action).all()
    assert (action <= bounds.high).all()
    assert np.isfinite(json.loads((tmp_path / "policy" / "policy.json").read_text())["action_bounds"]).all()
