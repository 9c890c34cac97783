"""Progress: a bar in a terminal, plain lines elsewhere, nothing when disabled."""

import fcntl
import io
import os
import re
import struct
import termios

import pytest

from hcsac.training import checkpoint, progress, train
from hcsac.training.progress import Progress, duration
from tests.training.conftest import settings


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def plain(clock, **given):
    return Progress(**{"total": 20_000, "label": "hcsac", "stream": Stream(False), "clock": clock} | given)


def work(shown, clock, seconds, speed=100):
    for _ in range(seconds):
        clock.now += 1
        shown.advance(speed)


def written(shown):
    return shown.stream.getvalue().splitlines()


def test_a_plain_line_every_thirty_seconds(clock):
    shown = plain(clock)
    work(shown, clock, 29)
    assert written(shown) == []
    work(shown, clock, 61)
    assert written(shown) == [
        "hcsac  3,000/20,000 updates  100/s  2 min 50 s left",
        "hcsac  6,000/20,000 updates  100/s  2 min 20 s left",
        "hcsac  9,000/20,000 updates  100/s  1 min 50 s left",
    ]
    assert not re.search("[\r\x1b]", shown.stream.getvalue())


def test_results_and_notes_get_a_line_at_once(clock):
    shown = plain(clock)
    work(shown, clock, 2)
    shown.results({"walk": 811.6, "run": 254})
    shown.note("1,234 shared transitions")
    assert written(shown) == [
        "hcsac  200/20,000 updates  100/s  3 min 18 s left  walk 812  run 254",
        "hcsac  200/20,000 updates  100/s  3 min 18 s left  walk 812  run 254  1,234 shared transitions",
    ]
    work(shown, clock, 29)  # 30 s count from the last line, whatever it was for
    assert len(written(shown)) == 2


def test_write_line_and_the_status_in_every_line(clock):
    shown = plain(clock)
    shown.status = "1/2 runs"
    shown.write_line("finished medium bc")
    work(shown, clock, 2)
    shown.note("half way")
    assert written(shown) == [
        "finished medium bc",
        "hcsac  200/20,000 updates  100/s  3 min 18 s left  1/2 runs  half way",
    ]
    silent = plain(clock, enabled=False)
    silent.write_line("finished medium bc")
    assert written(silent) == []


def test_the_best_so_far_is_shown_beside_a_lower_result(clock):
    shown = plain(clock)
    for walk, run in [(800, 100), (700, 200), (650, 300)]:
        shown.results({"walk": walk, "run": run})
    assert [line.split("updates  ")[1] for line in written(shown)] == [
        "walk 800  run 100",
        "walk 700 (best 800)  run 200",
        "walk 650 (best 800)  run 300",
    ]


def test_the_end_is_written_once(clock):
    shown = plain(clock, total=300)
    work(shown, clock, 3)
    shown.results({"walk": 5})
    shown.close()
    assert written(shown) == ["hcsac  300/300 updates  100/s  done in 3 s  walk 5"]
    stopped = plain(clock, total=300)
    work(stopped, clock, 2)
    stopped.close()
    assert written(stopped) == ["hcsac  200/300 updates  100/s  1 s left"]


def test_units_done_before_take_no_time(clock):
    shown = plain(clock, start=10_000)
    work(shown, clock, 30)
    assert written(shown) == ["hcsac  13,000/20,000 updates  100/s  1 min 10 s left"]


def test_a_pause_does_not_slow_the_speed_but_lengthens_the_time_left(clock):
    shown = plain(clock)
    work(shown, clock, 20)
    shown.pause("evaluating")
    clock.now += 10
    shown.results({"walk": 1})
    shown.resume()
    assert shown.paused == 10
    assert written(shown) == ["hcsac  2,000/20,000 updates  100/s  4 min 30 s left  walk 1"]


def test_closing_ends_a_pause(clock):
    shown = plain(clock)
    shown.pause("evaluating")
    clock.now += 3
    shown.close()
    clock.now += 1
    assert shown.paused == 3
    shown.resume()
    assert shown.paused == 3


def test_speed_is_that_of_the_last_half_minute(clock):
    shown = plain(clock, every=1e9)
    work(shown, clock, 100, speed=1)  # a slow start
    work(shown, clock, 31, speed=100)
    shown.note("")
    assert "  100/s  " in written(shown)[0]


def test_slow_work_has_digits(clock):
    shown = plain(clock, total=10, unit="runs", label="", every=0)
    clock.now += 400
    shown.advance(1)
    assert written(shown) == ["1/10 runs  0.0025/s  1 h 00 min left"]


def test_silence(clock):
    for terminal in (True, False):
        shown = plain(clock, enabled=False, stream=Stream(terminal), every=0)
        work(shown, clock, 40)
        shown.pause("evaluating")
        shown.results({"walk": 1})
        shown.resume()
        shown.note("rows")
        shown.close()
        assert shown.stream.getvalue() == ""


def test_a_terminal_gets_a_bar(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    shown = plain(clock, stream=Stream(True))
    work(shown, clock, 10)
    shown.results({"walk": 811.6})
    shown.results({"walk": 700})
    shown.pause("evaluating")
    shown.resume()
    shown.note("shared transitions")
    shown.close()
    frames = shown.stream.getvalue().split("\r")
    assert any(re.fullmatch(r"hcsac   5%\|.+\| 1,000/20,000  100/s  3 min 10 s left  walk 812 *", f)
               for f in frames)  # fmt: skip
    assert any("walk 700 (best 812)  evaluating" in frame for frame in frames)
    assert "shared transitions" not in shown.stream.getvalue()
    assert shown.stream.getvalue().endswith("\n")
    assert shown.stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("width", [0, 40, 100])
def test_the_bar_fits_the_terminal(clock, monkeypatch, width):
    """Also one that reports 0 columns, as pseudo-terminals without a window do: then COLUMNS counts, or 80."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if width else 0, width, 0, 0))
    monkeypatch.delenv("COLUMNS", raising=False)
    with open(slave, "w") as stream:
        shown = plain(clock, stream=stream)
        work(shown, clock, 10)
        shown.results({"walker-walk": 800, "walker-run": 100})
        stream.flush()
        shown.close()
        stream.flush()
        text = b""
        while not text.endswith(b"\n"):
            text += os.read(master, 65_536)
    os.close(master)
    frames = text.decode().split("\r")
    assert any(frame.startswith("hcsac   5%") and "1,000/20" in frame for frame in frames)
    assert max(map(len, frames)) <= (width or 80)
    assert any("5%|" in frame for frame in frames) == (width == 100)  # without room for both, only the text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (143, "2 min 23 s"), (3599.9, "1 h 00 min"),
     (11_100, "3 h 05 min"), (187_200, "2 d 4 h")],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_training_shows_evaluations_and_sharing(slides, tmp_path, capsys):
    run = train("hcsac", slides, tmp_path / "run", settings(), seeds=(0, 1))
    out, err = capsys.readouterr()
    assert out == ""
    shown = [line for line in err.splitlines() if line.startswith("hcsac  ")]
    assert len([line for line in shown if "slide-left" in line and "shared" not in line]) == 4
    assert len([line for line in shown if line.endswith("shared transitions")]) == 4
    assert "24/24 updates" in shown[-1]
    assert "done in" in shown[-1]
    assert run.read_json("result.json")["seconds_evaluating"] >= 0
    train("hcsac", slides, tmp_path / "silent", settings(), progress=False)
    assert capsys.readouterr().err == ""


def test_a_resumed_run_shows_its_best(slides, tmp_path, capsys):
    run = train("bc", slides, tmp_path / "run", settings("bc"), progress=False)
    (run.path / "result.json").unlink()
    path = run.path / "evaluations.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    run.append("evaluations.jsonl", [{"update": 18, "seed": 0, "task": task, "returns": [1e6, 3e6]}
                                     for task in slides.task_names])  # fmt: skip
    checkpoint.save(run.checkpoint, checkpoint.load(run.checkpoint)[0], 18)
    train("bc", slides, run.path, settings("bc"), resume=True)
    assert capsys.readouterr().err.splitlines()[-1].count("(best 2000000)") == 2


def test_training_shows_a_bar_in_a_terminal(slides, tmp_path, monkeypatch):
    stream = Stream(True)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(progress.sys, "stderr", stream)
    train("bc", slides, tmp_path / "run", settings("bc"))
    monkeypatch.undo()
    assert re.search(r"\rbc 100%\|.+\| 24/24  .*slide-right -?\d", stream.getvalue())


def test_the_work_goes_on_when_nobody_reads():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    progress = Progress(10, stream=Closed())
    progress.write_line("begun")
    progress.results({"walk": 1.0})
    progress.advance(10)
    progress.close()
    assert progress.done == 10
