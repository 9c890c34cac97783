"""Judging a policy without a simulator, against independent computations."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

from hcsac.data import Dataset
from hcsac.data.held_out import held_out_episodes, without
from hcsac.data.store import write
from hcsac.errors import UserError
from hcsac.evaluation import Estimate
from hcsac.policy import evaluate_offline, load_policy
from hcsac.policy.fitted_q import FittedQSettings, first_state_values
from hcsac.policy.logged import logged_data
from hcsac.policy.offline import OfflineEvaluation, OfflineTask, improvement_on, offline_table, residuals
from hcsac.training import RunDirectory, train
from tests.conftest import TASKS, slide_episodes
from tests.training.conftest import settings

FAST = FittedQSettings(behaviour_updates=30, updates=20, hidden_size=8, critics=2)
REFS = [f"lab/{name}-v0" for name in TASKS]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two seeds that held out a third of its episodes, and the store with its data; copy before you change."""
    folder = tmp_path_factory.mktemp("offline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(folder / "minari"))
        (folder / "minari").mkdir()
        for name, ref in zip(TASKS, REFS, strict=True):
            write(ref, name, slide_episodes(name, 6))
        train("bc", REFS, folder / "run", settings("bc", updates=60, held_out=0.34), (0, 1), progress=False)
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    shutil.copytree(trained / "run", tmp_path / "run")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(trained / "minari"))
    return RunDirectory(tmp_path / "run")


def test_the_run_says_what_it_left_out(run):
    whole = Dataset.from_episodes({name: slide_episodes(name, 6) for name in TASKS})
    identity, found = run.identity(), held_out_episodes(whole, 0.34)
    assert identity["held_out"] == found
    assert {len(numbers) for numbers in found.values()} == {2}
    kept = without(whole, found)
    assert identity["fingerprint"] == kept.fingerprint()
    assert (identity["rows"], identity["behaviour"]) == (2 * 4 * 12, kept.mean_returns)
    logged = logged_data(run.path)
    assert logged.trained.fingerprint() == kept.fingerprint()
    assert np.flatnonzero(logged.unseen).tolist() == [*found["slide-left"], *(6 + n for n in found["slide-right"])]


def test_errors_of_actions_are_those_at_the_held_out_steps(run):
    found = evaluate_offline(run.path, settings=FAST, progress=False)
    policy = load_policy(run.path)
    assert found.unseen
    for one in found.tasks:
        episodes = [slide_episodes(one.task, 6)[n] for n in run.identity()["held_out"][one.task]]
        action = np.concatenate([episode.action for episode in episodes])
        for seed, error in zip((0, 1), one.error, strict=True):
            own = np.concatenate([policy.act(e.observation[:-1], one.task, seed) for e in episodes])
            np.testing.assert_allclose(error, ((own - action) ** 2).mean(0), rtol=1e-4)
        assert (one.episodes, one.steps) == (2, 24)
        assert one.variance == pytest.approx(action.var(0).mean(), rel=1e-4)
        assert 0 < one.noise < 2 * one.variance


def test_logged_returns_are_sums_of_rewards_and_of_what_is_left_at_the_end(slides):
    """An episode that ends in a terminal state is its rewards alone."""

    class Still:
        tasks, seeds, observation_size = slides.task_names, (0,), slides.observation_size

        def act_all(self, observation, task):
            return np.zeros((*task.shape, 2), np.float32)

    last = slides.episode_start[1:] - 1
    ended = np.zeros(len(slides), bool)
    ended[last[::2]] = True
    data = replace(slides, terminated=ended)
    value = first_state_values([Still()], data, FAST, progress=False)
    assert value.policies.shape == (1, 2, 8)
    assert value.behaviour.shape == (2, 8)
    for e in range(8):
        reward = data.reward[data.episode_start[e] : data.episode_start[e + 1]].astype(float)
        sums = [sum(0.99**t * r for t, r in enumerate(reward[:stop])) for stop in (11, 12)]
        if e % 2 == 0:
            assert value.logged[e] == pytest.approx(sums[1])
        else:
            assert abs(value.logged[e] - sums[0]) < 3  # what critics of 30 updates say of the last step
            assert value.logged[e] != pytest.approx(sums[1])


def test_the_interval_covers_replicas_and_episodes():
    random = np.random.default_rng(0)
    logged = random.normal(10, 1, 6)
    same = np.broadcast_to(logged + 0.5, (2, 3, 6))
    assert improvement_on(same, logged) == pytest.approx((0.5, 0.5, 0.5))
    apart = same + np.array([[[-1.0], [0.0], [1.0]]])
    found = improvement_on(apart, logged)
    assert found.low < 0 < found.value < 1 < found.high


def test_of_another_robot_residuals_are_in_the_scale_of_the_networks(run):
    data = logged_data(run.path).dataset
    policy = load_policy(run.path)
    left = residuals(policy, data, np.arange(10))
    assert left.shape == (2, 10, 2)
    np.testing.assert_allclose(
        left[1, :, 0], data.action[:10, 0] - policy.act(data.observation[:10], "slide-left", 1)[:, 0], atol=1e-6
    )


def test_data_that_are_named(run, trained, tmp_path):
    assert logged_data(run.path, REFS).unseen.sum() == 4  # they are its own
    with pytest.MonkeyPatch.context() as patch:
        store = shutil.copytree(trained / "minari", tmp_path / "store")
        patch.setenv("MINARI_DATASETS_PATH", str(store))
        new = [f"new/{name}-v0" for name in TASKS]
        for name, ref in zip(TASKS, new, strict=True):
            write(ref, name, slide_episodes(name, 3, seed=7))
        assert logged_data(run.path, new).unseen.all()
        assert not logged_data(run.path, [REFS[0], new[1]]).unseen.any()
    with pytest.raises(UserError, match="rewards of task 'slide-right' cannot be recomputed"):
        logged_data(run.path, REFS[:1])


def test_data_that_changed_or_have_no_name(run):
    identity = run.identity()
    for changes, says in (
        ({"fingerprint": "0"}, "not those that it was trained on any more .* restore them, or name other data"),
        ({"held_out": {"slide-left": [6]}}, "not those that it was trained on any more"),
        ({"held_out": {"slide-left": "all"}}, "run.json is corrupt"),
        ({"data": []}, "were made in Python and have no name"),
    ):
        run.write_json("run.json", identity | changes)
        with pytest.raises(UserError, match=says):
            evaluate_offline(run.path, settings=FAST, progress=False)
    run.write_json("run.json", {key: value for key, value in identity.items() if key != "held_out"})
    with pytest.raises(UserError, match="not those that it was trained on any more"):
        logged_data(run.path)


def test_the_table_and_the_numbers():
    one = OfflineTask(
        "reach",
        1,
        12,
        np.array([[0.5, 0.25]]),
        math.nan,
        1.5,
        Estimate(2.0, 1.0, 3.0),
        1.0,
        1.25,
        Estimate(1.0, 0.5, 1.5),
        0.5,
    )
    worse = one._replace(task="push", difference=Estimate(-1.0, -2.0, -0.5), noise=0.25)
    text = offline_table(OfflineEvaluation(True, (one, worse)))
    rows = [line.split() for line in text.splitlines()]
    assert ["reach", "1", "12", "0.3750", "-", "1.5000"] in rows
    assert ["push", "1", "12", "0.3750", "0.2500", "1.5000"] in rows
    assert "+1.00 [0.50, 1.50]" in text
    assert [row[-1] for row in rows if row[:1] in (["reach"], ["push"])][2:] == ["above", "below"]
    assert [task.verdict for task in (one._replace(spread=0.2), worse._replace(spread=0.2))] == ["narrow logs", "below"]
    assert "Nothing was held out" not in text
    assert "Nothing was held out" in offline_table(OfflineEvaluation(False, (one,)))
    described = json.loads(json.dumps(one.as_dict(), allow_nan=False))
    assert described["noise"] is None
    assert described["difference"] == {"value": 1.0, "low": 0.5, "high": 1.5}
    assert (described["verdict"], described["error"]) == ("above", [[0.5, 0.25]])
