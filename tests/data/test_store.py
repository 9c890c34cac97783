"""Our datasets are Minari's, and Minari's are ours."""

import json
import os
import platform
import shutil
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path

import gymnasium
import minari
import numpy as np
import pytest
from minari.data_collector.episode_buffer import EpisodeBuffer

from hcsac.data import Dataset, Episode, load, refs, store
from hcsac.data.describe import describe, summarise
from hcsac.data.episode import to_arrivals
from hcsac.data.formats import npz
from hcsac.errors import UserError

from .conftest import same

NAME = "test/walk-v0"


@pytest.mark.parametrize("compress", [True, False])
def test_round_trip_is_exact(folder: Path, small: list[Episode], compress: bool) -> None:
    store.write(NAME, "walker-walk", small, {"seed": 4, "command": "made up"}, compress=compress)
    task, episodes, metadata = store.read(NAME)
    assert task == metadata["task"] == "walker-walk"
    assert all(map(same, episodes, small))
    assert len(episodes) == len(small)
    assert (metadata["seed"], metadata["command"]) == (4, "made up")
    assert metadata["behaviour_return"] == pytest.approx(np.mean([e.episode_return for e in small]))


def test_stock_minari_reads_it_and_rebuilds_the_environment(folder: Path, walk: list[Episode]) -> None:
    store.write(NAME, "walker-walk", walk)
    stock = minari.load_dataset(NAME)
    assert (stock.total_episodes, stock.total_steps) == (2, 2000)
    np.testing.assert_array_equal(stock[1].infos["physics"], walk[1].physics)
    env = stock.recover_environment()
    assert env.reset(seed=1)[0].shape == stock.observation_space.shape
    stock.update_dataset_from_buffer([store._to_buffer(walk[0])])  # compressed arrays leave it extensible
    assert same(store.read(NAME)[1][2], walk[0])


def test_compression_pays(folder: Path, walk: list[Episode]) -> None:
    for name, compress in (("test/a-v0", True), ("test/b-v0", False)):
        store.write(name, "walker-walk", walk, compress=compress)
    sizes = [(folder / name / "data" / "main_data.hdf5").stat().st_size for name in ("test/a-v0", "test/b-v0")]
    assert sizes[0] < 0.95 * sizes[1]


def test_import_write_load_of_course_data(course: Path, folder: Path) -> None:
    folder = course / "walker_run-td3-medium-replay"
    episodes = npz.read_directory(folder)
    store.write("course/run-v0", "walker-run", episodes)
    assert load("course/run-v0").fingerprint() == Dataset.from_episodes({"walker-run": episodes}).fingerprint()
    assert "mean 251.5" in describe("course/run-v0")


def test_load_joins_and_orders(folder: Path, walk: list[Episode], run: list[Episode]) -> None:
    store.write("test/run-v0", "walker-run", run)
    store.write("test/first-v0", "walker-walk", walk[:1])
    store.write("test/second-v0", "walker-walk", walk[1:])
    dataset = load(["test/first-v0", "test/run-v0", "test/second-v0"])
    assert dataset.task_names == ("walker-walk", "walker-run")
    assert dataset.task.tolist() == [0] * 2000 + [1] * 2000
    direct = Dataset.from_episodes({"walker-walk": walk, "walker-run": run})
    assert dataset.fingerprint() == direct.fingerprint()
    assert dataset.mean_returns == direct.mean_returns
    assert load(["test/first-v0", "test/run-v0"], tasks=["walker-run"]).task_names == ("walker-run",)
    assert dataset.refs == ("test/first-v0", "test/run-v0", "test/second-v0")
    assert dataset.select(["walker-run"]).refs == ("test/run-v0",)
    assert load(["test/first-v0", "walker-run=test/run-v0"], tasks=["walker-run"]).refs == ("walker-run=test/run-v0",)
    late = load("test/run-v0", alignment="off_by_one")
    np.testing.assert_array_equal(late.action[1:1000], run[0].action[:-1])
    assert late.alignment == "off_by_one"


def test_some_of_the_episodes(folder: Path, tmp_path: Path, walk: list[Episode]) -> None:
    """Of a dataset by name, by path, of a format that knows the lengths of episodes and one that does not."""
    many = [replace(walk[0], reward=walk[0].reward + n) for n in range(5)]
    store.write("test/many-v0", "walker-walk", many)
    (tmp_path / "rows").mkdir()
    for number, episode in enumerate(many):
        np.savez(tmp_path / "rows" / f"{number}.npz", **to_arrivals(episode))
    for name in ("test/many-v0", f"walker-walk={tmp_path / 'rows'}"):
        for part, kept in (
            ("[:2]", many[:2]),
            ("[3:]", many[3:]),
            ("[1:4]", many[1:4]),
            ("[:]", many),
            ("[4:9]", many[4:]),
        ):
            dataset = load(name + part)
            assert dataset.fingerprint() == Dataset.from_episodes({"walker-walk": kept}).fingerprint()
            assert dataset.refs == (name + part,)
        first, rest = load(f"{name}[:2]", folder=tmp_path / "mapped"), load([f"{name}[:2]", f"{name}[2:]"])
        assert first.fingerprint() == load(f"{name}[:2]").fingerprint()
        assert rest.fingerprint() == load(name).fingerprint()
        with pytest.raises(UserError, match="has other data"):
            load(f"{name}[:3]", folder=tmp_path / "mapped")
        shutil.rmtree(tmp_path / "mapped")
        with pytest.raises(UserError, match="has no episode; write START below STOP"):
            load(f"{name}[3:3]")
        with pytest.raises(UserError, match=r"\[7:\]' has no episode"):
            load(f"{name}[7:]")
    with pytest.raises(UserError, match="unknown dataset"):
        load("test/many-v0[-2:]")
    (tmp_path / "odd[:2]").mkdir()
    np.savez(tmp_path / "odd[:2]" / "0.npz", **to_arrivals(many[0]))
    assert len(load(f"walker-walk={tmp_path}/odd[:2]")) == len(many[0])


def test_a_path_and_the_shipped_sample(
    folder: Path, tmp_path: Path, small: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(NAME, "walker-walk", small)
    sample = tmp_path / "sample"
    shutil.copytree(folder / NAME, sample / "walk-tiny")
    monkeypatch.setattr(refs, "_SAMPLE_FOLDER", sample)
    for ref in (
        str(folder / NAME),
        str(folder / NAME / "data"),
        "sample/walk-tiny",
        f"walker-walk={NAME}",
    ):
        assert len(load(ref)) == 10
    assert [listing.ref for listing in refs.list_datasets()] == [NAME, "sample/walk-tiny"]
    with pytest.raises(UserError, match="did you mean 'sample/walk-tiny'"):
        load("sample/walk-tin")


def test_names(folder: Path, small: list[Episode]) -> None:
    for bad in ("w/walk-v0", "walk", "walk-v0", "test/walk", "../walk-v0", "te st/walk-v0", "/test/walk-v0"):
        with pytest.raises(UserError, match="namespace/name-v0"):
            store.write(bad, "walker-walk", small)
    for good in ("a/b/walk-v0", "über/gehen-v0", "ab/w-v0"):
        store.write(good, "walker-walk", small)
        assert len(store.load(good)) == 10
    with pytest.raises(UserError, match="shipped sample"):
        store.write("sample/walk-v0", "walker-walk", small)
    store.write(NAME, "walker-walk", small)
    before = (folder / NAME / "data" / "main_data.hdf5").read_bytes()
    with pytest.raises(UserError, match="already exists"):
        store.write(NAME, "walker-walk", small)
    assert (folder / NAME / "data" / "main_data.hdf5").read_bytes() == before
    with pytest.raises(UserError, match=f"did you mean {NAME!r}"):
        load("test/walc-v0")
    with pytest.raises(UserError, match="unknown task 'walker-wlk'"):
        load(f"walker-wlk={NAME}")
    with pytest.raises(UserError, match="logged under task 'walker-walk', not 'walker-run'"):
        load(f"walker-run={NAME}")


def test_what_is_not_written(folder: Path, small: list[Episode]) -> None:
    narrow = replace(small[0], observation=small[0].observation[:, :7])
    for episodes, message in [
        ([], "no episode to write"),
        ([replace(small[0], action=small[0].action * 9)], "episode 0: action 0 is"),
        ([small[0], narrow], "observation sizes differ"),
        ([narrow], "observation size is 7 in the data, but 24"),
    ]:
        with pytest.raises(UserError, match=message):
            store.write(NAME, "walker-walk", episodes)
    with pytest.raises(UserError, match="unknown task"):
        store.write(NAME, "walker-fly", small)
    assert not (folder / NAME).exists()


def test_a_failed_write_leaves_nothing(folder: Path, small: list[Episode], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: Path) -> None:
        assert not (folder / NAME).exists()  # even a killed process leaves nothing under that name
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_compress", stop)
    with pytest.raises(KeyboardInterrupt):
        store.write(NAME, "walker-walk", small)
    assert not (folder / NAME).exists()
    assert list(folder.glob(".*")) == []
    assert refs.local_store() == folder
    monkeypatch.undo()
    monkeypatch.delenv("MINARI_DATASETS_PATH", raising=False)
    monkeypatch.setenv("HOME", str(folder.parent))  # without the variable Minari's store is there
    store.write(NAME, "walker-walk", small)
    assert "MINARI_DATASETS_PATH" not in os.environ
    assert store.read(NAME)[0] == "walker-walk"


def test_corrupt_datasets(folder: Path, tmp_path: Path, small: list[Episode]) -> None:
    store.write(NAME, "walker-walk", small)
    file = folder / NAME / "data" / "main_data.hdf5"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(UserError, match="cannot be read"):
        load(NAME)


def _foreign(name: str, episode: Episode, **kwargs: object) -> None:
    buffer = EpisodeBuffer(
        observations=list(episode.observation),
        actions=list(episode.action),
        rewards=episode.reward.tolist(),
        terminations=episode.terminated.tolist(),
        truncations=episode.truncated.tolist(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        minari.create_dataset_from_buffers(name, [buffer], **kwargs)  # type: ignore[arg-type]


def test_foreign_datasets(folder: Path, small: list[Episode]) -> None:
    _foreign("other/known-v0", small[0], env="hcsac/walker-run-v0")
    task, episodes, _ = store.read("other/known-v0")
    assert task == "walker-run"
    assert episodes[0].physics is None
    box = gymnasium.spaces.Box
    spaces = {"observation_space": box(-np.inf, np.inf, (24,)), "action_space": box(-1, 1, (6,))}
    _foreign("other/bare-v0", small[0], **spaces)
    with pytest.raises(UserError, match=r"does not name its task; write it as TASK=other/bare-v0"):
        load("other/bare-v0")
    assert load("walker-walk=other/bare-v0").task_names == ("walker-walk",)
    assert store.read("other/bare-v0", task="walker-stand")[0] == "walker-stand"
    spaces["action_space"] = gymnasium.spaces.Discrete(3)  # type: ignore[assignment]
    discrete = replace(small[0], action=np.zeros(5, np.int64))
    _foreign("other/discrete-v0", discrete, **spaces)
    with pytest.raises(UserError, match="action space is Discrete"):
        load("walker-walk=other/discrete-v0")


def test_describe(folder: Path, small: list[Episode]) -> None:
    store.write(NAME, "walker-walk", small, {"seed": 4})
    text = describe(NAME)
    for part in ("walker-walk", "2 with 10 steps", "0 terminated, 2 truncated", "observation 24, action 6", "seed"):
        assert part in text
    json.dumps(summarise(small))
    assert summarise(small)["return_max"] == max(e.episode_return for e in small)


def test_any_task_can_name_a_dataset() -> None:
    assert refs.name_of("lab", "walker-walk", "medium") == "lab/walker-walk-medium-v0"
    for task in ("walker-speed:3.5", "walker-speed:-1e+1", "Läufer"):
        refs.require_free_name(refs.name_of("lab", task, "medium"))


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        refs.locate(str(tmp_path / "log.csv"))


@pytest.mark.parametrize(
    "ref", ["a" * 300, "lab/" + "a" * 5000, "sample/" + "a" * 300, "a\0b", "=" + "a" * 300, "~nobody-here/x"]
)
def test_a_name_that_no_file_can_have_is_unknown(folder: Path, ref: str) -> None:
    with pytest.raises(UserError, match=r"unknown|no such file"):
        store.load(ref)


def test_what_a_killed_process_left_is_removed(folder: Path, small: list[Episode]) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    here = f"{store._UNFINISHED}{platform.node()}-"
    left, running, elsewhere = (
        folder / name for name in (f"{here}{ended.pid}-x", f"{here}{os.getppid()}-x", f"{store._UNFINISHED}far-1-x")
    )
    for path in (left, running, elsewhere):
        (path / "test").mkdir(parents=True)
    store.write(NAME, "walker-walk", small)
    assert [path.exists() for path in (left, running, elsewhere)] == [False, True, True]
    assert len(list(folder.glob(f"{here}{os.getpid()}-*"))) == 0
