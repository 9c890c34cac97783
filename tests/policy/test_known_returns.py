"""Returns that are kept beside a policy: each is evaluated once, and believed of no other policy."""

import json
import shutil

import numpy as np
import pytest
import torch

from hcsac.errors import UserError
from hcsac.evaluation import rollout
from hcsac.policy import evaluate, export_policy, known_returns, load_policy
from hcsac.policy.known_returns import KnownReturns
from hcsac.tasks import Task, register_task, registry
from hcsac.training import checkpoint


@pytest.fixture
def counted(monkeypatch):
    """The number of resets of every evaluation that is run."""
    counts = []

    class Counted(known_returns.Evaluator):
        def block(self, act, first, episodes):
            counts.append(episodes)
            return super().block(act, first, episodes)

    monkeypatch.setattr(known_returns, "Evaluator", Counted)
    return counts


def stored(path):
    return json.loads((path / "compared.json").read_text())


def test_they_are_those_of_evaluate_and_are_kept(run, counted):
    known = KnownReturns(run.path)
    assert known.returns.shape == (2, 2, 0)
    assert known.missing(4) == 2 * 2 * 4
    expected = evaluate(run.path, 4)
    np.testing.assert_allclose(known.evaluate(4), expected, atol=1e-4)
    assert counted == [4]
    again = KnownReturns(run.path)
    assert again.missing(4) == 0
    np.testing.assert_array_equal(again.evaluate(4), known.returns)
    np.testing.assert_array_equal(again.evaluate(3), known.returns[..., :3])
    assert counted == [4]
    assert list(stored(run.path)) == ["format", "policy", "update", "seeds", "tasks", "returns"]
    assert (stored(run.path)["seeds"], stored(run.path)["update"]) == ([3, 5], 24)


def test_more_episodes_evaluate_the_new_ones(run, counted):
    expected, done = evaluate(run.path, 7), []
    KnownReturns(run.path).evaluate(3)
    more = KnownReturns(run.path)
    assert more.missing(7) == 2 * 2 * 4
    np.testing.assert_allclose(more.evaluate(7, done.append), expected, atol=1e-4)
    assert counted == [3, 4]
    assert done == [2 * 2 * 4]


def test_other_initial_states_are_kept_apart(run, counted):
    KnownReturns(run.path).evaluate(2)
    other = KnownReturns(run.path, 50)
    assert other.missing(2) == 8
    np.testing.assert_allclose(other.evaluate(2), evaluate(run.path, 2, 50), atol=1e-4)
    assert [KnownReturns(run.path, seed).missing(2) for seed in (10_000, 50)] == [0, 0]


def test_blocks_change_nothing_and_an_interruption_loses_one(run, counted, monkeypatch):
    expected = evaluate(run.path, 7)
    monkeypatch.setattr(rollout, "ENVIRONMENTS", 12)  # 3 initial states of 4 environments each

    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        KnownReturns(run.path).evaluate(7, stop)
    assert KnownReturns(run.path).returns.shape[-1] == 3
    done = []
    np.testing.assert_allclose(KnownReturns(run.path).evaluate(7, done.append), expected, atol=1e-4)
    assert counted == [3, 2, 2]
    assert done == [8, 8]


@pytest.mark.parametrize("changed", ["weights", "update", "normalisation"])
def test_another_checkpoint_is_never_given_them(run, changed):
    before = KnownReturns(run.path).evaluate(2)
    state, update = checkpoint.load(run.checkpoint)
    name = {"weights": next(name for name in state if name.startswith("agent/actor.") and name.endswith("weight")),
            "normalisation": "scaling/mean", "update": ""}[changed]  # fmt: skip
    if name:
        state[name] = state[name] + 0.5
    checkpoint.save(run.checkpoint, state, update + (changed == "update"))
    now = KnownReturns(run.path)
    assert now.missing(2) == 8
    returns = now.evaluate(2)
    assert np.array_equal(returns, before) == (changed == "update")
    assert KnownReturns(run.path).missing(2) == 0
    assert list(stored(run.path)["returns"]) == ["10000"]


def test_a_file_of_another_run_is_not_believed(run, exported, tmp_path):
    KnownReturns(run.path).evaluate(1)
    other = tmp_path / "other"
    shutil.copytree(exported.path, other)
    content = json.loads((other / "run.json").read_text()) | {"seeds": [7, 9]}
    (other / "run.json").write_text(json.dumps(content))
    shutil.copy(run.path / "compared.json", other)
    assert KnownReturns(other).missing(1) == 4


def test_another_environment_of_a_task_is_another_return(run, monkeypatch):
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    KnownReturns(run.path).evaluate(1)
    register_task(Task("slide-left", "tests/slide-right-v0"))
    assert KnownReturns(run.path).missing(1) == 4


def spoil(**changes):
    return lambda content: json.dumps(content | changes)


@pytest.mark.parametrize(
    "write",
    [lambda content: "{", lambda content: "[]", lambda content: "", lambda content: "null",
     spoil(format=2), spoil(format=None), spoil(returns=[1]), spoil(returns={"x": [[[1.0]]]}), spoil(policy="0"),
     spoil(returns={"10000": [[[1.0], [1.0]]]}), spoil(returns={"10000": [[[1.0], [1.0, 2.0]], [[1.0], [1.0]]]}),
     spoil(returns={"10000": [[1.0, 1.0], [1.0, 1.0]]}), spoil(returns={"10000": [[[1.0], [10**400]]] * 2})],
)  # fmt: skip
def test_a_corrupt_file_is_no_return(run, write):
    expected = KnownReturns(run.path).evaluate(1)
    (run.path / "compared.json").write_text(write(stored(run.path)))
    known = KnownReturns(run.path)
    assert known.missing(1) == 4
    np.testing.assert_array_equal(known.evaluate(1), expected)
    assert KnownReturns(run.path).missing(1) == 0


def test_a_place_that_cannot_be_written_is_told(run):
    (run.path / ".compared.json.tmp").mkdir()  # where it would be written
    known = KnownReturns(run.path)
    assert known.evaluate(1).shape == (2, 2, 1)
    assert known.problem.startswith(f"cannot write {run.path / 'compared.json'} (")
    assert not (run.path / "compared.json").exists()


def test_a_bundle_keeps_its_own_and_is_exported_again(run):
    bundle = run.path / "policy"
    returns = KnownReturns(bundle).evaluate(2)
    np.testing.assert_allclose(returns, KnownReturns(run.path).evaluate(2), atol=1e-4)
    assert stored(bundle)["policy"] == stored(run.path)["policy"]
    export_policy(run.path)
    assert KnownReturns(bundle).missing(2) == 8


def test_a_task_without_a_simulator(run, monkeypatch):
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    register_task(Task("slide-left"))
    with pytest.raises(UserError, match="'slide-left' has no simulator"):
        KnownReturns(run.path).evaluate(1)
    assert not (run.path / "compared.json").exists()


def test_the_digest_is_that_of_the_policy(run):
    assert load_policy(run.path).digest() == load_policy(run.path / "policy").digest()
    state, update = checkpoint.load(run.checkpoint)
    critic = next(name for name in state if name.startswith("agent/critic"))
    checkpoint.save(run.checkpoint, state | {critic: torch.zeros_like(state[critic])}, update)
    assert load_policy(run.path).digest() == load_policy(run.path / "policy").digest()
