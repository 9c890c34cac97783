"""Running a study to completion: finished runs skipped, failed ones retried, killed processes noticed."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hcsac.algorithms import preset
from hcsac.data import store
from hcsac.errors import UserError
from hcsac.experiments import LocalLauncher, StudyRun, require_all, run_all
from hcsac.experiments.scheduler import LOSSES, RunResult
from hcsac.experiments.status import events, last_errors
from hcsac.training import RunDirectory, train, updates_done
from tests.conftest import run, slide_episodes
from tests.experiments.conftest import STUDY
from tests.training.conftest import settings

REF = "lab/slide-left-medium-v0"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("HCSAC_TASKS", "tests.conftest")
    store.write(REF, "slide-left", slide_episodes("slide-left"))
    made = settings("bc", evaluation_episodes=1, final_episodes=1, evaluate_interval=2)
    return [
        StudyRun("medium", "", "bc", ("slide-left",), (REF,), made, (seed,), "correct", tmp_path / "out" / f"{seed}")
        for seed in range(3)
    ]


class Scripted:
    """A launcher with scripted results: run -> the error of each attempt, None for a finished training."""

    def __init__(self, script, slots=2):
        self.script, self.slots, self.running, self.started, self.closed = script, slots, [], [], False

    def start(self, study_run):
        self.running.append(study_run)
        self.started.append(study_run)
        assert len(self.running) <= self.slots

    def results(self, seconds):
        study_run = self.running.pop(0)
        error, permanent, *lost = self.script[study_run.path.name].pop(0)
        if error is None:
            study_run.path.mkdir(parents=True, exist_ok=True)
            (study_run.path / "result.json").write_text(json.dumps({"updates": 24, "seconds": 1.0}))
        return [RunResult(study_run, error, permanent, lost=bool(lost), node="b" if lost else "")]

    def updates_of(self, study_run):
        return 0

    def close(self):
        self.closed = True


def test_a_failed_run_is_tried_once_more_then_reported(runs, tmp_path):
    launcher = Scripted({
        "0": [("Traceback\nOSError: disk", False), (None, False)],
        "1": [("RuntimeError: a", False), ("RuntimeError: b", False)],
        "2": [("bad data", True)],
    })  # fmt: skip
    failed = run_all(runs, launcher, tmp_path / "events.jsonl", progress=False)
    assert [(end.run.path.name, end.error) for end in failed] == [("2", "bad data"), ("1", "RuntimeError: b")]
    assert [study_run.path.name for study_run in launcher.started] == ["0", "1", "2", "0", "1"]
    assert launcher.closed
    assert last_errors(tmp_path / "events.jsonl") == {
        str(runs[1].path): "RuntimeError: b", str(runs[2].path): "bad data",
    }  # fmt: skip
    with pytest.raises(UserError, match="2 runs failed, the first of them medium bc slide-left seed 2: bad data"):
        require_all(failed)
    again = Scripted({"1": [(None, False)], "2": [(None, False)]})
    assert run_all(runs, again, progress=False) == []  # the finished one is not run again
    assert [study_run.path.name for study_run in again.started] == ["1", "2"]
    require_all([])


def test_events_of_an_earlier_release_are_read(tmp_path):
    log = tmp_path / "events.jsonl"
    old = [{"cell": "a", "event": "failed", "error": "x"}, {"run": "b", "event": "failed", "error": "y"}]
    log.write_text("".join(json.dumps(event) + "\n" for event in old) + '["no event"]\n{"cell"')
    assert last_errors(log) == {str(tmp_path / "a"): "x", str(tmp_path / "b"): "y"}


def test_a_lost_node_does_not_count_as_a_failed_attempt(runs, tmp_path):
    lost = ("node b died", False, "lost")
    launcher = Scripted({"0": [lost, lost, ("disk", False), lost, (None, False)], "1": [lost] * (LOSSES + 2)})
    (end,) = run_all(runs[:2], launcher, tmp_path / "events.jsonl", progress=False)
    assert (end.run, end.error) == (runs[1], "node b died")  # in the end it may be the run that kills machines
    told = [one for one in events(tmp_path / "events.jsonl") if one["run"] == "out/0"]
    assert [(one["event"], one.get("attempt")) for one in told] == [
        ("started", 1), ("lost", None), ("started", 1), ("lost", None), ("started", 1), ("failed", 1),
        ("started", 2), ("lost", None), ("started", 2), ("finished", None),
    ]  # fmt: skip
    assert {one["node"] for one in told if one["event"] == "lost"} == {"b"}
    assert [study_run.path.name for study_run in launcher.started].count("1") == LOSSES + 2


def test_settings_that_exclude_each_other_are_refused_before_the_first_run_starts(runs):
    settings = preset("quick", "hcsac").replace({"sharing": "utds"})
    wrong = replace(runs[2], algorithm="hcsac", settings=settings)
    launcher = Scripted({})
    with pytest.raises(UserError, match=r"medium hcsac slide-left seed 2: .*needs critics of at least 5, not 2"):
        run_all([*runs[:2], wrong], launcher, progress=False)
    assert launcher.started == []


def test_runs_in_processes(runs, tmp_path):
    """One is finished, one is interrupted, one cannot begin."""
    train("bc", [REF], runs[0].path, runs[0].settings, seeds=(0,), progress=False)
    before = (runs[0].path / "evaluations.jsonl").read_bytes()
    runs[2].path.mkdir()
    (runs[2].path / "notes.txt").write_text("mine")
    failed = run_all(runs, LocalLauncher(jobs=2), tmp_path / "events.jsonl", progress=False)
    assert [end.run for end in failed] == [runs[2]]
    assert "exists and is not a run" in str(failed[0].error)
    assert (runs[0].path / "evaluations.jsonl").read_bytes() == before
    assert RunDirectory(runs[1].path).finished
    assert updates_done(RunDirectory(runs[1].path)) == 24
    events = [json.loads(line)["event"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert sorted(events) == ["failed", "finished", "started", "started"]  # a sentence is not tried again


def test_trackers_reach_the_runs(runs):
    (end,) = run_all(runs[:1], LocalLauncher(jobs=1, trackers=["trakio"]), progress=False)
    assert end.error == "unknown tracker 'trakio'; did you mean 'trackio'?"
    assert not runs[0].path.exists()


@pytest.fixture
def eager(monkeypatch):
    """Long runs are not compiled: without a compiler their first update comes at once."""
    monkeypatch.setenv("CXX", "no-such-compiler")


def test_a_process_that_is_killed_has_failed(runs, eager):
    endless = [StudyRun(**{**runs[0].__dict__, "settings": runs[0].settings.replace({"updates": 10**8})})]
    launcher = LocalLauncher(jobs=1)
    launcher.start(endless[0])
    try:
        wait_for(lambda: (endless[0].path / "metrics.jsonl").exists())
        assert launcher.results(seconds=0) == []
        assert launcher.updates_of(endless[0]) > 0
        ((_, process),) = launcher._running.values()
        process.kill()
        (end,) = launcher.results(seconds=60)
        assert (end.run, end.permanent) == (endless[0], False)
        assert "was killed (exit status -9)" in str(end.error)
    finally:
        launcher.close()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def parent_of(process):
    try:
        return int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def wait_for(condition, seconds=180):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path, runs, eager):
    command = [sys.executable, "-m", "hcsac.cli", "reproduce", "--data", "lab", "--tasks", "slide-left"]
    command += ["--levels", "medium", "--agents", "bc", "--updates", "100000000", "--output", str(tmp_path / "out")]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: list((tmp_path / "out").rglob("run.json")))
        processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        children = [int(entry.name) for entry in processes if parent_of(entry) == parent.pid]
        assert children
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not any(alive(pid) for pid in children))


def test_a_study_that_is_told_to_stop_writes_checkpoints(tmp_path, runs, eager):
    command = [sys.executable, "-m", "hcsac.cli", "reproduce", "--data", "lab", "--tasks", "slide-left"]
    command += ["--levels", "medium", "--agents", "bc", "--updates", "100000000", "--output", str(tmp_path / "out")]
    command += ["--jobs", "1"]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: any(path.stat().st_size for path in (tmp_path / "out").rglob("metrics.jsonl")))
        parent.terminate()
        said = parent.communicate(timeout=60)[1]
    finally:
        parent.kill()
    assert parent.returncode == 143
    assert "stopped by SIGTERM; this continues it: hcsac reproduce --data lab" in said
    assert "Traceback" not in said
    stopped = [path.parent for path in (tmp_path / "out").rglob("metrics.jsonl") if path.stat().st_size]
    assert stopped
    for path in stopped:
        assert (path / "checkpoint.safetensors").exists()
        assert not RunDirectory(path).locked
    events = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == "stopped"


def test_the_command_line(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = STUDY.replace('["bc"]', '["bc", "mtcsac"]')
    Path("study.toml").write_text(study)
    assert run("study", "status", "study.toml") == 2
    assert "no study found in" in capsys.readouterr().err
    assert run("study", "run", "study.toml", "--jobs", "2") == 0
    assert "2 of 2 runs finished." in capsys.readouterr().out
    assert RunDirectory("runs/study/medium/mtcsac/slide-left/seed-0").finished
    for named in ("study.toml", "runs/study"):
        assert run("study", "status", named) == 0
        first, _, _, counts = capsys.readouterr().out.splitlines()
        assert first.split()[:5] == ["finished", "6/6", "medium", "bc", "slide-left"]
        assert counts == "2 finished"
    Path("study.toml").write_text(study.replace("updates = 6", "updates = 7"))
    assert run("study", "run", "study.toml") == 2
    assert "updates 6 became 7" in capsys.readouterr().err
    assert run("study", "run", "study.toml", "--changed", "--jobs", "2") == 0
    assert RunDirectory("runs/study/medium/bc/slide-left/seed-0.before-1").read_json("result.json")["updates"] == 6
    assert run("study", "run", "study.toml", "--track", "trakio") == 2
    assert "did you mean 'trackio'?" in capsys.readouterr().err
    assert run("study", "run", "nowhere.toml") == 2
    assert "nowhere.toml" in capsys.readouterr().err
