"""Trackers: what they contain afterwards, offline; that a resumed run is one run there; and errors."""

import json
import os
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hcsac.cli import main
from hcsac.errors import UserError
from hcsac.training import RunDirectory, trackers, train
from hcsac.training.trackers.base import Tracker, run_name
from tests.training.conftest import settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A run stopped in its 16th update and continued from the checkpoint at 12, with every tracker; what it printed."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "OMP_NUM_THREADS": "1", "HOME": str(home), "TMPDIR": str(home),
        "WANDB_MODE": "offline", "WANDB_PROJECT": "walkers",
        "MLFLOW_TRACKING_URI": (home / "mlflow").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true", "TRACKIO_DIR": str(home / "trackio"), "HF_HUB_OFFLINE": "1",
        "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9",
    }  # fmt: skip
    printed = []
    for stop in (["15"], []):
        command = [sys.executable, "-m", "tests.training.tracked", str(home / "run"), *stop]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=home)
        assert done.returncode == 0, done.stderr
        printed.append(done)
    run = RunDirectory(home / "run")
    assert run.finished
    return run, printed


def expected(run):
    """(name, update) -> value of all that the run logged of training and returns."""
    found = {}
    for record in run.lines("metrics.jsonl"):
        for name in record.keys() - {"update", "seed"}:
            found[f"train/{name}/seed{record['seed']}", record["update"]] = record[name]
    for record in run.lines("evaluations.jsonl"):
        mean = sum(record["returns"]) / len(record["returns"])
        found[f"return/{record['task']}/seed{record['seed']}", record["update"]] = mean
    assert len(found) > 100
    return found


def require(held, run):
    """Everything the run logged is held, with the values of the run, and so is the sharing."""
    for key, value in expected(run).items():
        assert held[key] == pytest.approx(value, rel=1e-5, abs=1e-6), key
    assert {update for name, update in held if name.startswith("sharing/borrowed/")} == {6, 12, 18, 24}


def test_tensorboard_holds_the_run(tracked):
    run, _ = tracked
    board = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    held = {(tag, event.step): event.value for tag in board.Tags()["scalars"] for event in board.Scalars(tag)}
    require(held, run)
    (text,) = board.Tensors("run/text_summary")
    assert run.identity()["fingerprint"] in text.tensor_proto.string_val[0].decode()


def wandb_records(path):
    """The records of an offline file: protocol buffers in LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        room = 32_768 - at % 32_768
        if room < 7:
            at += room
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last piece
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def test_wandb_holds_one_run(tracked):
    run, _ = tracked
    files = sorted(run.path.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 2  # one of each attempt; `wandb sync` joins them by their id
    held, exits, configs = {}, [], []
    for path in files:
        for record in wandb_records(path):
            if record.WhichOneof("record_type") == "run":
                assert record.run.run_id == run.read_json("trackers.json")["wandb"]
                assert (record.run.project, record.run.display_name) == ("walkers", "run")
                configs.append({item.key: json.loads(item.value_json) for item in record.run.config.update})
            elif record.WhichOneof("record_type") == "history":
                for item in record.history.item:
                    name = item.key or "/".join(item.nested_key)
                    held[name, record.history.step.num] = json.loads(item.value_json)
            elif record.WhichOneof("record_type") == "exit":
                exits.append(record.exit.exit_code)
    require(held, run)
    assert exits == [1, 0]
    assert sum(config.items() >= run.identity().items() for config in configs) == 2


def test_mlflow_holds_one_run(tracked, monkeypatch):
    run, _ = tracked
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    client = MlflowClient((run.path.parent / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("hcsac")
    (held,) = client.search_runs([experiment.experiment_id])
    assert held.info.run_id == run.read_json("trackers.json")["mlflow"]
    assert (held.info.status, held.info.run_name) == ("FINISHED", "run")
    identity = run.identity()
    assert held.data.params["agent"] == "hcsac"
    assert held.data.params["fingerprint"] == identity["fingerprint"]
    assert held.data.params["behaviour.slide-left"] == str(identity["behaviour"]["slide-left"])
    given = {name.removeprefix("settings."): value for name, value in held.data.params.items() if "settings." in name}
    assert given == {name: str(value) for name, value in identity["settings"].items()}
    scalars = {(name, metric.step): metric.value for name in held.data.metrics
               for metric in client.get_metric_history(held.info.run_id, name)}  # fmt: skip
    require(scalars, run)


def test_trackio_holds_one_run(tracked):
    run, _ = tracked
    with sqlite3.connect(run.path.parent / "trackio" / "hcsac.db") as base:
        rows = base.execute("select run_name, run_id, step, metrics from metrics").fetchall()
        ((config,),) = base.execute("select config from configs").fetchall()
    base.close()
    assert {row[0] for row in rows} == {run.read_json("trackers.json")["trackio"]}
    assert len({row[1] for row in rows}) == 1
    require({(name, row[2]): value for row in rows for name, value in json.loads(row[3]).items()}, run)
    assert json.loads(config).items() >= run.identity().items()


def test_trackers_keep_stdout_and_the_network_alone(tracked):
    _, printed = tracked
    assert [done.stdout for done in printed] == ["stopped\n", ""]
    for done in printed:
        assert "REACHED OUT" not in done.stderr
        assert "Traceback" not in done.stderr


def test_trackers_leave_no_process_behind(tracked):
    run, _ = tracked
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc to see the environment of processes")

    def left():
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if str(run.path.parent).encode() in (process / "environ").read_bytes():
                    yield (process / "cmdline").read_bytes()
            except OSError:  # another user's, or gone by now
                continue

    until = time.monotonic() + 5  # what ends with its parent may take a moment
    while list(left()) and time.monotonic() < until:
        time.sleep(0.1)
    assert list(left()) == []


class Fake(Tracker):
    """A tracker that fails in the call that `at` names."""

    def __init__(self, name, at=None, reason="the network is gone\nmore"):
        self.name, self.at, self.reason, self.calls = name, at, reason, []

    def __call__(self):
        return self

    def require(self):
        pass

    def open(self, run, start):
        self._called("open")

    def log(self, values, update):
        self._called("log")

    def finish(self, completed):
        self._called(f"finish {completed}")

    def _called(self, call):
        self.calls.append(call)
        if self.at is not None and call.startswith(self.at):
            raise ConnectionError(self.reason)


@pytest.fixture
def fake(monkeypatch):
    """A way to put a fake in the place of a tracker."""

    def put(name, *given):
        tracker = Fake(name, *given)
        monkeypatch.setitem(trackers.TRACKERS, name, tracker)
        return tracker

    return put


@pytest.mark.parametrize("at", ["log", "finish"])
def test_a_tracker_that_fails_warns_once_and_is_left_out(at, fake, slides, tmp_path):
    broken, sound = fake("wandb", at), fake("trackio")
    with pytest.warns(UserWarning, match=r"^wandb failed \(the network is gone\); training continues") as caught:
        run = train("bc", slides, tmp_path / "run", settings("bc"), progress=False, trackers=("wandb", "trackio"))
    assert run.finished
    assert len([warning for warning in caught if "wandb failed" in str(warning.message)]) == 1
    assert broken.calls[-1].startswith(at)
    assert broken.calls.count("log") == (1 if at == "log" else 16)  # 12 log lines and 4 evaluations
    assert sound.calls == ["open", *["log"] * 16, "finish True"]


def test_an_interrupted_run_is_finished_as_such(fake, slides, tmp_path, monkeypatch):
    tracker = fake("wandb")
    monkeypatch.setattr("hcsac.training.loop.Evaluator", None)
    with pytest.raises(TypeError):
        train("bc", slides, tmp_path / "run", settings("bc"), progress=False, trackers=["wandb"])
    assert tracker.calls[-1] == "finish False"
    assert tracker.calls.count("finish False") == 1


def test_a_tracker_that_cannot_start_is_one_sentence(fake, slides, tmp_path):
    first = fake("trackio")
    second = fake("wandb", "open", "no API key.")
    with pytest.raises(UserError, match=r"^cannot start wandb \(no API key\); fix that or leave it out.*--resume\.$"):
        train("bc", slides, tmp_path / "run", settings("bc"), progress=False, trackers=("trackio", "wandb"))
    assert (first.calls, second.calls) == (["open", "finish False"], ["open"])
    run = train("bc", slides, tmp_path / "run", settings("bc"), progress=False, resume=True)
    assert run.finished


def test_a_finished_run_opens_no_tracker(finished, fake, slides):
    tracker = fake("wandb")
    train("hcsac", slides, finished.path, settings(), (0, 1), resume=True, progress=False, trackers=["wandb"])
    assert tracker.calls == []


@pytest.mark.parametrize("origin", [None, "a folder called wandb"])
def test_a_missing_library_is_an_error_before_anything_is_written(origin, slides, tmp_path, monkeypatch):
    def find(name):
        if name != "wandb":
            return True
        return origin and type("Spec", (), {"origin": None})

    monkeypatch.setattr(trackers.base, "find_spec", find)
    with pytest.raises(UserError, match=r"^tracker 'wandb' needs its library: pip install 'hcsac\[track\]'$"):
        train("bc", slides, tmp_path / "run", settings("bc"), progress=False, trackers=["wandb"])
    assert not (tmp_path / "run").exists()


def test_mlflow_without_its_database_library_is_an_error(slides, tmp_path, monkeypatch):
    real = trackers.mlflow.find_spec
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(trackers.mlflow, "find_spec", lambda name: None if name == "sqlalchemy" else real(name))
    with pytest.raises(UserError, match=r"pip install sqlalchemy alembic; or set MLFLOW_TRACKING_URI to a server"):
        train("bc", slides, tmp_path / "run", settings("bc"), progress=False, trackers=["mlflow"])
    assert not (tmp_path / "run").exists()


def test_the_option_takes_commas_and_repetition(fake, slides, tmp_path, monkeypatch, capsys):
    opened = [fake(name) for name in ("wandb", "mlflow", "trackio")]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    monkeypatch.setattr("hcsac.data.store.load", lambda *_, **__: slides)
    tiny = ["--hidden-size", "8", "--batch-size", "16", "--updates", "6", "--final-episodes", "1", "--device", "cpu"]
    command = ["train", "bc", "--data", "any", "--output", str(tmp_path / "run"), *tiny, "--track"]
    with pytest.raises(SystemExit) as status:
        main([*command, "wandb, mlflow", "--track", "trackio"])
    assert status.value.code == 0
    assert all(tracker.calls[-1] == "finish True" for tracker in opened)
    capsys.readouterr()
    command[command.index(str(tmp_path / "run"))] = str(tmp_path / "other")
    with pytest.raises(SystemExit) as status:
        main([*command, "wandb,trakio"])
    assert status.value.code == 2
    assert capsys.readouterr().err == "hcsac: unknown tracker 'trakio'; did you mean 'trackio'?\n"
    assert not (tmp_path / "other").exists()


def test_the_name_of_a_run_is_its_path_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"runs/study/medium/hcsac/seed-0": "study/medium/hcsac/seed-0", "mine": "mine", "runs": "runs"}
    assert {path: run_name(RunDirectory(path)) for path in names} == names
    assert run_name(RunDirectory(tmp_path.parent / "elsewhere")) == "elsewhere"


def test_names_go_to_mlflow_as_it_takes_them():
    assert trackers.mlflow.allowed_name("return/reach@5 cm/seed0") == "return/reach_5 cm/seed0"
    assert trackers.mlflow.flatten({"a": 1, "b": {"c": [1], "d": {"e": None}}}) == {"a": 1, "b.c": [1], "b.d.e": None}
