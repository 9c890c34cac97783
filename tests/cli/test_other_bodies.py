"""The main job on other bodies: logs, export and import, check, training, evaluation, and the bundle of a policy."""

import json

import numpy as np
import pytest

import hcsac
from experiments import cube
from tests.cli.conftest import TINY
from tests.conftest import run
from tests.policy.conftest import no_graph  # noqa: F401 (a fixture)

# Sensors that the state does not fix, with a reward function of its own; a target beside qpos and qvel, without one;
# and another project's robot, whose tasks are places on one table.
PAIRS = {
    "quadruped": ("quadruped-walk", "quadruped-run"),
    "reacher": ("reacher-easy", "reacher-hard"),
    "cube": ("cube-left", "cube-near"),
}
LEARNER = ["--keep", "all", "--steps", "1000", "--random-steps", "1000", "--namespace", "lab"]


def file_of(task, folder):
    """A file of 1000 logged steps."""
    file = folder / f"{task}.npz"
    if task.startswith("cube"):
        np.savez(file, **cube.record(task.removeprefix("cube-"), 10, seed=0))
    else:
        assert run("collect", task, *LEARNER, "--output", folder / task) == 0
        assert run("data", "export", f"lab/{task}-full-replay-v0", "--format", "npz", "--output", file) == 0
    return file


@pytest.mark.parametrize("body", ["quadruped", "reacher", pytest.param("cube", marks=pytest.mark.long)])
def test_from_logs_to_a_policy(body, tmp_path, no_graph):  # noqa: F811
    names = [f"user/{task}-v0" for task in PAIRS[body]]
    for task, name in zip(PAIRS[body], names, strict=True):
        assert run("data", "import", file_of(task, tmp_path), "--task", task, "--name", name) == 0
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


def test_what_the_cube_is_paid_and_what_its_oracle_logs():
    env = cube.Cube("near")
    observation, _ = env.reset(seed=3)
    assert env.observation_space.shape == observation.shape == (28,)
    again, _ = env.reset(seed=3)
    np.testing.assert_array_equal(again, observation)
    at = observation.copy()
    at[cube.CUBE] = (np.array([*cube.PLACES["near"], 0.02]) - (0.425, 0, 0)) * 10
    beside = at.copy()
    beside[cube.CUBE.start] += 10 * 1.1 * cube.NEAR
    no_action = np.zeros((2, 5), np.float32)
    assert cube.AtPlace("near")(np.stack([at, beside]), no_action).tolist() == [1, 0]
    assert cube.AtPlace("left")(np.stack([at, beside]), no_action).tolist() == [0, 0]
    # The place that the observation tells is the simulator's own.
    place = env.unwrapped._data.joint("object_joint_0").qpos[:3]
    np.testing.assert_allclose(observation[cube.CUBE] / 10 + (0.425, 0, 0), place, atol=1e-5)
    logs = cube.record("near", 2, seed=1)
    assert logs["observations"].shape == (202, 28)
    assert logs["terminals"].nonzero()[0].tolist() == [100, 201]
    # The first of two episodes is sent to the place.
    assert cube.AtPlace("near")(logs["observations"][:101], no_action).any()
