"""What training calls as it goes: the interface of progress bar, logs, trackers, storage and of callbacks of one's own.

One update of the networks is the unit of time everywhere. R is the number of seeds, M that of tasks.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import numpy as np

from hcsac.errors import UserError
from hcsac.training.run_directory import RunDirectory


class Callback:
    """Base class of callbacks: override what you need; every method does nothing by default.

    Pass instances as `hcsac.train(..., callbacks=[...])`. They are called in this order, after the run's own logs and
    trackers, so that what a call reports is already in the files of the run. An exception from a callback stops the
    training with that exception; what is written stays, and the run can be resumed. A run that was finished before
    calls nothing.
    """

    def on_start(self, run: RunDirectory, start: int, total: int) -> None:
        """Training starts, or resumes.

        Args:
            run: the directory of the run; `run.identity()` gives algorithm, tasks, seeds and settings.
            start: updates done before; above 0 where an interrupted run is resumed.
            total: updates at the end of the training.
        """

    def on_update(self, update: int) -> None:
        """`update` updates are done. Called after each, or on a GPU after each CUDA graph of several: keep it cheap."""

    def on_log(self, update: int, metrics: Mapping[str, np.ndarray]) -> None:
        """The algorithm's metrics of this update, every `log_interval` updates: name -> [R], in the order of seeds."""

    def on_share(self, update: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Transitions were shared: one record for each seed and pair of tasks, as in `sharing.jsonl`."""

    def on_evaluation_start(self, update: int) -> None:
        """A checkpoint is written, and an evaluation follows; `on_checkpoint` comes after them."""

    def on_evaluation(self, update: int, returns: np.ndarray) -> None:
        """Undiscounted returns [R, M, episodes] of the present policy; not called where a task has no simulator."""

    def on_checkpoint(self, update: int) -> None:
        """The checkpoint of this update, and all records and logs up to it, are on disk."""

    def on_note(self, text: str) -> None:
        """Something the user should know, in a sentence: a corrupt checkpoint, a simulator that failed."""

    def on_end(self, result: Mapping[str, Any]) -> None:
        """Training reached its last update; `result` is what `result.json` holds."""

    def close(self, error: BaseException | None) -> None:
        """The last call, also where training fails or is interrupted: release what `on_start` opened.

        Called once, if `on_start` returned, in the reverse order of the callbacks.

        Args:
            error: the exception that ends the training; None where it reached its end.
        """


class Callbacks:
    """Several callbacks as one, closed at the end of a `with` block."""

    def __init__(self, callbacks: Sequence[Callback]):
        self.callbacks = tuple(callbacks)
        self._opened = ExitStack()

    def __enter__(self) -> "Callbacks":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._opened.__exit__(type(error) if error else None, error, trace)

    def on_start(self, run: RunDirectory, start: int, total: int) -> None:
        """Start them all, in order."""
        for callback in self.callbacks:
            callback.on_start(run, start, total)
            self._opened.push(lambda kind, error, trace, close=callback.close: close(error))

    def on_update(self, update: int) -> None:
        """As `Callback.on_update`."""
        for callback in self.callbacks:
            callback.on_update(update)

    def on_log(self, update: int, metrics: Mapping[str, np.ndarray]) -> None:
        """As `Callback.on_log`."""
        for callback in self.callbacks:
            callback.on_log(update, metrics)

    def on_share(self, update: int, records: Sequence[Mapping[str, Any]]) -> None:
        """As `Callback.on_share`."""
        for callback in self.callbacks:
            callback.on_share(update, records)

    def on_evaluation_start(self, update: int) -> None:
        """As `Callback.on_evaluation_start`."""
        for callback in self.callbacks:
            callback.on_evaluation_start(update)

    def on_evaluation(self, update: int, returns: np.ndarray) -> None:
        """As `Callback.on_evaluation`."""
        for callback in self.callbacks:
            callback.on_evaluation(update, returns)

    def on_checkpoint(self, update: int) -> None:
        """As `Callback.on_checkpoint`."""
        for callback in self.callbacks:
            callback.on_checkpoint(update)

    def on_note(self, text: str) -> None:
        """As `Callback.on_note`."""
        for callback in self.callbacks:
            callback.on_note(text)

    def on_end(self, result: Mapping[str, Any]) -> None:
        """As `Callback.on_end`."""
        for callback in self.callbacks:
            callback.on_end(result)


def require_callbacks(callbacks: Sequence[Callback]) -> None:
    """Check before training that these are callbacks.

    Raises:
        UserError: one of them is not an instance of a subclass of `Callback`.
    """
    for n, callback in enumerate(callbacks):
        if not isinstance(callback, Callback):
            raise UserError(
                f"callbacks[{n}] is {callback!r}, not an hcsac.Callback; derive a class from it and pass an instance."
            )
