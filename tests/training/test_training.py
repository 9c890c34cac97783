"""Runs: what they leave, that they continue exactly, and that nothing is written over."""

import json

import numpy as np
import pytest
import torch

from hcsac.agents import preset
from hcsac.errors import UserError
from hcsac.training import evaluate, learning_curve, load_policy, loop, summary, train

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
}  # fmt: skip  (96 rows in batches of 16: an epoch is 6 updates)


def settings(agent="hcsac", **changes):
    return preset("slides", agent).replace(TINY | changes)


def tree(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def finished(slides, tmp_path):
    return train("hcsac", slides, tmp_path / "run", settings(), seeds=(0, 1), progress=False)


def test_leaves_the_documented_files(finished, slides):
    identity = finished.identity()
    assert identity["fingerprint"] == slides.fingerprint()
    assert identity["settings"] == settings().as_dict()
    assert [r["update"] for r in lines(finished.path / "metrics.jsonl") if r["seed"] == 1] == list(range(2, 25, 2))
    evaluations = lines(finished.path / "evaluations.jsonl")
    assert {r["update"] for r in evaluations} == {6, 12, 18, 24}
    assert {len(r["returns"]) for r in evaluations if r["update"] == 24} == {3}
    flows = lines(finished.path / "sharing.jsonl")
    assert {(r["from"], r["to"]) for r in flows} == {("slide-left", "slide-right"), ("slide-right", "slide-left")}
    assert all(0 <= r["borrowed"] <= r["offered"] == 48 and np.isfinite(r["threshold"]) for r in flows)
    assert list((finished.path / "tensorboard").glob("events*"))
    assert finished.finished
    assert not [p for p in finished.path.rglob("*") if p.suffix in (".pt", ".pth", ".pkl", ".tmp")]


def test_sharing_fills_the_active_dataset_and_the_checkpoint(finished):
    from hcsac.training import checkpoint

    state, update = checkpoint.load(finished.checkpoint)
    borrowed = sum(
        r["borrowed"] for r in lines(finished.path / "sharing.jsonl") if r["update"] == 24 and r["seed"] == 0
    )
    assert update == 24
    assert borrowed > 0
    assert len(state["active/borrowed.0.row"]) == borrowed


class Stop(Exception):
    pass


@pytest.mark.parametrize("agent", ["bc", "mtcsac", "hcsac"])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(agent, slides, tmp_path, monkeypatch):
    whole = train(agent, slides, tmp_path / "whole", settings(agent), progress=False)
    make = loop.make_agent

    def fragile(*arguments, **named):
        built = make(*arguments, **named)
        update, count = built.update, iter(range(1000))

        def breaking(batch):
            if next(count) == 15:  # after the evaluation at 12, before the one at 18
                raise Stop
            return update(batch)

        built.update = breaking
        return built

    monkeypatch.setattr(loop, "make_agent", fragile)
    with pytest.raises(Stop):
        train(agent, slides, tmp_path / "broken", settings(agent), progress=False)
    with open(tmp_path / "broken" / "metrics.jsonl", "a") as file:
        file.write('{"update": 15, "se')  # killed while writing
    monkeypatch.setattr(loop, "make_agent", make)
    broken = train(agent, slides, tmp_path / "broken", settings(agent), resume=True, progress=False)

    assert broken.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    for name in ("metrics.jsonl", "evaluations.jsonl", "sharing.jsonl"):
        if (whole.path / name).exists():
            assert (broken.path / name).read_text() == (whole.path / name).read_text()


def test_a_finished_run_is_returned_untouched(finished, slides):
    before = tree(finished.path)
    train("hcsac", slides, finished.path, settings(), seeds=(0, 1), resume=True, progress=False)
    assert tree(finished.path) == before


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({}, "already holds a run.*--resume"),
        ({"resume": True, "seeds": (0, 2)}, "holds another run: its seeds"),
        ({"resume": True, "settings": settings(discount=0.5)}, "its setting discount is 0.99, not 0.5"),
        ({"resume": True, "agent": "mtcsac", "settings": settings("mtcsac")}, "its agent is 'hcsac'"),
    ],
)
def test_another_run_is_refused_and_nothing_is_touched(finished, slides, call, says):
    before = tree(finished.path)
    given = {"agent": "hcsac", "settings": settings(), "seeds": (0, 1), "progress": False} | call
    with pytest.raises(UserError, match=says):
        train(given.pop("agent"), slides, finished.path, **given)
    assert tree(finished.path) == before


def test_a_foreign_directory_is_refused(slides, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="exists and is not a run"):
        train("bc", slides, tmp_path, settings("bc"), progress=False)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_damaged_checkpoint_is_said_so(finished):
    finished.checkpoint.write_bytes(finished.checkpoint.read_bytes()[:100])
    with pytest.raises(UserError, match=r"checkpoint.safetensors is damaged"):
        load_policy(finished.path)


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


def test_evaluation_of_a_run_repeats_its_last_one(finished):
    last = [r["returns"] for r in lines(finished.path / "evaluations.jsonl") if r["update"] == 24 and r["seed"] == 0]
    np.testing.assert_allclose(evaluate(finished.path, episodes=3)[0], last, atol=1e-3)


def test_curve_and_summary(finished):
    updates, returns = learning_curve(finished, "slide-left")
    assert updates.tolist() == [6, 12, 18, 24]
    assert returns.shape == (4, 2)
    text = summary(finished)
    assert "after 24 updates" in text
    assert "best of run" in text


def test_standardised_observations_travel_with_the_policy(slides, tmp_path):
    run = train("bc", slides, tmp_path / "run", settings("bc", standardise_observations=True), progress=False)
    scaling = load_policy(run.path)._agent.scaling
    torch.testing.assert_close(scaling.mean, torch.tensor(slides.observation.mean(0)))
    torch.testing.assert_close(scaling.std, torch.tensor(slides.observation.std(0)), rtol=1e-4, atol=1e-5)


def test_off_by_one_is_part_of_what_a_run_is(slides, tmp_path):
    train("bc", slides, tmp_path / "run", settings("bc"), progress=False)
    with pytest.raises(UserError, match="its alignment is 'correct', not 'off_by_one'"):
        train("bc", slides, tmp_path / "run", settings("bc"), alignment="off_by_one", resume=True, progress=False)
