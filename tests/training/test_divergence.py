"""Divergence: found at once, the last good checkpoint and the minibatch kept; rewards of any size."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hcsac.errors import UserError
from hcsac.policy import load_policy
from hcsac.training import Callback, RunDirectory, checkpoint, setup, train
from hcsac.training.divergence import MARGIN, Watch
from tests.training.conftest import lines, settings


class Notes(Callback):
    def __init__(self):
        self.texts = []

    def on_note(self, text):
        self.texts.append(text)


def strict(text):
    """JSON without the constants that Python adds to it."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize("algorithm", ["hcsac", "td3_bc", "bc"])
def test_a_rate_that_is_too_high_stops_with_the_reason(algorithm, slides, tmp_path):
    rates = {"actor_learning_rate": 1e30} | ({"critic_learning_rate": 1e30} if algorithm != "bc" else {})
    with pytest.raises(UserError, match=r"training diverged at update \d+: .* is no number|can sum to") as error:
        train(algorithm, slides, tmp_path / "mine", settings(algorithm, **rates), progress=False)
    assert "Try lower learning rates" in str(error.value)
    run = RunDirectory(tmp_path / "mine")
    batch = load_file(run.path / "diverged.safetensors")
    assert set(batch) >= {"observation", "action", "reward", "next_observation", "discount", "task"}
    assert batch["action"].shape[-1] == 2
    assert not run.finished
    assert not run.checkpoint.exists()  # nothing good to keep before the sixth update
    for path in run.path.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            strict(line)


def poisoned(monkeypatch, times, update=7, what="loss"):
    """The first `times` that update `update` is made, its metrics or a weight are NaN."""
    make, done = setup.make_algorithm, []

    def fragile(*arguments, **named):
        algorithm = make(*arguments, **named)
        advance = algorithm.advance

        def advance_and_poison(batch, noise=None):
            info = advance(batch, noise)
            if algorithm.updates == update and len(done) < times:
                done.append(batch.action.clone())
                if what == "loss":
                    return info | {"bellman_loss": info["bellman_loss"] * torch.nan}
                with torch.no_grad():
                    next(algorithm.actor.parameters()).fill_(torch.nan)
            return info

        algorithm.advance = advance_and_poison
        return algorithm

    monkeypatch.setattr(setup, "make_algorithm", fragile)
    return done


def test_the_last_good_checkpoint_is_kept(slides, tmp_path, monkeypatch):
    poisoned(monkeypatch, 1, update=12, what="weight")  # a checkpoint is due, and metrics are fine
    with pytest.raises(UserError, match=r"update 12: actor.* is no number"):
        train("hcsac", slides, tmp_path / "mine", settings(), progress=False)
    state, update = checkpoint.load(tmp_path / "mine" / "checkpoint.safetensors")
    assert update == 6
    agent = checkpoint.part(state, "agent").values()
    assert all(tensor.isfinite().all() for tensor in agent if tensor.is_floating_point())
    assert np.isfinite(load_policy(tmp_path / "mine").act(np.zeros(3), "slide-left")).all()


@pytest.mark.parametrize("update", [3, 7])  # before and after the first checkpoint
def test_rollback_goes_on_from_the_checkpoint_with_other_minibatches(update, slides, tmp_path, monkeypatch):
    batches, notes = poisoned(monkeypatch, 2, update), Notes()
    run = train("hcsac", slides, tmp_path / "mine", settings(on_divergence="rollback"), progress=False,
                callbacks=[notes])  # fmt: skip
    assert run.finished
    assert len(notes.texts) == 2
    back = 0 if update == 3 else 6
    assert f"update {update}: bellman_loss is no number" in notes.texts[0]
    assert notes.texts[0].endswith(f"It goes on from update {back} with other minibatches.")
    assert not torch.equal(*batches)
    assert [record["update"] for record in lines(run.path / "metrics.jsonl")] == list(range(2, 25, 2))


def test_three_rollbacks_are_enough(slides, tmp_path, monkeypatch):
    poisoned(monkeypatch, 100)
    notes = Notes()
    with pytest.raises(UserError, match="training diverged at update 7"):
        train("hcsac", slides, tmp_path / "mine", settings(on_divergence="rollback"), progress=False,
              callbacks=[notes])  # fmt: skip
    assert len(notes.texts) == 3


def test_values_beyond_what_rewards_can_sum_to_are_a_fault():
    algorithm = SimpleNamespace(discount=0.9, value_metrics={"q"})
    watch = Watch(algorithm, SimpleNamespace(reward_scale=2.0, largest_reward=3.0))
    assert watch.largest == pytest.approx(30)
    good = {"q": torch.tensor([1.0, -MARGIN * 30 / 2 + 1]), "bellman_loss": torch.tensor([1e30, 1.0])}
    assert watch.fault(good) is None
    assert watch.fault(good | {"q": torch.tensor([0.0, -MARGIN * 30 / 2 - 1])}).startswith("q is 3e+03, and rewards")
    assert watch.fault(good | {"other": torch.tensor([0.0, torch.inf])}) == "other is no number"


@pytest.mark.parametrize("algorithm", ["hcsac", "one_step"])
def test_large_rewards_are_scaled_inside_and_logged_as_they_are(algorithm, slides, tmp_path):
    """A power of two changes no bit of the rewards that are learned from."""
    one = slides.reward / np.abs(slides.reward).max()
    small, large = (replace(slides, reward=(one * np.float32(scale))) for scale in (1.0, 2.0**60))
    given = settings(algorithm) if algorithm == "hcsac" else settings(algorithm, critics=2)
    runs = [train(algorithm, data, tmp_path / name, given, progress=False)
            for name, data in (("small", small), ("large", large))]  # fmt: skip
    states = [checkpoint.part(checkpoint.load(run.checkpoint)[0], "agent") for run in runs]
    assert states[0].keys() == states[1].keys()
    assert [name for name in states[0] if not torch.equal(states[0][name], states[1][name])] == []
    for ours, theirs in zip(*(lines(run.path / "metrics.jsonl") for run in runs), strict=True):
        if "q" in ours:
            assert theirs["q"] == pytest.approx(ours["q"] * 2.0**60, rel=1e-6)
            assert theirs["bellman_loss"] == ours["bellman_loss"]
    if algorithm == "hcsac":
        thresholds = [[r["threshold"] for r in lines(run.path / "sharing.jsonl")] for run in runs]
        np.testing.assert_allclose(np.array(thresholds[1]) / 2.0**60, thresholds[0], rtol=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e-6])
def test_small_rewards_are_no_divergence(size, slides, tmp_path):
    """The values that networks begin with are larger than such rewards can sum to."""
    small = replace(slides, reward=np.float32(size) * slides.reward)
    run = train("td3_bc", small, tmp_path / "run", settings("td3_bc"), progress=False)
    assert run.finished
