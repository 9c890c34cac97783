"""Distillation: the student acts as its teacher, at what it was not trained on, too, and the numbers are true."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import hcsac
from hcsac.data import Dataset, store
from hcsac.errors import UserError
from hcsac.evaluation import paired_difference
from hcsac.policy import cost, distil, distil_policy, evaluate, export_policy, load_policy
from hcsac.policy.cost import networks, parameters, seconds_per_action
from hcsac.policy.student import _draw, agreement, fit, split, student_settings
from hcsac.tasks import registry
from hcsac.training import RunDirectory, train
from tests.conftest import TASKS, slide_episodes
from tests.policy.conftest import settings, state_of
from tests.training.conftest import tree

REFS = [f"lab/{name}-medium-v0" for name in TASKS]


@pytest.fixture(scope="module", autouse=True)
def _few_rounds():
    """Of timing, of which each takes a millisecond."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "ROUNDS", 5)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory, _few_rounds):
    """A policy of three actors and two seeds, whose data have names, distilled with a real ONNX file; to be read."""
    place = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(place))
        for ref, name in zip(REFS, TASKS, strict=True):
            store.write(ref, name, slide_episodes(name, 11))
        chosen = settings("td3_bc", actors=3, standardise_observations=True)
        run = train("td3_bc", hcsac.load(REFS), place / "run", chosen, seeds=(3, 5), progress=False)
        return run, distil_policy(run.path, hidden_size=16, updates=30, episodes=4, progress=False)


@pytest.fixture
def run(slides, tmp_path):
    """A run whose data have no name."""
    return train("bc", slides, tmp_path / "run", settings("bc", updates=6), seeds=(0,), progress=False)


def small(run, slides, **changes):
    return distil_policy(run.path, **{"data": slides, "updates": 2, "episodes": 1, "progress": False} | changes)


def test_the_student_acts_as_its_teacher_at_held_out_states(made):
    run, distilled = made
    teacher, student = load_policy(run.path), load_policy(distilled.exported.path)
    assert (student.algorithm, student.teacher, student.update, student.seeds) == ("bc", "td3_bc", 30, [3, 5])
    assert "Policy of bc after 30 updates, distilled from td3_bc" in repr(student)
    assert student.dataset_returns == teacher.dataset_returns
    episodes = [episode for name in TASKS for episode in slide_episodes(name, 11)]
    rows = np.concatenate([episodes[e].observation for e in (5, 16)])
    held_out = distilled.metadata["distilled"]["held_out"]
    assert held_out["episodes"] == 2
    for task in TASKS:
        wanted, action = (
            np.stack([policy.act(rows, task, seed) for seed in (3, 5)]).astype(float) for policy in (teacher, student)
        )
        entry = held_out["tasks"][task]
        assert entry["difference"] == pytest.approx(np.mean((action - wanted) ** 2), rel=1e-4)
        assert entry["variance"] == pytest.approx(wanted.var(1).mean(), rel=1e-3)


def test_returns_parameters_and_time_of_both(made):
    run, distilled = made
    held = json.loads((distilled.exported.path / "policy.json").read_text())
    compared = held["distilled"]
    assert held["run"] == run.digest()
    assert compared["data"] == {"names": REFS, "rows": 264, "fingerprint": held["data"]["fingerprint"]}
    assert compared["teacher"] == {"agent": "td3_bc", "update": 24, "settings": run.identity()["settings"]}
    returns = [evaluate(path, 4) for path in (run.path, distilled.exported.path)]
    for m, task in enumerate(TASKS):
        for side, values in zip(("teacher", "student"), returns, strict=True):
            entry = compared["returns"][task][side]
            np.testing.assert_allclose([entry["mean"], entry["min"]], [values[:, m].mean(), values[:, m].min()], 1e-5)
        interval = paired_difference(returns[1][:, m], returns[0][:, m], same_seeds=True)
        np.testing.assert_allclose(list(compared["returns"][task]["difference"].values()), interval, atol=1e-4)
        assert held["evaluation"]["tasks"][task]["mean"] == pytest.approx(returns[1][:, m].mean(), rel=1e-5)
    add = 2 * 3  # the embedding's table
    assert compared["parameters"] == {
        "teacher": 3 * (add + 4 * 8 + 9 * 8 + 9 * 2), "student": add + 4 * 16 + 17 * 16 + 17 * 2
    }  # fmt: skip
    assert compared["networks"] == {"teacher": 3, "student": 1}
    assert all(0 < seconds < 1 for seconds in compared["seconds_per_action"].values())


def test_the_bundle_is_one_of_export(made):
    run, distilled = made
    place = distilled.exported.path
    assert place == run.path / "distilled"
    assert {path.name for path in place.iterdir()} == {"policy.safetensors", "policy.onnx", "policy.json", "README.md"}
    assert distilled.exported.difference is None or distilled.exported.difference < 1e-5
    text = (place / "README.md").read_text()
    for words in (
        "# td3_bc distilled policy: slide-left, slide-right",
        "It was trained for 24 updates. This network then learned its actions in 30 updates",
        "| networks | 3 | 1 |",
        "| `actors` | `3` | `1` |",
        "| `hidden_size` | `16` | `256` |",
        '- "distillation"',
        "4 episodes a task and seed, 2 seeds (3, 5), from the same initial states",
    ):
        assert words in text
    assert "best of run" not in text.lower()
    assert "is one network already" not in text
    task = distilled.metadata["distilled"]["returns"]["slide-left"]
    (row,) = re.findall(r"^\| slide-left \|(.*) to (.*)\|$", text, re.MULTILINE)
    assert row[0].split(" | ")[0].strip() == f"{task['teacher']['mean']:.1f}"


def test_a_student_equals_the_one_of_its_seed_alone():
    teacher = state_of("td3_bc", "onehot", seeds=(3, 5), actors=2)
    states = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    chosen = student_settings(teacher.settings, tuple(teacher.tasks), {"updates": 10, "device": "cpu"})
    many, one = (fit(t, states, chosen, 0.1, lambda count: None) for t in (teacher, teacher.only(5)))
    for name, tensor in one.network.state_dict().items():
        together = many.network.state_dict()[name]
        torch.testing.assert_close(together if "scaling" in name else together[1:], tensor, rtol=1e-4, atol=1e-5)


def test_it_learns_what_its_teacher_does_in_each_task():
    teacher = state_of("one_step", "add", standardise=False, actors=2, candidates="1:own,2:own", choice=[[0, 1, 1]])
    states = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
    changes = {"batch_size": 64, "actor_learning_rate": 0.01, "hidden_size": 32, "device": "cpu"}
    differences = []
    for updates in (1, 300):
        chosen = student_settings(teacher.settings, tuple(teacher.tasks), changes | {"updates": updates})
        student = fit(teacher, states[:300], chosen, 0.1, lambda count: None)
        differences.append(agreement(teacher, student, states[300:]).difference[0])
    assert (differences[1] < 0.5 * differences[0]).all()


def test_half_of_the_states_are_moved_and_every_task_is_asked_for():
    logged = torch.arange(40.0).reshape(20, 2)
    moved = torch.zeros(2000, 2)
    moved[:1000] = torch.tensor([0.5, 0.01])
    states, task = _draw(logged, moved, 3, torch.Generator().manual_seed(0))
    known = (states[:, None] == logged).all(-1).any(1)
    assert known[1000:].all()
    assert not known[:1000].any()
    nearest = logged[(states[:1000, 1:] - logged[:, 1]).abs().argmin(1)]
    np.testing.assert_allclose((states[:1000] - nearest).std(0), [0.5, 0.01], rtol=0.1)
    assert torch.bincount(task).min() > 500
    assert len(torch.unique(states[1000:], dim=0)) == 20


@pytest.mark.parametrize(("counts", "expected"), [((12, 3), [5, 14]), ((1, 2), [2]), ((26, 6), [5, 15, 25, 31])])
def test_every_tenth_episode_is_held_out_whole(counts, expected):
    groups = {name: slide_episodes(name, count, length=3) for name, count in zip(TASKS, counts, strict=True)}
    states = split(Dataset.from_episodes(groups))
    episodes = [episode.observation for group in groups.values() for episode in group]
    np.testing.assert_array_equal(states.held_out, np.concatenate([episodes[e] for e in expected]))
    others = [observation for e, observation in enumerate(episodes) if e not in expected]
    np.testing.assert_array_equal(states.train, np.concatenate(others))
    assert states.held_out_episodes == len(expected)


@pytest.mark.parametrize(("agent", "embedding"), [("hcsac", "concat"), ("one_step", "none")])
def test_the_student_is_as_large_as_one_actor_of_its_teacher(agent, embedding):
    teacher = state_of(agent, embedding, hidden_size=16)
    chosen = student_settings(teacher.settings, tuple(teacher.tasks), {"updates": 1, "device": "cpu"})
    student = fit(teacher, np.ones((4, 5), np.float32), chosen, 0.1, lambda count: None)
    sides = [{name: t.shape for name, t in state.network.state_dict().items()} for state in (teacher.pruned(), student)]
    ends = ("output.weight", "output.bias", "log_std_scale", "log_std_shift")  # a Gaussian actor has more of these
    wanted, made = ({name: s for name, s in shapes.items() if not name.endswith(ends)} for shapes in sides)
    assert made == wanted
    assert networks(student) == 1
    assert parameters(student) <= parameters(teacher.pruned())
    assert len(seconds_per_action([teacher, student])) == 2


def test_a_task_that_enters_the_teacher_in_a_way_of_its_own_is_one_hot():
    blind = settings("csac")
    assert student_settings(blind, ("one",), {"updates": 1}).embedding == "none"
    assert student_settings(blind, ("one", "two"), {"updates": 1}).embedding == "onehot"


def test_one_network_already(run, slides, no_graph):
    assert "The teacher is one network already" in (small(run, slides).exported.path / "README.md").read_text()


def test_without_a_simulator_actions_and_time_are_compared(tmp_path, monkeypatch, no_graph):
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    registry.register_task(registry.Task("arm-reach"))
    data = Dataset.from_episodes({"arm-reach": slide_episodes("slide-left")})
    run = train("bc", data, tmp_path / "run", settings("bc", updates=6), progress=False)
    made = small(run, data)
    assert made.metadata["distilled"]["returns"] is None
    text = (made.exported.path / "README.md").read_text()
    assert "This policy has not been evaluated" in text
    assert "| arm-reach | " in text


def test_other_data_are_named_in_the_card(run, slides, no_graph):
    other = Dataset.from_episodes({"slide-left": slide_episodes("slide-left", seed=4)})
    made = small(run, other)
    assert (
        f"Distilled at states of a dataset made in Python, without a name, fingerprint `{other.fingerprint()}`"
        in (made.exported.path / "README.md").read_text()
    )
    assert "Distilled at states of" not in (small(run, slides).exported.path / "README.md").read_text()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": None}, "were made in Python and have no name; name some with --data"),
        ({"data": ["lab/none-v0"]}, "unknown dataset 'lab/none-v0'"),
        ({"noise": -0.1}, "noise = -0.1 is out of bounds; choose 0 or more"),
        ({"noise": math.nan}, "noise = nan is out of bounds"),
        ({"episodes": 0}, "episodes = 0 is out of bounds; choose 1 or more"),
        ({"updates": 0}, "setting updates = 0 is out of bounds"),
        ({"hidden_size": 0}, "setting hidden_size = 0 is out of bounds"),
        ({"hidden_layers": 0}, "setting hidden_layers = 0 is out of bounds"),
    ],
)
def test_what_is_refused(run, slides, tmp_path, changes, says):
    before = tree(tmp_path)
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        small(run, slides, **changes)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == before


def test_data_of_another_robot_or_of_one_episode_are_refused(run, slides):
    wide = [replace(e, observation=np.tile(e.observation, 2)) for e in slide_episodes("slide-left")]
    for episodes, says in [
        (wide, "observation size is 6 in the data, but 3 in the policy"),
        (wide[:1], "observation size"),
        (slide_episodes("slide-left", 1), "of which none can be held out; give more with --data"),
    ]:
        with pytest.raises(UserError, match=says):
            small(run, Dataset.from_episodes({"slide-left": episodes}))


def test_data_of_a_run_that_are_gone(made, monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    says = r"the data of .* cannot be loaded: unknown dataset .*; or name them with --data"
    with pytest.raises(UserError, match=says):
        distil_policy(made[0].path, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_only_an_unchanged_distilled_bundle_of_the_same_run_is_replaced(run, slides, tmp_path, no_graph):
    small(run, slides)
    place = small(run, slides, updates=3).exported.path
    assert load_policy(place).update == 3
    exported = export_policy(run.path).path
    other = train("bc", slides, tmp_path / "other", settings("bc", updates=7), progress=False)
    (tmp_path / "notes").write_text("mine")
    before = tree(tmp_path)
    for source, output, says in [
        (run, exported, "contains an exported policy of this run; choose another --output"),
        (other, place, "contains the policy of another run"),
        (run, tmp_path / "notes", "exists and is not a policy bundle"),
        (RunDirectory(place), None, "no run found at .*: it is a policy bundle"),
        (RunDirectory(tmp_path / "nowhere"), None, "no run found"),
    ]:
        with pytest.raises(UserError, match=says):
            small(source, slides, output=output)
    with pytest.raises(UserError, match="contains a distilled policy of this run"):
        export_policy(run.path, place)
    assert tree(tmp_path) == before
    (place / "README.md").write_text("my card")
    with pytest.raises(UserError, match=r"README.md has been changed"):
        small(run, slides)


def test_an_unknown_task_is_found_before_the_training(run, slides, monkeypatch):
    monkeypatch.setattr(registry.TASKS, "_items", {})
    monkeypatch.setattr(distil, "fit", None)
    with pytest.raises(UserError, match="task 'slide-left' of this run is not registered"):
        small(run, slides)


def test_an_interrupted_distillation_leaves_nothing(run, slides, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    before = tree(run.path)
    monkeypatch.setattr(distil, "paired_returns", stop)
    with pytest.raises(KeyboardInterrupt):
        small(run, slides)
    assert tree(run.path) == before
