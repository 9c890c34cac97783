"""Nothing in a training sees the episodes that it holds out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hcsac.data import Dataset
from hcsac.data.held_out import held_out_episodes
from hcsac.errors import UserError
from hcsac.training import Callback, checkpoint, train
from tests.conftest import TASKS, slide_episodes
from tests.training.conftest import settings

ALGORITHMS = {
    "hcsac": {"sharing": "quantile"},
    "one_step": {"updates": 12, "actors": 1, "critics": 2, "candidates": "0.1:all,inf:own", "sharing": "all"},
}


def poisoned(share):
    """The light tasks, with other and far larger numbers in the episodes that are held out."""
    groups = {name: slide_episodes(name, 5) for name in TASKS}
    for name, numbers in held_out_episodes(Dataset.from_episodes(groups), share).items():
        for number in numbers:
            episode = groups[name][number]
            groups[name][number] = replace(
                episode, observation=1e4 + 1e3 * episode.observation, action=-np.sign(episode.action),
                reward=1e5 * (1 + episode.reward),
            )  # fmt: skip
    return Dataset.from_episodes(groups)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_weights_are_those_without_the_held_out_episodes(algorithm, tmp_path):
    clean = Dataset.from_episodes({name: slide_episodes(name, 5) for name in TASKS})
    chosen = settings(algorithm, final_episodes=1, standardise_observations=True, **ALGORITHMS[algorithm])
    chosen = chosen.replace({"held_out": 0.4})
    one = train(algorithm, clean, tmp_path / "one", chosen, progress=False)
    other = train(algorithm, poisoned(0.4), tmp_path / "other", chosen, progress=False)
    assert one.identity() == other.identity()
    assert one.checkpoint.read_bytes() == other.checkpoint.read_bytes()
    whole = train(algorithm, clean, tmp_path / "whole", chosen.replace({"held_out": 0.0}), progress=False)
    assert (whole.identity()["held_out"], whole.identity()["rows"]) == ({}, 120)
    means = [checkpoint.load(run.checkpoint)[0]["scaling/mean"] for run in (one, whole)]
    assert not torch.equal(*means)


class Stop(Callback):
    def on_evaluation(self, update, returns):
        raise RuntimeError


def test_a_run_goes_on_without_the_same_episodes(tmp_path):
    chosen, data = settings("bc", held_out=0.4), poisoned(0.4)
    straight = train("bc", data, tmp_path / "a", chosen, progress=False)
    with pytest.raises(RuntimeError):
        train("bc", data, tmp_path / "b", chosen, progress=False, callbacks=[Stop()])
    with pytest.raises(UserError, match="another run"):
        train("bc", data, tmp_path / "b", chosen.replace({"held_out": 0.2}), resume=True, progress=False)
    resumed = train("bc", data, tmp_path / "b", chosen, resume=True, progress=False)
    assert resumed.evaluations().equals(straight.evaluations())
