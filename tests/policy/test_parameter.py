"""Policies that are asked by a number: trained on tasks that differ by it, acting between them, exported."""

import json

import numpy as np
import PIL.Image
import pytest
import torch

from hcsac import evaluate, load_policy, make_env, preset, train
from hcsac.algorithms import resolve
from hcsac.cli import main
from hcsac.cli.options import numbers_of
from hcsac.data import load
from hcsac.errors import UserError
from hcsac.evaluation import rollout
from hcsac.experiments import draw_asked
from hcsac.networks.embedding import TaskEmbedding, give_numbers
from hcsac.policy import export_policy
from hcsac.policy.asked import asked_table, evaluate_at
from hcsac.policy.policy import Policy
from hcsac.policy.state import PolicyState
from hcsac.tasks import tasks_between
from hcsac.tasks.walker import torso_speed
from hcsac.types import Parameter

DATA = ["sample/walker-walk-medium-replay-v0", "sample/walker-run-medium-replay-v0"]
TASKS = ("walker-speed:0", "walker-speed:1", "walker-speed:4")
SMALL = {"hidden_size": 8, "batch_size": 16, "updates": 20, "evaluation_episodes": 1, "final_episodes": 1,
         "evaluation_steps": 3, "embedding": "number", "sharing": "none", "actors": 2}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = preset("best", "one_step").replace(SMALL | {"candidates": "0.1:own,inf:own"})
    return train("one_step", load(DATA, tasks=TASKS), tmp_path_factory.mktemp("dial") / "run", settings, (0, 3))


@pytest.fixture(scope="module")
def policy(run):
    return load_policy(run.path)


OBSERVATION = np.random.default_rng(0).normal(size=(5, 24)).astype(np.float32)


def test_at_a_task_the_number_is_the_task(policy):
    for task, speed in zip(TASKS, (0, 1, 4), strict=True):
        for seed in (None, 3):
            asked = policy.act(OBSERVATION, speed=speed, seed=seed, deterministic=True)
            np.testing.assert_array_equal(asked, policy.act(OBSERVATION, task, seed, deterministic=True))


def test_between_the_tasks_it_changes_gradually(policy):
    speeds = np.linspace(0, 4, 81)
    actions = np.stack([policy.act(OBSERVATION, speed=speed, deterministic=True) for speed in speeds])
    steps = np.abs(np.diff(actions, axis=0)).max((1, 2))
    whole = np.abs(actions[-1] - actions[0]).max()
    assert whole > 0
    jumps = np.flatnonzero(steps > 0.2 * whole)  # another candidate may act from half way to the next task on
    assert all(min(abs(speeds[k] - 0.5), abs(speeds[k] - 2.5)) < 0.1 for k in jumps)


def test_the_embedding_is_the_number_beside_the_state():
    for lead in ((), (3,)):
        part = TaskEmbedding("number", lead, 3, 2, [torch.Generator()] * 2)
        give_numbers(part, TASKS)
        state, task = torch.randn(2, 4, 2), torch.tensor([[0, 1, 2, 0], [2, 2, 1, 0]])
        z = part(state, task)
        assert part.size == z.shape[-1] == 3
        expected = torch.tensor([-1.0, -0.5, 1.0])[task]
        found = z[..., -1] if lead == () else z[:, 0, :, -1]
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(part(state, torch.full((2, 4), 0.25))[..., -1].unique(), torch.tensor([0.25]))
        assert not part.state_dict()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"speed": 4.1}, "speed = 4.1 is out of the range that was trained; give a number from 0 to 4"),
        ({"speed": float("nan")}, "speed = nan is out of the range"),
        ({"speed": "fast"}, "speed = 'fast' is out of the range"),
        ({"mass": 1}, "mass is not what this policy is asked by; it takes a task or speed, one of them"),
        ({"task": TASKS[0], "speed": 1}, "it takes a task or speed, one of them"),
        ({}, "name a task, or give a number, as speed=0"),
        ({"task": "walker-run"}, "unknown task 'walker-run'"),
    ],
)
def test_what_cannot_be_asked(policy, given, says):
    with pytest.raises(UserError, match=says):
        policy.act(OBSERVATION, **given)


def test_a_policy_of_tasks_takes_no_number(run):
    state = PolicyState.of_run(run)
    plain = Policy(state)
    plain.parameter = None
    with pytest.raises(UserError, match=r"speed is not what this policy is asked by; it takes a task\."):
        plain.act(OBSERVATION, speed=1)


def test_names_that_differ_by_a_number():
    assert Parameter.of(TASKS) == Parameter("speed", (0.0, 1.0, 4.0))
    assert Parameter.of(["push:1e-1", "push:-2"]) == Parameter("push", (0.1, -2.0))
    for names in (["walker-walk", "walker-run"], ["a:1", "b:2"], ["a:1"], ["a:1", "a:1.0"], ["a:1", "a:x"],
                  ["a:1", "a:inf"], [":1", ":2"]):  # fmt: skip
        assert Parameter.of(names) is None


def test_other_tasks_have_no_number():
    settings = preset("best", "td3_bc").replace({"embedding": "number"})
    with pytest.raises(UserError, match="embedding = 'number' needs tasks that differ by a number"):
        resolve("td3_bc", settings, ("walker-walk", "walker-run"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("speed:0..4/3", ["walker-speed:0", "walker-speed:2", "walker-speed:4"]),
        ("walker-speed:-1..1.5/2", ["walker-speed:-1", "walker-speed:1.5"]),
        ("speed:1..2", [f"walker-speed:{1 + n / 8:.6g}" for n in range(9)]),
    ],
)
def test_tasks_of_a_range(text, names):
    assert tasks_between(text, ["walker-walk", "walker-run"]) == tuple(names)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("speed", "is not of the form NAME:LOW..HIGH; write it as speed:0..4"),
        ("speed:0-4", "is not of the form"),
        ("speed:4..0", "needs LOW below HIGH"),
        ("speed:0..4/1", "2 to 1000 tasks"),
        ("speed:0..x", "'x' is no number"),
        ("mass:0..4", "unknown task 'walker-mass:0'"),
    ],
)
def test_ranges_that_are_none(text, says):
    with pytest.raises(UserError, match=says):
        tasks_between(text, ["walker-walk"])


def test_it_is_exported_with_the_number_as_input(run, policy, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    bundle = export_policy(run.path, tmp_path / "policy").path
    session = onnxruntime.InferenceSession(bundle / "policy.onnx")
    assert [entry.name for entry in session.get_inputs()] == ["observation", "speed"]
    speed = np.array([0, 1.7, 4, 4.01, -0.1], np.float32)
    found = session.run(["action"], {"observation": OBSERVATION, "speed": speed})[0]
    expected = [policy.act(OBSERVATION[n], speed=float(speed[n]), deterministic=True) for n in range(3)]
    np.testing.assert_allclose(found[:3], expected, atol=1e-5)
    assert np.isnan(found[3:]).all()
    again = load_policy(bundle)
    np.testing.assert_allclose(again.act(OBSERVATION[1], speed=1.7, deterministic=True), expected[1], atol=1e-6)
    card = (bundle / "README.md").read_text()
    assert "policy.act(observation, speed=0)" in card
    assert "speed = np.array([0], dtype=np.float32)  # [n]" in card
    assert "out of the range from 0 to 4 gives NaN" in card


def test_the_command(tmp_path, capsys):
    config = tmp_path / "small.toml"
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in SMALL.items() if name not in
                              ("embedding", "sharing", "actors")))  # fmt: skip
    given = ["--data", ",".join(DATA), "--config", str(config), "--output", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as end:
        main(["train", "td3_bc", "--task-parameter", "speed:0..2/3", *given])
    assert end.value.code == 0
    assert load_policy(tmp_path / "run").parameter == Parameter("speed", (0.0, 1.0, 2.0))
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["train", "td3_bc", "--task-parameter", "speed:0..2", "--tasks", "walker-run", *given])
    assert end.value.code == 2
    assert "leave --tasks out" in capsys.readouterr().err


def test_what_it_does_at_a_number(run, policy, monkeypatch):
    monkeypatch.setattr(rollout, "time_limit", lambda task: 60)
    found = evaluate_at(policy, (0.0, 0.7, 4.0), episodes=3)
    assert found.returns.shape == found.achieved.shape == (2, 3, 3)
    returns = evaluate(run.path, 3)  # of the tasks 0, 1, 4
    np.testing.assert_allclose(found.returns[:, [0, 2]], returns[:, [0, 2]])
    env = make_env("walker-speed:0.7", seed=10_001)
    observation, speeds, total = env.reset(seed=10_001)[0], [], 0.0
    noise = np.random.default_rng([7, 10_001])
    state = PolicyState.of_run(run)
    for _ in range(60):
        speeds.append(torso_speed(observation[None])[0])
        task = torch.full((2, 1), Parameter.of(TASKS).scaled(0.7))
        drawn = torch.tensor(noise.standard_normal(6, np.float32)).expand(2, 1, 6)
        action = state.network(torch.tensor(observation).expand(2, 1, -1), task, drawn)[0, 0].numpy()
        observation, reward, *_ = env.step(action)
        total += reward
    # Not to the last digit: the rounding of another size of minibatch grows.
    assert found.returns[0, 1, 1] == pytest.approx(total, rel=1e-3)
    assert found.achieved[0, 1, 1] == pytest.approx(np.mean(speeds[12:]), abs=1e-3)
    logged = [policy.dataset_returns[task] for task in TASKS]
    np.testing.assert_allclose(found.logged, [logged[0], 0.3 * logged[0] + 0.7 * logged[1], logged[2]])
    text = asked_table(found)
    assert text.splitlines()[0] == "speed, 3 episodes and 2 seeds each"
    assert f"{found.achieved[:, 1].mean():.2f}" in text.splitlines()[3]


@pytest.mark.parametrize(
    ("text", "numbers"), [("0.5,1.7", [0.5, 1.7]), ("0:3:1", [0, 1, 2, 3]), ("1:2:0.5", [1, 1.5, 2]), ("2", [2])]
)
def test_numbers_of_an_option(text, numbers):
    assert numbers_of(text) == pytest.approx(numbers)


def test_a_range_does_not_go_beyond_its_end():
    assert 3 * 0.1 > 0.3
    assert numbers_of("0:0.3:0.1")[-1] == 0.3


@pytest.mark.parametrize("text", ["", "a", "0:1", "0:1:0", "3:0:1", "0:1e9:0.1"])
def test_options_that_are_no_numbers(text):
    with pytest.raises(UserError, match="is neither a list of numbers"):
        numbers_of(text)


def test_where_the_logs_show_little_it_says_so(run, policy, tmp_path, monkeypatch):
    """The runs of the data are too slow for 4 m/s."""
    monkeypatch.setattr(rollout, "time_limit", lambda task: 5)
    assert policy.best_steps == run.identity()["best_steps"]
    assert policy.best_steps[TASKS[1]] > 0.5 > policy.best_steps[TASKS[2]]
    bundle = load_policy(export_policy(run.path, tmp_path / "policy").path)
    for one in (policy, bundle):
        found = evaluate_at(one, (1.0, 1.5, 4.0), episodes=2)
        assert found.unseen.tolist() == [False, False, True]
        lines = asked_table(found).splitlines()
        assert [line.endswith(" *") for line in lines[2:5]] == [False, False, True]
        assert lines[5].startswith("* the logs hardly show it")
    card = (tmp_path / "policy" / "README.md").read_text()
    assert f"Nothing was logged for {', '.join(TASKS)}: these transitions have their rewards instead." in card
    assert f"**The logs hardly show {TASKS[2]}: the policy is not to be trusted there.**" in card
    draw_asked(found, tmp_path / "asked.png")
    assert PIL.Image.open(tmp_path / "asked.png").size[0] > 1000


def test_asking_for_what_was_not_trained(run, policy):
    with pytest.raises(UserError, match="takes a speed from 0 to 4; give numbers within"):
        evaluate_at(policy, [5.0])


def test_an_action_is_held_for_the_same_request_alone(run):
    """The highest speed is 1 to the network, as is the index of the second task."""
    policy, broken = load_policy(run.path), np.full(24, np.nan)
    held = policy.act(OBSERVATION[0], speed=4, hold=True)
    np.testing.assert_array_equal(policy.act(broken, speed=4, hold=True), held)
    with pytest.raises(UserError, match="NaN or infinite"):
        policy.act(broken, TASKS[1], hold=True)
