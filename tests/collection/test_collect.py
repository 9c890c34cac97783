"""Collection: what is written, that interruption changes nothing, and what is refused."""

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from hcsac.algorithms.td3 import TD3
from hcsac.collection import CollectSettings, collect
from hcsac.data import store
from hcsac.errors import UserError
from hcsac.tasks import Task, register_task, replay
from tests.conftest import Slide

gymnasium.register(
    "tests/short-walker-v0",
    entry_point="hcsac.tasks.environment:DmControlEnv",
    kwargs={"domain": "walker", "task": "walk"},
    max_episode_steps=15,
)
register_task(Task("short-walker", "tests/short-walker-v0"))
gymnasium.register("tests/unscored-slide-v0", entry_point=Slide, max_episode_steps=12)
register_task(Task("unscored-slide", "tests/unscored-slide-v0"))

TINY = {"hidden_size": 8, "batch_size": 8, "random_steps": 30, "episodes": 3}
NAMES = ["here/slide-right-medium-v0", "here/slide-right-medium-replay-v0"]


def run(directory: Path, task: str = "slide-right", namespace: str = "here", **settings) -> list[str]:
    given = TINY | {"steps": 100, "level": 1e9} | settings
    return collect(task, namespace, directory, CollectSettings(**given), "hcsac collect", progress=False)


def episodes_of(name: str) -> list:
    return store.read(name)[1]


def assert_same(left: str, right: str) -> None:
    pairs = list(zip(episodes_of(left), episodes_of(right), strict=True))
    for one, other in pairs:
        for name, value in vars(one).items():
            np.testing.assert_array_equal(value, getattr(other, name))


class TestWritten:
    def test_two_datasets_that_say_how_they_were_made(self, tmp_path):
        assert run(tmp_path / "work", seed=3, noise=0.1) == NAMES
        for name, count in zip(NAMES, (3, 9), strict=True):  # 100 steps end in the ninth episode of 12
            task, episodes, metadata = store.read(name)
            assert (task, len(episodes)) == ("slide-right", count)
            behaviour = np.mean([episode.episode_return for episode in episodes])
            assert metadata["behaviour_return"] == pytest.approx(behaviour)
            assert metadata["seed"] == 3
            assert metadata["exploration_noise"] == 0.1
            assert metadata["command"] == "hcsac collect"
            assert metadata["steps_seen"] == 108

    def test_physics_states_replay(self, tmp_path):
        names = run(tmp_path / "work", "short-walker", steps=45)
        for episode in (episodes_of(name)[-1] for name in names):
            assert episode.physics is not None
            after, reward, _ = replay("short-walker", episode.physics[:-1], episode.action)
            # Contacts amplify float32 rounding of the state and what the solver kept from the step before.
            np.testing.assert_allclose(np.median(np.abs(after - episode.observation[1:])), 0, atol=1e-3)
            np.testing.assert_allclose(reward, episode.reward, atol=2e-2)

    def test_steps_used_up_tell_the_level_reached(self, tmp_path):
        _, replayed = run(tmp_path / "work")
        _, episodes, metadata = store.read(replayed)
        last = np.mean([episode.episode_return for episode in episodes[-5:]])
        assert metadata["level"] == 1e9
        assert metadata["level_reached"] == pytest.approx(last)

    def test_learning_stops_at_the_level(self, tmp_path):
        _, replayed = run(tmp_path / "work", level=-1e9)
        assert len(episodes_of(replayed)) == 5  # as many as the mean is taken over
        assert store.read(replayed)[2]["level_reached"] > -1e9

    def test_half_the_expert_is_medium(self, tmp_path):
        _, replayed = run(tmp_path / "work", level=None)
        assert store.read(replayed)[2]["level"] == 5.0

    def test_replay_episodes_are_evenly_spaced(self, tmp_path):
        _, everything = run(tmp_path / "work")
        _, spaced = run(tmp_path / "other", namespace="there", replay_episodes=3)
        for one, other in zip([episodes_of(everything)[i] for i in (0, 4, 8)], episodes_of(spaced), strict=True):
            np.testing.assert_array_equal(one.observation, other.observation)

    def test_medium_is_one_frozen_policy_with_noise(self, tmp_path):
        quiet, _ = run(tmp_path / "work", noise=0.0)
        _, again = run(tmp_path / "work", namespace="there", noise=0.0)
        assert again == "there/slide-right-medium-replay-v0"
        assert_same(quiet, "there/slide-right-medium-v0")
        assert all(np.abs(episode.action).max() <= 1 for episode in episodes_of(quiet))

    def test_every_episode_and_every_seed_begins_elsewhere(self, tmp_path):
        first = [episode for name in run(tmp_path / "work") for episode in episodes_of(name)]
        other = [e for name in run(tmp_path / "other", namespace="there", seed=1) for e in episodes_of(name)]
        starts = np.stack([episode.observation[0] for episode in first + other])
        assert len(np.unique(starts, axis=0)) == len(starts)

    def test_it_learns(self, tmp_path):
        settings = {"hidden_size": 32, "batch_size": 64, "random_steps": 120, "learning_rate": 3e-3}
        medium, replayed = run(tmp_path / "work", steps=500, episodes=10, **settings)
        seen = episodes_of(replayed)
        random = np.mean([episode.action[:, 0].mean() for episode in seen[:10]])
        assert abs(random) < 0.25
        # The reward is the first coordinate, and the first action alone pushes it: at its bound all the time is best.
        assert np.mean([episode.action[:-2, 0].mean() for episode in episodes_of(medium)]) > 0.7


class TestInterrupted:
    @pytest.mark.parametrize("updates", [1, 40, 70])
    def test_learning_goes_on_as_if_nothing_had_been(self, tmp_path, monkeypatch, updates):
        run(tmp_path / "whole", namespace="whole")
        interrupt_after(updates, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut")
        seen = 30 + updates - 1  # the first update follows the thirtieth step
        assert len(list((tmp_path / "cut" / "seed-0" / "replay").iterdir())) == seen // 12  # at most one episode lost
        monkeypatch.undo()
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
        run(tmp_path / "cut")
        for name in NAMES:
            assert_same(name, name.replace("here", "whole"))

    def test_an_episode_without_its_checkpoint_does_not_count(self, tmp_path, monkeypatch):
        """Killed between writing the episode and writing the checkpoint."""
        run(tmp_path / "whole", namespace="whole")
        interrupt_after(40, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut")
        held = sorted((tmp_path / "cut" / "seed-0" / "replay").iterdir())
        held[0].with_name(f"{len(held):06d}.npz").write_bytes(held[0].read_bytes())
        monkeypatch.undo()
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
        run(tmp_path / "cut")
        for name in NAMES:
            assert_same(name, name.replace("here", "whole"))

    def test_in_the_medium_episodes(self, tmp_path, monkeypatch):
        run(tmp_path / "whole", namespace="whole")
        written = store.write

        def cut(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(store, "write", cut)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut")
        (tmp_path / "cut" / "seed-0" / "medium-000009" / "000002.npz").unlink()
        monkeypatch.setattr(store, "write", written)
        run(tmp_path / "cut")
        for name in NAMES:
            assert_same(name, name.replace("here", "whole"))

    def test_nothing_on_disk_is_pickled(self, tmp_path):
        run(tmp_path / "work")
        files = [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
        assert {path.suffix for path in files} == {".npz", ".json", ".safetensors"}
        for path in files:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as arrays:
                    assert all(arrays[name].dtype.kind in "fb" for name in arrays.files)


class TestRefused:
    def test_a_taken_name_before_any_work(self, tmp_path):
        run(tmp_path / "work")
        with pytest.raises(UserError, match=r"'here/slide-right-medium-v0' already exists in .*; choose another"):
            run(tmp_path / "other", seed=1)
        with pytest.raises(UserError, match=r"'here/slide-right-medium-replay-v0' already exists"):
            run(tmp_path / "other", replay_episodes=2)
        assert not (tmp_path / "other").exists()

    @pytest.mark.parametrize("namespace", ["a b", "sample", ""])
    def test_a_bad_name_before_any_work(self, tmp_path, namespace):
        with pytest.raises(UserError, match=r"choose another|is not a dataset name"):
            run(tmp_path / "work", namespace=namespace)
        assert not (tmp_path / "work").exists()

    @pytest.mark.parametrize("change", [{"noise": 0.1}, {"hidden_size": 9}, {"batch_size": 9}, {"random_steps": 31}])
    def test_other_settings_in_the_same_directory(self, tmp_path, change):
        run(tmp_path / "work")
        (setting,) = change
        with pytest.raises(UserError, match=f"has another collection in it: its {setting} is .*--output"):
            run(tmp_path / "work", namespace="there", **change)

    def test_another_task_in_the_same_directory(self, tmp_path):
        run(tmp_path / "work")
        with pytest.raises(UserError, match="its task is 'slide-right', not 'slide-left'"):
            run(tmp_path / "work", "slide-left")

    def test_a_directory_of_other_things(self, tmp_path):
        (tmp_path / "thesis.txt").write_text("years of work")
        with pytest.raises(UserError, match="is not a collection"):
            run(tmp_path)
        assert (tmp_path / "thesis.txt").read_text() == "years of work"

    def test_a_corrupt_directory(self, tmp_path):
        run(tmp_path / "work")
        (tmp_path / "work" / "seed-0" / "collection.json").write_text(json.dumps({"task": "slide-right"})[:-3])
        with pytest.raises(UserError, match=r"collection\.json is corrupt"):
            run(tmp_path / "work", namespace="there")

    def test_an_unknown_task(self, tmp_path):
        with pytest.raises(UserError, match="did you mean 'slide-right'"):
            run(tmp_path / "work", "slide-rihgt")

    def test_a_level_nobody_knows(self, tmp_path):
        with pytest.raises(
            UserError,
            match="no expert return is known for task 'unscored-slide'; give the return to reach with --level",
        ):
            run(tmp_path / "work", "unscored-slide", level=None)

    @pytest.mark.parametrize("change", [{"episodes": 0}, {"noise": -0.1}, {"steps": 0}, {"replay_episodes": 0}])
    def test_settings_out_of_bounds(self, change):
        (setting,) = change
        with pytest.raises(UserError, match=f"setting {setting} = .* is out of bounds"):
            CollectSettings(**change)


def interrupt_after(updates: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyboardInterrupt in the middle of an episode: instead of that update."""
    update, calls = TD3.advance, iter(range(1, 1_000_000))

    def interrupted(self, batch):
        if next(calls) == updates:
            raise KeyboardInterrupt
        return update(self, batch)

    monkeypatch.setattr(TD3, "advance", interrupted)
