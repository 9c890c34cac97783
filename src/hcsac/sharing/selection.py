"""One sharing step: which transitions of D_j also join D_i*, for every direction and replica."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hcsac.errors import UserError, unknown
from hcsac.sharing.rules import Memory, Selection, rule_of
from hcsac.types import Scorer

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the quantiles by which values are reported


class SharedPairs(NamedTuple):
    """Pairs (row of D, task that uses it), each [n], task after task; 10 bytes a pair, 14 with weights."""

    row: np.ndarray  # int64
    task: np.ndarray  # int16
    weight: np.ndarray | None = None  # float32


class SharedTransitions(NamedTuple):
    """What is shared in one direction, in one sharing step of one replica."""

    source: int
    target: int
    candidates: int
    row: np.ndarray  # [n] int64, ascending
    value: np.ndarray  # [n] float32, Q_target of these rows
    weight: np.ndarray | None  # [n] float32
    threshold: float
    temperature: float
    own_quantiles: np.ndarray  # [5] of Q_target over the target's own transitions, at LEVELS


def directions(text: str | None, tasks: Sequence[str]) -> list[tuple[int, int]]:
    """The (from, to) that `share` names, as indices of tasks, each once; every ordered pair for None.

    A task may be named by what follows its domain, as walk for walker-walk, where only one task is meant so.

    Raises:
        UserError: a word that is not from:to, a task that is not there, or a direction from a task to itself.
    """
    if text is None:
        return [(j, i) for i in range(len(tasks)) for j in range(len(tasks)) if j != i]
    found = []
    for word in text.split(","):
        halves = [(word[:k].strip(), word[k + 1 :].strip()) for k, letter in enumerate(word) if letter == ":"]
        if not halves:
            raise UserError(f"direction {word!r} of setting share is not of the form from:to; write it as walk:run.")
        # A task's own name may hold a colon: the split that names two tasks counts.
        meant = [tuple(_task(name, tasks) for name in pair) for pair in halves]
        names = next((pair for pair in meant if set(pair) <= set(tasks)), meant[-1])
        for name in names:
            if name not in tasks:
                raise unknown("task in setting share", name, tasks)
        if names[0] == names[1]:
            raise UserError(f"direction {word!r} of setting share is from a task to itself; name two tasks.")
        found.append((tasks.index(names[0]), tasks.index(names[1])))
    return list(dict.fromkeys(found))


def _task(name: str, tasks: Sequence[str]) -> str:
    """The one task that is called so, in full or without its domain; `name` itself if there is none, or several."""
    ending = [task for task in tasks if task.endswith(f"-{name}")]
    return ending[0] if name not in tasks and len(ending) == 1 else name


class Sharer:
    """Applies the sharing rule of `settings` to all of D, for every replica.

    Args:
        settings: of the run; without `sharing`, or with none, nothing is shared.
        task: [N] the task each transition of D was logged under, an index into `names`.
        replicas: R.
        updates: between two sharing steps.
        of_data: (task, its sources) -> what the rule computes of the data, once.
    """

    def __init__(
        self,
        settings: Any,
        task: np.ndarray,
        names: Sequence[str],
        replicas: int,
        updates: int,
        of_data: Callable[[int, Sequence[int]], Any] | None = None,
    ):
        self.rule, self.settings, self.updates = rule_of(settings), settings, updates
        self.of_data = None if of_data is None else cache(of_data)
        pairs = [] if self.rule is None else directions(settings.share, names)
        self.sources = {i: tuple(j for j, to in pairs if to == i) for i in range(len(names))}
        self.count = len(task)
        self.rows = [np.flatnonzero(task == i) for i in range(len(names))]
        self.temperature = np.full((replicas, len(names)), np.nan)

    def __call__(self, score: Scorer | None) -> list[list[SharedTransitions]]:
        """One sharing step (the body of Algorithm 1's outer loop).

        Args:
            score: task i -> Q_i(s, a), or the advantage, of all N transitions, [R, N]; called once for each task that
                others share with. None for an algorithm without values: they are NaN then.

        Returns:
            For each replica what each direction shares, by the task that uses it.
        """
        shared: list[list[SharedTransitions]] = [[] for _ in self.temperature]
        for i, sources in self.sources.items():
            if not sources:
                continue
            values = np.full((len(shared), self.count), np.nan, np.float32) if score is None else score(i)
            for r, of_replica in enumerate(shared):
                of_replica += self._select(i, sources, values[r], r)
        return shared

    def _select(self, i: int, sources: Sequence[int], values: np.ndarray, replica: int) -> list[SharedTransitions]:
        assert self.rule is not None
        own, candidates = values[self.rows[i]], np.concatenate([values[self.rows[j]] for j in sources])
        of_data = None if self.of_data is None else self.of_data(i, sources)
        memory = Memory(float(self.temperature[replica, i]), self.updates, of_data)
        selection = self.rule.choose(own, candidates, self.settings, memory)
        _require_selection(selection, len(candidates), self.rule.name)
        if selection.weight is not None and not self.rule.weighted(self.settings):
            raise UserError(
                f"sharing rule {self.rule.name!r} returned weights, but is registered without; add weighted=True to "
                "its sharing_rule."
            )
        self.temperature[replica, i] = selection.temperature
        quantiles = np.quantile(own, LEVELS)
        shared, start = [], 0
        for j in sources:
            part = slice(start, start + len(self.rows[j]))
            start = part.stop
            taken = selection.taken[part]
            weight = None if selection.weight is None else selection.weight[part][taken]
            shared.append(
                SharedTransitions(
                    source=j,
                    target=i,
                    candidates=len(taken),
                    row=self.rows[j][taken],
                    value=candidates[part][taken],
                    weight=weight,
                    threshold=selection.threshold,
                    temperature=selection.temperature,
                    own_quantiles=quantiles,
                )
            )
        return shared

    def state(self) -> dict[str, Tensor]:
        """What the next sharing step needs of the last one, for a checkpoint."""
        return {"temperature": torch.from_numpy(self.temperature)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from `state` exactly."""
        self.temperature = state["temperature"].numpy().copy()


def _require_selection(selection: Any, candidates: int, rule: str) -> None:
    """Raise a `UserError` for what a rule must not return; a plug-in's rule may be wrong."""
    if not isinstance(selection, Selection):
        raise UserError(f"sharing rule {rule!r} returned {type(selection).__name__}; it must return a Selection.")
    for name, kind in (("taken", bool), ("weight", np.floating)):
        array = getattr(selection, name)
        if array is None and name == "weight":
            continue
        if np.shape(array) != (candidates,) or not np.issubdtype(np.asarray(array).dtype, kind):
            raise UserError(
                f"sharing rule {rule!r} returned `{name}` of shape {list(np.shape(array))} and type "
                f"{np.asarray(array).dtype}; it must be [{candidates}] {kind.__name__.removesuffix('ing')}."
            )


def shared_pairs(shared: Sequence[SharedTransitions]) -> SharedPairs:
    """The pairs of all directions of one replica: D* is D plus these."""
    if not shared:
        return SharedPairs(np.empty(0, np.int64), np.empty(0, np.int16))
    return SharedPairs(
        np.concatenate([one.row for one in shared]),
        np.repeat(np.array([one.target for one in shared], np.int16), [len(one.row) for one in shared]),
        None if shared[0].weight is None else np.concatenate([one.weight for one in shared]),
    )
