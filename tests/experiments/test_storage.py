"""A mirrored run survives a stop at any moment: resumed from what is stored, it ends as an unbroken run."""

import os
import sys
from itertools import count
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hcsac.data import store
from hcsac.errors import UserError
from hcsac.experiments import Mirror, local_copy, opened
from hcsac.experiments.storage import MirrorRun, _rank
from hcsac.training import RunDirectory, checkpoint, train
from tests.conftest import run, slide_episodes
from tests.experiments.conftest import STUDY
from tests.training.conftest import settings, tree

numbers = count()


class Broken(Exception):
    pass


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    return f"memory://study{next(numbers)}" if request.param == "memory" else (tmp_path / "store").as_uri()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "here"
    made.mkdir()
    return made


def fill(folder, **contents):
    for name, text in contents.items():
        path = folder / name.replace("__", "/").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def stored(mirror):
    names = mirror._fs.find(mirror._root)
    return {name.removeprefix(mirror._root + "/") for name in names}


def listening(mirror):
    """The names of the files that the mirror stores from now on."""
    told, store = [], mirror._store

    def tell(name):
        told.append(name)
        store(name)

    mirror._store = tell
    return told


def test_there_and_back(url, folder, tmp_path):
    fill(folder, study_json="g", cell__run_json="r", cell__sharing__6="s", cell__tensorboard__events="t")
    mirror = Mirror(url, folder)
    mirror.push_run()
    (tmp_path / "there" / "old").mkdir(parents=True)
    (tmp_path / "there" / "old" / "result.json").write_text("of another study")
    there = Mirror(url, tmp_path / "there")
    there.pull()
    assert tree(tmp_path / "there") == tree(folder)
    there.below(tmp_path / "there" / "run").pull()
    assert tree(tmp_path / "there") == tree(folder)
    Mirror(url + "/run", tmp_path / "run").pull()
    assert tree(tmp_path / "run") == tree(folder / "run")


def test_only_what_changed_travels(url, folder, tmp_path):
    fill(folder, a="1", b="2")
    mirror = Mirror(url, folder)
    told = listening(mirror)
    mirror.push_run()
    mirror.push_run()
    assert told == ["a", "b"]
    fill(folder, b="22")
    mirror.push_run()
    assert told == ["a", "b", "b"]
    other = Mirror(url, tmp_path / "other")
    other.pull()
    told = listening(other)
    other.push_run()
    assert told == []
    fetched = []
    fetch = other._fs.get_file
    other._fs.get_file = lambda source, target: (fetched.append(source), fetch(source, target))
    try:
        other.pull()
        assert fetched == []
        fill(folder, a="11")
        mirror.push("a")
        other.pull()
        assert [name.rsplit("/", 1)[-1] for name in fetched] == ["a"]
    finally:
        del other._fs.get_file
    assert (tmp_path / "other" / "a").read_text() == "11"


def test_a_folder_that_is_renamed_here_is_renamed_there(url, folder, tmp_path):
    fill(folder, a__run_json="1", a__b__c="2", ab__run_json="3")
    mirror = Mirror(url, folder)
    mirror.push_run()
    mirror.move((folder / "a"), (folder / "a").rename(folder / "a.before-1"))
    mirror.move(folder / "never", folder / "stored")
    assert stored(mirror) == {"a.before-1/run.json", "a.before-1/b/c", "ab/run.json"}
    Mirror(url, tmp_path / "there").pull()
    assert tree(tmp_path / "there") == tree(folder)


def test_what_is_being_written_stays_here(url, folder):
    fill(folder, kept="1", **{"checkpoint.tmp": "half", "other.part": "half"})
    mirror = Mirror(url, folder)
    mirror.push_run()
    assert stored(mirror) == {"kept"}


def test_a_file_stored_half_is_not_seen(tmp_path, folder):
    """Where an upload can be seen half done, it is done under another name."""
    fill(folder, **{"checkpoint.safetensors": "old"})
    mirror = Mirror((tmp_path / "store").as_uri(), folder)
    mirror.push_run()
    fill(folder, **{"checkpoint.safetensors": "newer"})
    put = mirror._fs.put_file

    def half(source, target):
        put(source, target)
        os.truncate(target, 2)
        raise Broken

    mirror._fs.put_file = half
    try:
        with pytest.raises(Broken):
            mirror.push_run()
    finally:
        del mirror._fs.put_file
    Mirror(mirror.url, tmp_path / "there").pull()
    assert {name: text.decode() for name, text in tree(tmp_path / "there").items()} == {
        Path("checkpoint.safetensors"): "old"
    }


@given(st.permutations(["run.json", "metrics.jsonl", "sharing.jsonl", "sharing/6.safetensors", "tensorboard/events",
                        "checkpoint.safetensors", "result.json", "notes.txt"]))  # fmt: skip
@hypothesis_settings(deadline=None)
def test_the_order_of_a_push(names):
    found = sorted(names, key=_rank)
    assert found[0] == "run.json"  # else a folder of records would be no run
    assert found[-2:] == ["checkpoint.safetensors", "result.json"]
    assert found.index("sharing/6.safetensors") < found.index("sharing.jsonl")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run with a ledger and four checkpoints, and how many files it stores."""
    from hcsac.data.dataset import Dataset
    from tests.conftest import TASKS

    slides = Dataset.from_episodes({name: slide_episodes(name) for name in TASKS})
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    mirror = Mirror(f"memory://unbroken{next(numbers)}", folder)
    told = listening(mirror)
    train("hcsac", slides, folder, settings(), progress=False, callbacks=[MirrorRun(mirror)])
    assert told[-1] == "result.json"
    assert told.count("checkpoint.safetensors") == 4
    return slides, folder, len(told)


def records(folder):
    names = [path for path in folder.rglob("*") if path.suffix in (".jsonl", ".safetensors")]
    return {path.relative_to(folder): path.read_bytes() for path in names}


def interrupted(slides, url, folder, number):
    """A run that breaks off while it stores the file after so many."""
    mirror = Mirror(url, folder)
    left, store = iter(range(number)), mirror._store

    def fragile(name):
        if next(left, None) is None:
            raise Broken
        store(name)

    mirror._store = fragile
    with pytest.raises(Broken):
        train("hcsac", slides, folder, settings(), progress=False, callbacks=[MirrorRun(mirror)])


def resumed(slides, url, folder):
    """Go on elsewhere with what is stored; the update it went on from."""
    mirror = Mirror(url, folder)
    mirror.pull()
    run = RunDirectory(folder)
    assert not run.finished
    at = checkpoint.load(run.checkpoint)[1] if run.checkpoint.exists() else 0
    for name in ("metrics.jsonl", "evaluations.jsonl", "sharing.jsonl") if at else ():
        assert max(record["update"] for record in run.lines(name)) >= at
    train("hcsac", slides, folder, settings(), progress=False, resume=True, callbacks=[MirrorRun(mirror)])
    return at


@pytest.mark.parametrize("part", range(4))
def test_a_push_that_breaks_off_anywhere_leaves_what_goes_on_exactly(unbroken, tmp_path, part):
    slides, whole, files = unbroken
    came_from = []
    for number in range(part, files, 4):
        url = f"memory://broken{next(numbers)}"
        interrupted(slides, url, tmp_path / f"{number}", number)
        came_from.append(resumed(slides, url, tmp_path / f"{number}-after"))
        Mirror(url, tmp_path / f"{number}-end").pull()
        assert records(tmp_path / f"{number}-end") == records(whole)
        assert RunDirectory(tmp_path / f"{number}-end").finished
    assert came_from == sorted(came_from)
    assert len(set(came_from)) > 3


def test_a_study_on_this_machine_kept_in_a_storage(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HCSAC_TASKS", "tests.conftest")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store.write("lab/slide-left-medium-v0", "slide-left", slide_episodes("slide-left"))
    file, folder = tmp_path / "study.toml", tmp_path / "store"
    url = folder.as_uri()
    file.write_text(STUDY)
    assert run("study", "status", url) == 2
    assert f"no study found in {url!r}" in capsys.readouterr().err
    assert run("study", "run", file, "--output", url, "--jobs", "2") == 0
    said = capsys.readouterr().out
    assert f"1 run in {url}" in said
    assert "1 of 1 run finished." in said
    directory = folder / "medium" / "bc" / "slide-left" / "seed-0"
    assert RunDirectory(directory).finished
    assert checkpoint.load(directory / "checkpoint.safetensors")[1] == 6
    assert run("study", "status", url) == 0
    first, *_, counts = capsys.readouterr().out.splitlines()
    assert first.split()[:5] == ["finished", "6/6", "medium", "bc", "slide-left"]
    assert counts == "1 finished"
    copy = local_copy(url)
    assert (copy / "medium/bc/slide-left/seed-0/evaluations.jsonl").exists()
    assert not list(copy.rglob("checkpoint.safetensors"))
    assert not list(copy.rglob("tensorboard"))
    # A changed study says what it is held to, and moves nothing but what was accepted.
    before = tree(folder)
    file.write_text(STUDY.replace("updates = 6", "updates = 7"))
    assert run("study", "run", file, "--output", url) == 2
    assert f"{url} was started as another study" in capsys.readouterr().err
    assert tree(folder) == before
    assert run("study", "run", file, "--output", url, "--changed", "--jobs", "2") == 0
    assert checkpoint.load(directory / "checkpoint.safetensors")[1] == 7
    assert checkpoint.load(directory.with_name("seed-0.before-1") / "checkpoint.safetensors")[1] == 6
    capsys.readouterr()
    assert run("study", "status", url) == 0
    assert capsys.readouterr().out.split()[1] == "7/7"


def test_a_folder_is_opened_as_it_is(tmp_path):
    with opened(tmp_path / "out") as (folder, mirror):
        assert (folder, mirror) == (tmp_path / "out", None)


def test_an_unknown_protocol_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="unknown storage protocol 'gss'; did you mean"):
        Mirror("gss://bucket/study", tmp_path)


def test_a_missing_library_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match="s3:// storage needs the library s3fs, which is not installed; pip install"):
        Mirror("s3://bucket/study", tmp_path)


def test_a_storage_that_cannot_be_read_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(
        fsspec.get_filesystem_class("file"), "find", lambda *_, **__: (_ for _ in ()).throw(OSError("denied"))
    )
    with (
        pytest.raises(UserError, match=r"cannot read the storage file://.* \(OSError: denied\); check the URL"),
        opened((tmp_path / "store").as_uri()),
    ):
        pass
