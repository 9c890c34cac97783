"""Every kind of dataset: what is in it, that interruption changes nothing, and what one learner serves for."""

from pathlib import Path

import minari
import numpy as np
import pytest

from hcsac.collection import CollectSettings, keep
from hcsac.data import store
from hcsac.errors import UserError
from tests.collection.test_collect import assert_same, episodes_of, interrupt_after, run

EVERY = {"keep": "all,final,slice,mixture", "level": None, "returns": ":0", "shares": "1,1,2", "episodes": 4}
LABELS = ("full-replay", "final", "slice", "mixture")


def name(label: str, namespace: str = "here") -> str:
    return f"{namespace}/slide-right-{label}-v0"


def arrays(episodes: list) -> list[bytes]:
    return [episode.observation.tobytes() for episode in episodes]


class TestEpisodes:
    def test_of_every_kind(self, tmp_path):
        assert run(tmp_path / "work", **EVERY) == [name(label) for label in LABELS]
        replay, final, part, mixture = (episodes_of(name(label)) for label in LABELS)
        assert (len(replay), len(final), len(mixture)) == (9, 4, 4)  # 100 steps end in the ninth episode of 12
        assert 0 < len(part) <= 4
        assert all(episode.episode_return <= 0 for episode in part)
        for some in (part, mixture):  # training episodes, each once, in their own order
            places = [arrays(replay).index(each) for each in arrays(some)]
            assert places == sorted(set(places))
        returns = [episode.episode_return for episode in replay]
        thirds = np.array_split(np.sort(returns), 3)
        for third, count in zip(thirds, (1, 1, 2), strict=True):
            assert sum(third[0] <= episode.episode_return <= third[-1] for episode in mixture) == count

    def test_all_and_final_stop_at_no_level(self, tmp_path):
        run(tmp_path / "medium", level=-1e9, namespace="low")
        run(tmp_path / "work", keep="medium,all,final", level=-1e9)
        assert len(episodes_of(name("medium-replay"))) == 5
        assert len(episodes_of(name("full-replay"))) == 9
        assert_same(name("medium"), name("medium", "low"))  # the policy of then, although the learner went on
        first, last = episodes_of(name("medium"))[0], episodes_of(name("final"))[0]
        assert not np.array_equal(first.observation[0], last.observation[0])

    def test_full_replay_begins_as_medium_replay(self, tmp_path):
        run(tmp_path / "work", keep="medium,all", level=-1e9)
        assert arrays(episodes_of(name("full-replay")))[:5] == arrays(episodes_of(name("medium-replay")))

    def test_several_learners_in_their_order(self, tmp_path):
        run(tmp_path / "work", keep="all,final", level=None, learners=2, seed=3, episodes=5)
        for label, counts in (("full-replay", (9, 9)), ("final", (3, 2))):
            both = arrays(episodes_of(name(label)))
            alone = []
            for seed, count in zip((3, 4), counts, strict=True):
                run(tmp_path / "alone", keep="all,final", level=None, seed=seed, namespace=f"s{seed}", episodes=3)
                alone += arrays(episodes_of(name(label, f"s{seed}")))[:count]
            assert both == alone
        assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["seed-3", "seed-4"]
        metadata = store.read(name("full-replay"))[2]
        assert (metadata["learners"], metadata["kinds"], metadata["steps_seen"]) == (2, ["all", "final"], 216)

    def test_metadata_tell_everything_that_decides(self, tmp_path):
        run(tmp_path / "work", **EVERY)
        metadata = store.read(name("mixture"))[2]
        assert metadata["command"] == "hcsac collect"
        assert metadata["collection"] == {
            "label": "mixture", "task": "slide-right", "seed": 0, "noise": 0.2, "random_steps": 30, "hidden_size": 8,
            "batch_size": 8, "learning_rate": 3e-4, "learners": 1, "steps": 100, "shares": "1,1,2", "episodes": 4,
        }  # fmt: skip
        assert minari.load_dataset(name("mixture")).total_episodes == 4


class TestInterrupted:
    @pytest.mark.parametrize("updates", [40, 70, 100, 130])  # the last two in the second learner
    def test_learning(self, tmp_path, monkeypatch, updates):
        run(tmp_path / "whole", namespace="whole", learners=2, **EVERY)
        interrupt_after(updates, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", learners=2, **EVERY)
        monkeypatch.undo()
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
        run(tmp_path / "cut", learners=2, **EVERY)
        for label in LABELS:
            assert_same(name(label), name(label, "whole"))

    @pytest.mark.parametrize("written", range(1, 4))
    def test_between_two_datasets(self, tmp_path, monkeypatch, written):
        run(tmp_path / "whole", namespace="whole", **EVERY)
        write, calls = store.write, iter(range(10))

        def cut(*arguments):
            if next(calls) == written:
                raise KeyboardInterrupt
            write(*arguments)

        monkeypatch.setattr(store, "write", cut)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "work", **EVERY)
        monkeypatch.setattr(store, "write", write)
        before = {label: (tmp_path / "minari" / name(label)).stat().st_mtime_ns for label in LABELS[:written]}
        assert run(tmp_path / "work", **EVERY) == [name(label) for label in LABELS]
        for label in LABELS:
            assert_same(name(label), name(label, "whole"))
        assert {label: (tmp_path / "minari" / name(label)).stat().st_mtime_ns for label in before} == before

    def test_a_finished_collection_is_left_as_it_is(self, tmp_path, monkeypatch):
        names = run(tmp_path / "work", **EVERY)
        monkeypatch.setattr(store, "write", None)
        assert run(tmp_path / "work", **EVERY) == names


class TestOneLearnerForSeveralCollections:
    def test_stopped_at_a_level_it_goes_on(self, tmp_path):
        run(tmp_path / "whole", namespace="whole", keep="all,final", level=None)
        run(tmp_path / "work", level=-1e9)
        run(tmp_path / "work", keep="all,final", level=None)
        for label in ("full-replay", "final"):
            assert_same(name(label), name(label, "whole"))

    def test_more_steps(self, tmp_path):
        run(tmp_path / "whole", namespace="whole", keep="all,final", level=None, steps=150)
        run(tmp_path / "work", namespace="less", keep="all,final", level=None)
        run(tmp_path / "work", keep="all,final", level=None, steps=150)
        for label in ("full-replay", "final"):
            assert_same(name(label), name(label, "whole"))
        run(tmp_path / "work", namespace="again", keep="all,final", level=None)  # fewer: both are still there
        for label in ("full-replay", "final"):
            assert_same(name(label, "again"), name(label, "less"))

    def test_a_policy_that_is_no_more(self, tmp_path):
        run(tmp_path / "work", keep="all", level=None)
        with pytest.raises(UserError, match=r"has learned on to episode 9; its policy after episode 5, .* is no more"):
            run(tmp_path / "work", level=-1e9)
        with pytest.raises(UserError, match="which dataset final is made by"):
            run(tmp_path / "work", keep="final", level=None, steps=50)
        run(tmp_path / "work", keep="final", level=None)

    def test_a_directory_of_hcsac_0_1(self, tmp_path):
        """It had its only learner in itself, and more in collection.json."""
        run(tmp_path / "whole", namespace="whole", keep="all", level=None)
        run(tmp_path / "made", level=-1e9)
        (tmp_path / "made" / "seed-0").rename(tmp_path / "old")
        identity = tmp_path / "old" / "collection.json"
        identity.write_text(identity.read_text().replace("{", '{"level": 100000.0, "steps": 100, "episodes": 1,', 1))
        with pytest.raises(UserError, match=r"has another collection in it: its noise is 0\.2, not 0\.1"):
            run(tmp_path / "old", keep="all", level=None, noise=0.1)
        run(tmp_path / "old", keep="all", level=None)
        assert_same(name("full-replay"), name("full-replay", "whole"))
        assert not (tmp_path / "old" / "seed-0").exists()
        run(tmp_path / "old", namespace="other", keep="all", level=None, seed=1)
        assert (tmp_path / "old" / "seed-1" / "replay").is_dir()


class TestRefused:
    def test_every_taken_name_before_any_work(self, tmp_path):
        run(tmp_path / "work", keep="final", level=None)
        with pytest.raises(UserError, match=r"'here/slide-right-final-v0' already exists"):
            run(tmp_path / "other", keep="all,final", level=None, steps=99)
        assert not (tmp_path / "other").exists()

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"keep": "medium,finale"}, "unknown kind of dataset to keep 'finale'; did you mean 'final'"),
            ({"keep": "all", "level": 3.0}, "setting level is for datasets of kind medium alone"),
            ({"keep": "all", "replay_episodes": 3}, "setting replay_episodes is for"),
            ({"returns": "1:2"}, "setting returns is for datasets of kind slice alone"),
            ({"shares": "1,1,1"}, "setting shares is for datasets of kind mixture alone"),
            ({"keep": "slice"}, "kind slice needs the returns of its episodes, not None"),
            ({"keep": "slice", "returns": "5"}, "give --returns LOW:HIGH"),
            ({"keep": "slice", "returns": "5:4"}, "give --returns LOW:HIGH"),
            ({"keep": "slice", "returns": "a:b"}, "give --returns LOW:HIGH"),
            ({"keep": "mixture"}, "kind mixture needs three shares"),
            ({"keep": "mixture", "shares": "1,2"}, "give --shares L,M,H"),
            ({"keep": "mixture", "shares": "0,0,0"}, "give --shares L,M,H"),
            ({"keep": "mixture", "shares": "1,-1,1"}, "give --shares L,M,H"),
            ({"keep": "mixture", "shares": "1,nan,1"}, "give --shares L,M,H"),
            ({"learners": 3, "episodes": 2}, "3 learners cannot share 2 episodes"),
            ({"learners": 0}, "setting learners = 0 is out of bounds"),
        ],
    )
    def test_settings(self, change, says):
        with pytest.raises(UserError, match=says):
            CollectSettings(**change)

    def test_a_slice_without_episodes_keeps_the_learner(self, tmp_path):
        choice = {"keep": "all,slice", "level": None}
        with pytest.raises(UserError, match=r"no training episode returns between 500 and inf; the returns are -?\d"):
            run(tmp_path / "work", returns="500:", **choice)
        assert run(tmp_path / "work", returns=":500", **choice) == [name("full-replay"), name("slice")]


def test_bounds_and_shares_are_read():
    assert CollectSettings(keep="slice", returns="-2.5:").bounds == (-2.5, float("inf"))
    assert CollectSettings(keep="slice", returns=":7").bounds == (float("-inf"), 7.0)
    assert CollectSettings(keep="mixture", shares="1, 1, 2").thirds == (0.25, 0.25, 0.5)


def test_a_directory_of_a_killed_start_is_no_obstacle(tmp_path: Path):
    (tmp_path / "work" / "seed-0").mkdir(parents=True)
    (tmp_path / "work" / "seed-0" / ".collection.json.tmp").write_text("{")
    assert run(tmp_path / "work", keep="all", level=None) == [name("full-replay")]
    assert set(keep.DECIDED_BY) == {label for labels in keep.DATASETS.values() for label in labels}
