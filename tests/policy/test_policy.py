"""The policy of a run or a bundle: how it acts, what it is refused for."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hcsac.errors import UserError
from hcsac.policy import evaluate, load_policy
from hcsac.training import train
from tests.training.conftest import agent_of, lines, settings


def test_policy_acts(finished):
    policy = load_policy(finished.path)
    one = policy.act(np.zeros(3), "slide-left")
    many = policy.act(np.zeros((4, 3)), "slide-left", seed=0)
    assert one.shape == (2,)
    assert many.shape == (4, 2)
    np.testing.assert_allclose(many, np.tile(one, (4, 1)), rtol=1e-6)
    assert not np.array_equal(one, policy.act(np.zeros(3), "slide-left", seed=1))
    with pytest.raises(UserError, match="did you mean 'slide-left'"):
        policy.act(np.zeros(3), "slide-lift")
    with pytest.raises(UserError, match=r"takes \[3\] or \[n, 3\]"):
        policy.act(np.zeros(5), "slide-left")
    with pytest.raises(UserError, match="unknown seed"):
        policy.act(np.zeros(3), "slide-left", seed=7)


@pytest.mark.parametrize(
    ("observation", "says"),
    [
        ([0, np.nan, 0], r"NaN or infinite in column 1; check"),
        ([[0, 0, 0], [np.inf, 0, -np.inf]], r"NaN or infinite in column 0, 2; check"),
        ([0, 1e60, 0], r"NaN or infinite in column 1"),  # beyond float32
        (None, r"observation is None, not an array of numbers|takes \[3\]|shape \(\)"),
        ([0, None, "x"], r"observation is \[0, None, 'x'\], not an array of numbers"),
        ([[0, 0, 0], [0, 0]], r"not an array of numbers"),
        ({"position": 1}, r"not an array of numbers"),
        ([], r"takes \[3\] or \[n, 3\]"),
    ],
    ids=str,
)
def test_what_is_no_observation_is_refused(observation, says, finished):
    with pytest.raises(UserError, match=says):
        load_policy(finished.path).act(observation, "slide-left")


def test_the_last_action_may_be_held(finished):
    policy = load_policy(finished.path)
    bad, good = np.full(3, np.nan), np.full(3, 0.3)
    with pytest.raises(UserError, match="NaN"):
        policy.act(bad, "slide-left", hold=True)  # nothing to hold yet
    action = policy.act(good, "slide-left", hold=True)
    other = policy.act(good, "slide-right", hold=True)
    held = policy.act(bad, "slide-left", hold=True)
    np.testing.assert_array_equal(held, action)
    held += 1  # a copy
    np.testing.assert_array_equal(policy.act(bad, "slide-left", hold=True), action)
    np.testing.assert_array_equal(policy.act(bad, "slide-right", hold=True), other)
    with pytest.raises(UserError, match="NaN"):
        policy.act(bad, "slide-left", seed=1, hold=True)
    with pytest.raises(UserError, match="NaN"):
        policy.act(np.stack([bad, good]), "slide-left", hold=True)  # another shape


def test_policy_acts_by_task_and_seed(finished):
    policy = load_policy(finished.path)
    observation = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    for m, task in enumerate(policy.tasks):
        every = policy.act_all(np.stack([observation] * 2), np.full((2, 5), m))
        for r, seed in enumerate(policy.seeds):
            np.testing.assert_array_equal(policy.act(observation, task, seed), every[r])
    left, right = (policy.act(observation, task) for task in policy.tasks)
    assert not np.array_equal(left, right)
    assert abs(policy.act(1e6 * observation, "slide-left")).max() <= 1
    assert policy.act(np.zeros((0, 3)), "slide-left").shape == (0, 2)
    for wrong in (0.0, np.zeros((2, 2, 3)), np.zeros((3, 2))):
        with pytest.raises(UserError, match=r"takes \[3\] or \[n, 3\]"):
            policy.act(wrong, "slide-left")


def test_several_actors_act_with_noise_where_they_disagree(slides, tmp_path):
    noisy = settings("bc", actors=3, disagreement_noise=2.0)
    run = train("bc", slides, tmp_path / "run", noisy, progress=False)
    policy = load_policy(run.path)
    rows = np.random.default_rng(0).normal(size=(1, 4000, 3)).astype(np.float32)
    at = torch.tensor(rows), torch.zeros(1, 4000, dtype=torch.int64)
    parts = policy._network.actor.act(*(x.expand(3, *x.shape[1:]) for x in at)).detach().numpy()
    mean, std = parts.mean(0), parts.std(0, ddof=1)
    np.testing.assert_allclose(policy.act(rows[0], "slide-left", deterministic=True), mean, atol=1e-6)
    acted = policy.act(rows[0], "slide-left")
    inside = abs(mean) + 8 * std < 1  # where nothing is clipped
    noise = ((acted - mean) / (2 * std))[inside]
    assert len(noise) > 1000
    assert abs(noise.mean()) < 0.1
    assert abs(noise.std() - 1) < 0.1
    assert abs(acted).max() <= 1
    np.testing.assert_array_equal(load_policy(run.path).act(rows[0], "slide-left"), acted)
    assert not np.array_equal(policy.act(rows[0], "slide-left"), acted)
    last = [r["returns"] for r in lines(run.path / "evaluations.jsonl") if r["update"] == 24]
    np.testing.assert_allclose(evaluate(run.path, episodes=3)[0], last, atol=1e-3)
    identity = run.identity()
    run.write_json("run.json", identity | {"settings": identity["settings"] | {"disagreement_noise": 0.0}})
    still = load_policy(run.path)
    np.testing.assert_allclose(still.act(rows[0], "slide-left"), mean, atol=1e-6)
    assert still.digest() != policy.digest()
    assert not np.allclose(evaluate(run.path, episodes=3)[0], last, atol=1e-3)


def test_evaluation_of_a_run_repeats_its_last_one(finished):
    records = [r for r in lines(finished.path / "evaluations.jsonl") if r["update"] == 24]
    last = [[r["returns"] for r in records if r["seed"] == seed] for seed in (0, 1)]
    np.testing.assert_allclose(evaluate(finished.path, episodes=3), last, atol=1e-3)


def test_standardised_observations_travel_with_the_policy(slides, tmp_path):
    run = train("bc", slides, tmp_path / "run", settings("bc", standardise_observations=True), progress=False)
    scaling = load_policy(run.path)._network.scaling
    torch.testing.assert_close(scaling.mean, torch.tensor(slides.observation.mean(0)))
    torch.testing.assert_close(scaling.std, torch.tensor(slides.observation.std(0)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("agent", ["bc", "mtcsac"])
def test_a_policy_trained_in_bf16_is_evaluated_and_acts_in_float32(slides, tmp_path, agent):
    low = settings(agent, precision="bf16")
    run = train(agent, slides, tmp_path / "run", low, progress=False)
    policy, whole = load_policy(run.path), agent_of(run)
    rows = np.random.default_rng(0).normal(size=(1, 50, 3)).astype(np.float32)
    tasks = np.ones((1, 50), np.int64)
    acted = policy.act_all(rows, tasks)
    given = torch.tensor(rows), torch.tensor(tasks)
    assert whole.actor.body.trunk.low_precision
    np.testing.assert_allclose(whole.act(*given), acted, atol=1e-6)
    coarse = whole.actor(*given)
    coarse = coarse if agent == "bc" else torch.tanh(coarse[0])
    assert 1e-5 < abs(coarse.detach().numpy() - acted).max() < 0.05
    last = [r["returns"] for r in lines(run.path / "evaluations.jsonl") if r["update"] == 24]
    np.testing.assert_allclose(evaluate(run.path, episodes=3)[0], last, atol=1e-3)


def test_a_run_of_a_newer_version_is_refused_and_one_without_a_format_is_the_first(finished, slides):
    file = finished.path / "run.json"
    record = json.loads(file.read_text())
    assert record["format"] == 1
    before = load_policy(finished.path).act(np.ones(3), "slide-left")
    del record["format"]
    file.write_text(json.dumps(record))
    np.testing.assert_array_equal(load_policy(finished.path).act(np.ones(3), "slide-left"), before)
    train("hcsac", slides, finished.path, settings(), seeds=(0, 1), resume=True, progress=False)
    for later in (2, "2.0"):
        file.write_text(json.dumps({**record, "format": later}))
        with pytest.raises(UserError, match=r"made by a newer hcsac .*; upgrade hcsac"):
            load_policy(finished.path)
        with pytest.raises(UserError, match=r"made by a newer hcsac .*; upgrade hcsac"):
            train("hcsac", slides, finished.path, settings(), seeds=(0, 1), resume=True, progress=False)


def test_neither_a_run_nor_a_bundle(tmp_path):
    with pytest.raises(UserError, match=r"no policy found at .*: it contains neither a run nor a policy"):
        load_policy(tmp_path)


def test_a_checkpoint_of_another_algorithm_is_corrupt(finished):
    save_file({"agent/actor.x": torch.zeros(1)}, finished.checkpoint, metadata={"update": "24"})
    with pytest.raises(UserError, match=r"checkpoint\.safetensors is corrupt") as caught:
        load_policy(finished.path)
    assert "\n" not in str(caught.value)


def test_repr(finished):
    policy = load_policy(finished.path)
    returns = ", ".join(f"{task} {value:.1f}" for task, value in finished.identity()["behaviour"].items())
    assert repr(policy).splitlines() == [
        "Policy of hcsac after 24 updates",
        "  tasks slide-left, slide-right",
        "  seeds 0, 1",
        "  observation [3] -> action [2]",
        f"  dataset returns {returns}",
    ]
