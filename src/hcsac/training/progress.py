"""Progress of some work: a bar in a terminal, else a plain line from time to time."""

import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

import numpy as np
from tqdm import tqdm

from hcsac.training.callbacks import Callback
from hcsac.training.results import learning_curve
from hcsac.training.run_directory import RunDirectory

WINDOW = 30.0  # seconds over which speed is averaged


class Progress:
    """Shows of `total` units of work how many are done, speed, time left, and the last results.

    Args:
        start: units done before, which took no time now.
        unit: its name, in the plural.
        enabled: False to show nothing.
        stream: to write to; None for stderr. A bar is drawn if it is a terminal.
        every: seconds between plain lines, besides those for results, notes and the end.
        best: the best earlier results by name, if there are any.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        total: int,
        start: int = 0,
        label: str = "",
        unit: str = "updates",
        enabled: bool = True,
        stream: TextIO | None = None,
        every: float = 30.0,
        best: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.total, self.done, self.label, self.unit = total, start, label, unit
        self.enabled, self.every, self.clock = enabled, every, clock
        self.stream = sys.stderr if stream is None else stream
        self.paused = 0.0  # seconds
        self.last: dict[str, float] = {}
        self.best = dict(best or {})
        self.status = ""  # further text of the line
        self._pause: tuple[float, str] | None = None
        self._began = self._written = clock()
        self._marks = deque([(0.0, start)])  # working seconds, units done
        self._line_at = -1  # units done when the last line was written
        self.terminal = enabled and getattr(self.stream, "isatty", lambda: False)()
        self._bar = _Bar(self) if self.terminal else None

    def advance(self, count: int) -> None:
        """`count` units more are done."""
        self.done += count
        now = self._working()
        if now - self._marks[-1][0] > WINDOW / 60:
            self._marks.append((now, self.done))
            while now - self._marks[1][0] > WINDOW:
                self._marks.popleft()
        if self._bar is not None:
            self._bar.update(count)
        elif self.clock() - self._written >= self.every:
            self._line()

    def results(self, values: Mapping[str, float]) -> None:
        """The newest results by name; more is better."""
        self.last = dict(values)
        self.best = {name: max(value, self.best.get(name, value)) for name, value in values.items()}
        self._event()

    def note(self, text: str) -> None:
        """A plain line with this text; a bar does not show it."""
        if self._bar is None:
            self._line(text)

    def write_line(self, text: str) -> None:
        """A line of its own; a bar continues below it."""
        if not self.enabled:
            return
        if self._bar is not None:
            self._bar.write(text, file=self.stream)
        else:
            self._print(text)

    def pause(self, activity: str) -> None:
        """Until `resume`, time is spent on something else: it does not lower the speed, but the time left grows."""
        self._pause = (self.clock(), activity)
        if self._bar is not None:
            self._bar.refresh()

    def resume(self) -> None:
        """End a pause, if there is one."""
        self.paused = self._paused()
        self._pause = None

    def close(self) -> None:
        """The end, reached or not: the last state stays visible."""
        self.resume()
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
        elif self._line_at != self.done:
            self._line()

    def parts(self) -> list[str]:
        """The parts of the line, the most important first."""
        unit = "" if self.terminal else f" {self.unit}"  # a bar has little room
        texts = [f"{self.done:,}/{self.total:,}{unit}"]
        seconds, units = (end - begin for begin, end in zip(self._marks[0], (self._working(), self.done), strict=True))
        speed = units / seconds if seconds > 0 else 0.0
        if speed:
            texts.append(f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s")
        if self.done < self.total and speed:
            share = self._paused() / max(self._working(), 1e-9)
            texts.append(f"{duration((self.total - self.done) / speed * (1 + share))} left")
        elif self.done >= self.total and not (self.terminal and self._pause):
            texts.append(f"done in {duration(self.clock() - self._began)}")
        if self.status:
            texts.append(self.status)
        for name, value in self.last.items():
            best = f" (best {self.best[name]:.0f})" if self.best[name] > value else ""
            texts.append(f"{name} {value:.0f}{best}")
        if self.terminal and self._pause is not None:
            texts.append(self._pause[1])
        return texts

    def _paused(self) -> float:
        return self.paused + (self.clock() - self._pause[0] if self._pause else 0.0)

    def _working(self) -> float:
        return self.clock() - self._began - self._paused()

    def _event(self) -> None:
        if self._bar is not None:
            self._bar.refresh()
        else:
            self._line()

    def _line(self, note: str = "") -> None:
        if self.enabled:
            texts = [self.label, *self.parts(), note]
            self._print("  ".join(text for text in texts if text))
        self._written, self._line_at = self.clock(), self.done

    def _print(self, text: str) -> None:
        try:
            print(text, file=self.stream, flush=True)
        except BrokenPipeError:  # as of `2>&1 | head`: the work goes on without an audience
            self.enabled = False


class ProgressBar(Callback):
    """Shows the progress of a training on stderr.

    Args:
        data: what it trains on, in words.
        seconds: what all its updates will about take; None where that is not known.
    """

    def __init__(self, data: str = "", seconds: float | None = None):
        self.data, self.seconds = data, seconds

    def on_start(self, run: RunDirectory, start: int, total: int) -> None:
        """Look up the best mean return so far of each task, and draw the bar."""
        identity = run.identity()
        self.seeds, self.tasks = identity["seeds"], identity["tasks"]
        before = {task: learning_curve(run, task)[1].mean(1) for task in self.tasks}
        best = {task: float(means.max()) for task, means in before.items() if len(means)}
        self.progress = Progress(total, start, identity["agent"], best=best)
        self.progress.write_line(self.announcement(identity, start, total))

    def announcement(self, identity: Mapping[str, Any], start: int, total: int) -> str:
        """What will be done, and about how long it takes."""
        settings = identity["settings"]
        seeds = f", {len(self.seeds)} seeds at once" if len(self.seeds) > 1 else ""
        resumed = f" from update {start:,}" if start else ""
        text = f"{identity['agent']}{resumed}: {total:,} updates of {settings['batch_size']} of {self.data}{seeds}"
        if self.seconds is not None:
            text += f"; about {duration(self.seconds * (total - start) / total)} on this machine, and the evaluations"
        return f"{text}."

    def on_update(self, update: int) -> None:
        """Advance."""
        self.progress.advance(update - self.progress.done)

    def on_share(self, update: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Note how many transitions are shared, as a mean over seeds."""
        if records:
            count = sum(record["borrowed"] for record in records) // len(self.seeds)
            self.progress.note(f"{count:,} shared transitions")

    def on_evaluation_start(self, update: int) -> None:
        """Pause."""
        self.progress.pause("evaluating")

    def on_evaluation(self, update: int, returns: np.ndarray) -> None:
        """Show the mean return of each task."""
        means = returns.mean((0, 2))
        self.progress.results({task: float(mean) for task, mean in zip(self.tasks, means, strict=True)})

    def on_note(self, text: str) -> None:
        """A line of its own."""
        self.progress.write_line(text)

    def on_checkpoint(self, update: int) -> None:
        """Resume."""
        self.progress.resume()

    def close(self, error: BaseException | None) -> None:
        """Leave the last state visible."""
        self.progress.close()


class _Bar(tqdm):
    """tqdm's bar, with the parts of `Progress` behind it."""

    def __init__(self, progress: Progress):
        self.progress = progress
        super().__init__(
            total=progress.total, initial=progress.done, file=progress.stream, ncols=80, nrows=20, mininterval=0.5
        )  # fmt: skip

    @property
    def format_dict(self) -> dict[str, Any]:
        """The parts and, where there is room, tqdm's bar."""
        label = f"{self.progress.label} " if self.progress.label else ""
        text, width = "  ".join(self.progress.parts()), _width(self.progress.stream) - 1
        room = min(10, width - len(f"{label}100%|| {text}"))
        form = "{label}{percentage:3.0f}%" + (f"|{{bar:{room}}}|" if room > 0 else "") + " {text}"
        return super().format_dict | {"ncols": width, "bar_format": form, "label": label, "text": text}


def _width(stream: TextIO) -> int:
    """Columns of a terminal. Those without a window report 0, for which tqdm would draw nothing."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, AttributeError):
        columns = 0
    return columns or shutil.get_terminal_size().columns


def duration(seconds: float) -> str:
    """Seconds as text: 45 s, 2 min 23 s, 3 h 05 min, 2 d 4 h."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
