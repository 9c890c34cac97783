"""Signals to stop: between two updates, with a checkpoint, and at once where nothing is lost."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hcsac.errors import Stopped, UserError
from hcsac.training import Callback, RunDirectory, checkpoint, run_directory, train
from hcsac.training.signals import Signals
from tests.training.conftest import lines, settings, tree


@pytest.fixture(autouse=True)
def _as_in_a_terminal():
    """A shell lets its background jobs ignore SIGINT, and nohup SIGHUP; they stay ignored, which is not tested here."""
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Kill(Callback):
    """Sends signals to this process at an update."""

    def __init__(self, update, *signals):
        self.update, self.signals = update, signals

    def on_update(self, update):
        if update == self.update:
            for number in self.signals:
                os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("update", [1, 7, 12, 24])
def test_a_signal_stops_after_the_update_with_a_checkpoint(number, update, finished, slides, tmp_path):
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped:
        train("hcsac", slides, tmp_path / "other", settings(), (0, 1), progress=False, callbacks=[Kill(update, number)])
    assert stopped.value.number == number
    assert signal.getsignal(number) is before
    run = RunDirectory(tmp_path / "other")
    assert checkpoint.load(run.checkpoint)[1] == update
    train("hcsac", slides, run.path, settings(), (0, 1), True, progress=False)
    assert run.checkpoint.read_bytes() == finished.checkpoint.read_bytes()
    for name in ("metrics.jsonl", "evaluations.jsonl", "sharing.jsonl"):
        assert lines(run.path / name) == lines(finished.path / name)


def test_a_second_signal_ends_at_once(slides, tmp_path):
    kill = Kill(7, signal.SIGTERM, signal.SIGINT)
    with pytest.raises(Stopped) as stopped:
        train("hcsac", slides, tmp_path / "other", settings(), (0, 1), progress=False, callbacks=[kill])
    assert stopped.value.number == signal.SIGINT
    assert checkpoint.load(tmp_path / "other" / "checkpoint.safetensors")[1] == 6


def test_a_signal_in_an_evaluation_ends_at_once_and_the_evaluation_is_made_again(finished, slides, tmp_path):
    class InEvaluation(Callback):
        def on_evaluation_start(self, update):
            if update == 12:
                os.kill(os.getpid(), signal.SIGTERM)
                raise AssertionError("not reached")

    run = RunDirectory(tmp_path / "other")
    with pytest.raises(Stopped):
        train("hcsac", slides, run.path, settings(), (0, 1), progress=False, callbacks=[InEvaluation()])
    assert checkpoint.load(run.checkpoint)[1] == 12
    assert {record["update"] for record in run.lines("evaluations.jsonl")} == {6}
    train("hcsac", slides, run.path, settings(), (0, 1), True, progress=False)
    same = lambda path: {n: c for n, c in tree(path).items()  # noqa: E731
                         if n.parts[0] not in ("tensorboard", "result.json")}  # fmt: skip
    assert same(run.path) == same(finished.path)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
        assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_checkpoint_comes_by_time_too(slides, tmp_path):
    saved = []

    class Note(Callback):
        def on_checkpoint(self, update):
            saved.append(update)

    often = settings().replace({"checkpoint_minutes": 0.0})
    run = train("hcsac", slides, tmp_path / "other", often, (0, 1), progress=False, callbacks=[Note()])
    assert saved == list(range(1, 25))
    rarely = settings().replace({"checkpoint_minutes": 30.0})
    assert train("hcsac", slides, run.path, rarely, (0, 1), resume=True, progress=False).finished  # the same run


def test_one_process_writes_to_a_run(slides, tmp_path, monkeypatch):
    monkeypatch.setattr(run_directory, "PATIENCE", 0.1)
    run = RunDirectory(tmp_path / "other")

    class Again(Callback):
        def on_update(self, update):
            if update == 7:
                assert run.locked
                with pytest.raises(UserError, match=r"another process is writing to .*other; wait until it ends"):
                    train("hcsac", slides, run.path, settings(), (0, 1), resume=True, progress=False)

    train("hcsac", slides, run.path, settings(), (0, 1), progress=False, callbacks=[Again()])
    assert not run.locked
    assert len(lines(run.path / "metrics.jsonl")) == 24


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = f"""
import time
from hcsac.training import RunDirectory
with RunDirectory({str(tmp_path / "other")!r}).writing({{"settings": {{}}}}, False):
    print("locked", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        run = RunDirectory(tmp_path / "other")
        assert run.locked
        process.kill()
        process.wait()
        assert not run.locked


def test_the_command_line_says_what_continues_the_run(tmp_path):
    command = ["train", "bc", "--data", "sample/walker-walk-medium-v0", "--preset", "quick", "--updates", "1000000",
               "--output", str(tmp_path / "my run"), "--threads", "1", "--compile", "off"]  # fmt: skip
    with subprocess.Popen([sys.executable, "-m", "hcsac.cli", *command], stderr=subprocess.PIPE, text=True) as process:
        log = tmp_path / "my run" / "metrics.jsonl"
        deadline = time.monotonic() + 120
        while not (log.exists() and log.stat().st_size):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        said = process.stderr.read()
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM; this continues it: hcsac train bc --data sample/walker-walk-medium-v0 " in said
    assert said.rstrip().endswith(f"--output '{tmp_path / 'my run'}' --threads 1 --compile off --resume")
    assert checkpoint.load(tmp_path / "my run" / "checkpoint.safetensors")[1] > 0
