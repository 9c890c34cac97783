"""Being told to stop: Ctrl-C and the signals of a cluster, taken between two updates."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hcsac.errors import Stopped

_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")  # those that the system has


class Signals:
    """In a `with` block the first signal to stop is noted in `received`; a second one raises `Stopped` at once.

    A signal that is ignored, as SIGHUP under nohup, stays so. Outside the main thread, where Python has no signals,
    nothing is noted.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in _STOPPING if hasattr(signal, name)):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """In this block, which loses nothing, the first signal raises `Stopped`."""
        self.stop_if_told()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def stop_if_told(self) -> None:
        """Raise `Stopped` if a signal has come."""
        if self.received is not None:
            raise Stopped(self.received)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._at_once or self.received is not None:
            raise Stopped(number)
        self.received = number
