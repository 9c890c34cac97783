"""Report metrics: one number per seed, computed from the returns of the last policy. A new one is one function."""

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np

from hcsac.errors import UserError
from hcsac.evaluation import failed_share, normalise
from hcsac.registry import Registry
from hcsac.tasks import Task

# returns [seeds, episodes], task -> [seeds]; None where the task has no such number
MetricFunction = Callable[[np.ndarray, Task], np.ndarray | None]
DIRECTIONS = ("higher", "lower")


class Metric:
    """A registered metric.

    Args:
        name: of the table, and of the columns in CSV and Parquet.
        function: computes it; the first line of its docstring is the caption of the table.
        better: whether higher or lower values are better.
    """

    def __init__(self, name: str, function: MetricFunction, better: str):
        functools.update_wrapper(self, function)
        self.name, self.function, self.better = name, function, better

    @property
    def caption(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def __call__(self, returns: np.ndarray, task: Task) -> np.ndarray:
        """The metric of every seed [R] from returns [R, episodes]; all NaN where the task has none or a return is NaN.

        Raises:
            UserError: the function fails, or returns NaN or another shape.
        """
        unknown = np.full(len(returns), np.nan)
        if np.isnan(returns).any():  # a diverged seed must not be left out of a mean
            return unknown
        label = f"metric {self.name!r} of the module {self.function.__module__}"
        try:
            result = self.function(returns.copy(), task)
            if result is None:
                return unknown
            values = np.asarray(result, float)
        except Exception as error:  # whatever a plug-in may raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(f"{label} fails on task {task.name!r} ({reason}); fix the function.") from error
        if values.shape != (len(returns),):
            raise UserError(
                f"{label} returns the shape {list(values.shape)} for {len(returns)} seeds on task {task.name!r}; "
                "return one number per seed."
            )
        if np.isnan(values).any() and np.isfinite(returns).all():
            raise UserError(f"{label} returns NaN on task {task.name!r}; return None where a task has no such number.")
        return values


METRICS: Registry[Metric] = Registry("metric")
BUILT_IN = ("mean_return", "score", "worst_episode", "best_episode", "median", "failed_share")  # are in every report


def metric(name: str, better: Literal["higher", "lower"] = "higher") -> Callable[[MetricFunction], MetricFunction]:
    """Register a function as a report metric; it then has a table in reports, and columns in CSV and Parquet.

    The function takes the returns of the last policy's episodes, float [seeds, episodes], and the `Task`, and returns
    float [seeds], or None where the task has no such number. Its docstring begins with a caption.

        @hcsac.metric("cvar_25")
        def cvar(returns, task):
            "Mean return of the worst quarter of the episodes."
            worst = np.sort(returns, axis=1)[:, : max(1, returns.shape[1] // 4)]
            return worst.mean(axis=1)

    Args:
        name: letters, digits and underscores; the name of its columns.
        better: whether the best value of a row is the highest or the lowest.

    Raises:
        UserError: the name is taken or not of this form, `better` is another word, or there is no docstring.
    """
    if not name.isidentifier():
        raise UserError(f"metric {name!r}: use letters, digits and underscores, as in cvar_25.")
    if better not in DIRECTIONS:
        raise UserError(f"metric {name!r}: better = {better!r} is neither 'higher' nor 'lower'.")

    def register(function: MetricFunction) -> MetricFunction:
        if not (function.__doc__ or "").strip():
            raise UserError(f"metric {name!r} has no docstring; its first line is the caption of the table.")
        METRICS.add(name, Metric(name, function, better), module=function.__module__)
        return function

    return register


@metric("mean_return")
def mean_return(returns: np.ndarray, task: Task) -> np.ndarray:
    """Mean return of the episodes."""
    return returns.mean(1)


@metric("score")
def score(returns: np.ndarray, task: Task) -> np.ndarray | None:
    """Normalized score: 0 is the random policy of the task, 100 its expert."""
    if task.random_return is None or task.expert_return is None:
        return None
    return normalise(returns.mean(1), task.random_return, task.expert_return)


@metric("worst_episode")
def worst_episode(returns: np.ndarray, task: Task) -> np.ndarray:
    """Lowest return of an episode."""
    return returns.min(1)


@metric("best_episode")
def best_episode(returns: np.ndarray, task: Task) -> np.ndarray:
    """Highest return of an episode."""
    return returns.max(1)


@metric("median")
def median(returns: np.ndarray, task: Task) -> np.ndarray:
    """Median return of the episodes."""
    return np.median(returns, axis=1)


@metric("failed_share", better="lower")
def failed(returns: np.ndarray, task: Task) -> np.ndarray:
    """Share of failed episodes: below half of the median return of all seeds' episodes."""
    return failed_share(returns)


def extra_metrics() -> dict[str, Metric]:
    """The metrics that plug-ins and the user's own code have registered."""
    return {name: one for name, one in METRICS.items() if name not in BUILT_IN}
