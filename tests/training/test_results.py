"""What is computed from a run: policy, evaluation, curve and summary."""

import numpy as np
import pytest
import torch

from hcsac.errors import UserError
from hcsac.training import evaluate, last_returns, learning_curve, load_policy, summary, train
from tests.training.conftest import lines, settings


def test_records_of_a_run_cut_off_while_writing_can_be_read(finished):
    before = learning_curve(finished, "slide-left")[1]
    with open(finished.path / "evaluations.jsonl", "a") as file:
        file.write('{"update": 30, "task": "slide-le')
    np.testing.assert_array_equal(learning_curve(finished, "slide-left")[1], before)
    assert "after 24 updates" in summary(finished)


def test_an_evaluation_that_lacks_a_seed_is_not_part_of_the_curve(finished):
    finished.append("evaluations.jsonl", [{"update": 30, "seed": 0, "task": "slide-left", "returns": [1.0]}])
    assert learning_curve(finished, "slide-left")[0].tolist() == [6, 12, 18, 24]


def test_damage_is_told_beside_the_returns(finished):
    assert "damaged" not in summary(finished)
    path = finished.path / "evaluations.jsonl"
    held = path.read_text().splitlines(keepends=True)
    path.write_text("".join(["gone\n", *held[1:]]))
    assert learning_curve(finished, "slide-left")[0].tolist() == [12, 18, 24]
    assert learning_curve(finished, "slide-right")[0].tolist() == [6, 12, 18, 24]
    assert summary(finished).endswith("\nevaluations.jsonl: 1 damaged line left out")


def test_an_earlier_evaluation_never_stands_in_for_a_damaged_last_one(finished):
    path = finished.path / "evaluations.jsonl"
    held = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*held[:-1], "gone\n"]))  # the last one is of slide-right
    assert last_returns(finished, "slide-left").shape == (2, 3)
    for call in (lambda: last_returns(finished, "slide-right"), lambda: summary(finished)):
        with pytest.raises(UserError, match="is damaged where it tells of the last policy"):
            call()
    (finished.path / "result.json").unlink()  # a run that goes on has none yet: what there is counts
    assert last_returns(finished, "slide-right").shape == (2, 2)
    assert summary(finished).startswith("last policy, after 18 updates")


def test_a_run_without_evaluations_says_so(finished):
    (finished.path / "evaluations.jsonl").unlink()
    with pytest.raises(UserError, match="holds no evaluation of slide-left, slide-right; train longer"):
        summary(finished)
    assert learning_curve(finished, "slide-left")[1].shape == (0, 2)


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
    with pytest.raises(UserError, match="reads 3 numbers"):
        policy.act(np.zeros(5), "slide-left")
    with pytest.raises(UserError, match="unknown seed"):
        policy.act(np.zeros(3), "slide-left", seed=7)


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
        with pytest.raises(UserError, match="reads 3 numbers"):
            policy.act(wrong, "slide-left")


def test_evaluation_of_a_run_repeats_its_last_one(finished):
    records = [r for r in lines(finished.path / "evaluations.jsonl") if r["update"] == 24]
    last = [[r["returns"] for r in records if r["seed"] == seed] for seed in (0, 1)]
    np.testing.assert_allclose(evaluate(finished.path, episodes=3), last, atol=1e-3)


def test_curve_and_summary(finished):
    updates, returns = learning_curve(finished, "slide-left")
    assert updates.tolist() == [6, 12, 18, 24]
    assert returns.shape == (4, 2)
    records = [r for r in lines(finished.path / "evaluations.jsonl") if r["task"] == "slide-left" and r["seed"] == 1]
    np.testing.assert_allclose(returns[:, 1], [np.mean(r["returns"]) for r in records])
    text = summary(finished)
    assert "after 24 updates" in text
    assert f"slide-left {returns.max(0).mean():.1f}" in text.splitlines()[-1]
    assert text.splitlines()[-1].startswith("best of run")


def test_standardised_observations_travel_with_the_policy(slides, tmp_path):
    run = train("bc", slides, tmp_path / "run", settings("bc", standardise_observations=True), progress=False)
    scaling = load_policy(run.path)._agent.scaling
    torch.testing.assert_close(scaling.mean, torch.tensor(slides.observation.mean(0)))
    torch.testing.assert_close(scaling.std, torch.tensor(slides.observation.std(0)), rtol=1e-4, atol=1e-5)
