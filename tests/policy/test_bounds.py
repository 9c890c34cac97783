"""A robot whose actions are not in [-1, 1], from its data to what acts on it: outside all is in its own units."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import hcsac
from hcsac.algorithms import ALGORITHMS
from hcsac.data import store
from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.sharing.reward_table import reward_table
from hcsac.tasks import Task, register_task, registry
from tests.conftest import Arm, arm_episodes, run, slide_episodes
from tests.training.conftest import settings

LOW, HIGH = Arm.action_space.low, Arm.action_space.high


@pytest.fixture(scope="module")
def cloned(tmp_path_factory):
    """A run of bc on the arm, whose dataset is in a store."""
    data = Dataset.from_episodes({"arm": arm_episodes()})
    chosen = hcsac.preset("quick", "bc").replace(
        {"updates": 600, "hidden_size": 32, "batch_size": 64, "evaluation_episodes": 2, "final_episodes": 5,
         "device": "cpu", "actors": 2, "disagreement_noise": 0.5}
    )  # fmt: skip
    return hcsac.train("bc", data, tmp_path_factory.mktemp("arm") / "run", chosen, progress=False)


def test_the_networks_see_the_unit_range():
    episodes = arm_episodes(count=3)
    data = Dataset.from_episodes({"arm": episodes})
    action = np.concatenate([episode.action for episode in episodes])
    np.testing.assert_allclose(data.action, 2 * (action - LOW) / (HIGH - LOW) - 1, atol=1e-6)
    np.testing.assert_allclose(data.action_bounds.outside(data.action), action, atol=1e-6)
    assert "[-0.4, 0.4], [0, 1], scaled into [-1, 1]" in repr(data)
    assert data.select(["arm"]).action_bounds.equals(data.action_bounds)
    assert data.fingerprint() != replace(data, bounds=None).fingerprint()


def test_a_clone_earns_what_its_data_earn(cloned):
    """0 of at most 0; with actions that are not scaled back it would be -4 or less in each of 12 steps."""
    last = list(cloned.lines("evaluations.jsonl"))[-1]
    assert np.mean(last["returns"]) > -12 * 0.15


def test_what_acts_is_in_the_units_of_the_robot(cloned, tmp_path):
    """The policy, the bundle, its ONNX file and the student."""
    exported = hcsac.export_policy(cloned.path, tmp_path / "policy")
    policy, packed = hcsac.load_policy(cloned.path), hcsac.load_policy(exported.path)
    seen = np.random.default_rng(0).uniform((-0.4, 0), (0.4, 1), (200, 2)).astype(np.float32)
    wanted = np.stack([-seen[:, 0], 1 - seen[:, 1]], 1)
    action = policy.act(seen, "arm", deterministic=True)
    assert np.abs(action - wanted).mean() < 0.05
    np.testing.assert_array_equal(packed.act(seen, "arm", deterministic=True), action)
    for _ in range(5):
        noisy = policy.act(100 * seen, "arm")
        assert ((noisy >= LOW) & (noisy <= HIGH)).all()
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession((exported.path / "policy.onnx").read_bytes())
    mean, std = session.run(None, {"observation": seen, "task": np.zeros(200, np.int64)})
    np.testing.assert_allclose(mean, action, atol=1e-6)
    both = policy._network.statistics(torch.tensor(seen)[None], torch.zeros(1, 200, dtype=torch.int64))
    np.testing.assert_allclose(std, both[1][0], atol=1e-6)
    card = (exported.path / "README.md").read_text()
    assert "an action of 2 numbers in [-0.4, 0.4], [0, 1]." in card
    small = hcsac.distil_policy(cloned.path, tmp_path / "small", updates=400, episodes=1, data=arm_episodes_in_store())
    assert np.abs(hcsac.load_policy(small.exported.path).act(seen, "arm") - action).mean() < 0.05


def arm_episodes_in_store():
    store.write("lab/arm-v0", "arm", arm_episodes(count=10))
    return ["lab/arm-v0"]


@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_every_algorithm_acts_within_the_bounds(name, tmp_path):
    data = Dataset.from_episodes({"arm": arm_episodes(count=4)})
    made = hcsac.train(name, data, tmp_path / "run", settings(name), progress=False)
    action = hcsac.load_policy(made.path).act(np.zeros((3, 2)), "arm")
    assert ((action >= LOW) & (action <= HIGH)).all()


@pytest.fixture
def own_tasks(monkeypatch):
    for table in ("_items", "_origins"):
        monkeypatch.setattr(registry.TASKS, table, dict(getattr(registry.TASKS, table)))


def test_a_reward_function_is_given_the_units_of_the_robot(own_tasks):
    """The reward of each of two tasks for the transitions of the other."""
    for name, sign in (("push", 1.0), ("pull", -1.0)):
        register_task(
            Task(
                name, reward=lambda reached, action, sign=sign: sign * action[:, 1], action_bounds=((-0.4, 0), (0.4, 1))
            )
        )
    data = Dataset.from_episodes({name: arm_episodes(count=2) for name in ("push", "pull")})
    table = reward_table(data, "recompute")
    own = np.concatenate([episode.action[:, 1] for episode in arm_episodes(count=2)])
    np.testing.assert_allclose(table[data.task == 0, 1], -own, atol=1e-6)
    np.testing.assert_allclose(table[data.task == 1, 0], own, atol=1e-6)


def test_a_dataset_says_its_bounds(own_tasks, capsys, tmp_path):
    """Of the task, or given to the import; and rows outside are named."""
    names = {"low": "0,-1", "high": "0.4,1"}
    register_task(Task("real"))
    store.write("lab/arm-v0", "arm", arm_episodes(count=2))
    run("data", "export", "lab/arm-v0", "--format", "npz", "--output", tmp_path / "log")
    command = ["data", "import", tmp_path / "log", "--task", "real", "--name"]
    capsys.readouterr()
    assert run(*command, "lab/real-v0", "--action-low", names["low"], "--action-high", names["high"]) == 2
    assert "action 0 is -0." in (said := capsys.readouterr().err)
    assert "must lie in [0, 0.4]; give the bounds of the robot's actions" in said
    assert run(*command, "lab/real-v0", "--action-low=-0.4,0", "--action-high=0.4,1") == 0
    assert "action 2 in [-0.4, 0.4], [0, 1]" in capsys.readouterr().out
    assert str(store.load("lab/real-v0").action_bounds) == "[-0.4, 0.4], [0, 1]"
    mapped = store.load("lab/real-v0", folder=tmp_path / "mapped")
    assert mapped.action_bounds.equals(store.load("lab/real-v0").action_bounds)
    np.testing.assert_array_equal(mapped.action, store.load("lab/real-v0").action)
    for options, message in (
        (["--action-low", "0"], "belong together"),
        (["--action-low=a", "--action-high=1"], "write numbers"),
    ):
        assert run(*command, "lab/other-v0", *options) == 2
        assert message in capsys.readouterr().err


def test_bounds_that_do_not_belong_together(own_tasks, tmp_path):
    register_task(Task("real", action_bounds=((-0.4, 0), (0.4, 2))))
    with pytest.raises(UserError, match=r"range over .*\[0, 1\] in task 'arm' and over .*\[0, 2\] in task 'real'"):
        Dataset.from_episodes({"arm": arm_episodes(count=1), "real": arm_episodes(count=1)})
    register_task(Task("arm-elsewhere", "tests/slide-left-v0", action_bounds=(-3, 3)))
    wide = Dataset.from_episodes({"arm-elsewhere": slide_episodes("slide-left")})
    with pytest.raises(UserError, match=r"range over \[-3, 3\], but those of task 'arm-elsewhere' over \[-1, 1\]"):
        hcsac.train("bc", wide, tmp_path / "run", settings("bc"), progress=False)


def test_an_environment_that_rescales_is_refused_for_data_in_other_units(own_tasks, tmp_path):
    """And taken for data in its units."""
    data = arm_episodes(count=2)
    register_task(Task("scaled", "tests/scaled-arm-v0", action_bounds=((-0.4, 0), (0.4, 1))))
    with pytest.raises(UserError, match=r"task 'scaled' rescales its own to .* without RescaleAction"):
        hcsac.train("bc", Dataset.from_episodes({"scaled": data}), tmp_path / "run", settings("bc"), progress=False)
    register_task(Task("scaled", "tests/scaled-arm-v0"))
    bounds = Dataset.from_episodes({"arm": data}).action_bounds
    scaled = [replace(episode, action=bounds.inside(episode.action)) for episode in data]
    hcsac.train("bc", Dataset.from_episodes({"scaled": scaled}), tmp_path / "run", settings("bc"), progress=False)
