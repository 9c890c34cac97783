"""Collections in processes of their own: all of them end, one way or the other, and nothing is done twice."""

import multiprocessing
import os
import signal
import threading
import time

import pytest

from hcsac.collection import CollectSettings, collect_all, read_collections
from hcsac.data import store
from hcsac.errors import UserError
from tests.collection.test_collect import assert_same, run

SMALL = """
[defaults]
keep = "all"
steps = 30
hidden_size = 8
batch_size = 8
random_steps = 30
"""


@pytest.fixture
def requests(tmp_path, monkeypatch):
    """Of a file with these tables after `SMALL`; processes know the light tasks."""
    monkeypatch.setenv("HCSAC_TASKS", "tests.conftest")

    def read(*tables: str):
        (tmp_path / "file.toml").write_text(SMALL + "\n".join(tables))
        return read_collections(tmp_path / "file.toml", tmp_path / "out")

    return read


def test_all_are_collected_and_finished_ones_skipped(tmp_path, requests, capsys):
    run(tmp_path / "alone", namespace="alone", keep="all", level=None, steps=30)
    both = requests("[collections.slide-right]", '[collections.l]\ntask = "slide-left"')
    run(tmp_path / "out" / "slide-right", namespace="collected", keep="all", level=None, steps=30)
    held = (tmp_path / "minari" / "collected" / "slide-right-full-replay-v0").stat().st_mtime_ns
    assert collect_all(both, jobs=2, command="hcsac collect file.toml") == []
    said = capsys.readouterr().err
    assert "finished before: slide-right" in said
    assert "finished: l: collected/slide-left-full-replay-v0" in said
    assert "60/60" not in said  # the finished one is no work
    assert "2/2 collections" in said
    assert (tmp_path / "minari" / "collected" / "slide-right-full-replay-v0").stat().st_mtime_ns == held
    assert_same("collected/slide-right-full-replay-v0", "alone/slide-right-full-replay-v0")
    assert store.read("collected/slide-left-full-replay-v0")[2]["command"] == "hcsac collect file.toml"


def test_a_failure_stops_no_other(tmp_path, requests, capsys):
    both = requests('[collections.a]\ntask = "slide-left"\nkeep = "slice"\nreturns = "900:"',
                    "[collections.slide-right]")  # fmt: skip
    (failure,) = collect_all(both, jobs=1)
    assert failure.request.name == "a"
    assert failure.error.startswith("no training episode returns between 900 and inf")
    assert "failed: a: no training episode" in capsys.readouterr().err
    assert store.read("collected/slide-right-full-replay-v0")


def test_what_is_refused_stops_all_before_the_start(tmp_path, requests):
    with pytest.raises(UserError, match="unknown task 'slide-lift'"):
        collect_all(requests("[collections.slide-right]", "[collections.slide-lift]"), progress=False)
    assert not (tmp_path / "out").exists()


def test_a_killed_process_is_reported_and_a_stopped_one_continued(tmp_path, requests):
    """A process that dies says nothing; the next call finishes its collection."""
    (request,) = requests("[collections.slide-right]\nsteps = 1000000")

    def kill() -> None:
        folder = request.directory / "seed-0" / "replay"
        while not (folder.is_dir() and any(folder.iterdir())):
            time.sleep(0.05)
        (process,) = multiprocessing.active_children()
        os.kill(process.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    (failure,) = collect_all([request], progress=False)
    thread.join()
    assert "ended (exit status -9) without a word" in failure.error
    (request,) = requests("[collections.slide-right]")
    assert isinstance(request.settings, CollectSettings)
    assert collect_all([request], progress=False) == []
    run(tmp_path / "alone", namespace="alone", keep="all", level=None, steps=30)
    assert_same("collected/slide-right-full-replay-v0", "alone/slide-right-full-replay-v0")
