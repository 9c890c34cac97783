"""One sharing step: which transitions of D_j also join D_i*, for every direction and replica."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hcsac.errors import UserError, unknown
from hcsac.sharing.pairs import SharedPairs, SharedTasks
from hcsac.sharing.rules import Memory, Selection, rule_of
from hcsac.types import Scorer

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the quantiles by which values are reported


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
        self.by_values = self.rule is not None and self.rule.needs_values
        self.by_advantages = self.rule is not None and self.rule.advantages
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
                others share with. None for a rule that needs none: they are NaN then.

        Returns:
            For each replica what each direction shares, by the task that uses it.
        """
        shared: list[list[SharedTransitions]] = [[] for _ in self.temperature]
        for i, sources in self.sources.items():
            if not sources:
                continue
            values = None if score is None else score(i)
            for r, of_replica in enumerate(shared):
                of_replica += self._select(i, sources, None if values is None else values[r], r)
        return shared

    def _select(
        self, i: int, sources: Sequence[int], values: np.ndarray | None, replica: int
    ) -> list[SharedTransitions]:
        assert self.rule is not None
        count = sum(len(self.rows[j]) for j in sources)
        if values is None:
            own, candidates = _unknown(len(self.rows[i])), _unknown(count)
        else:
            own, candidates = values[self.rows[i]], np.concatenate([values[self.rows[j]] for j in sources])
        of_data = None if self.of_data is None else self.of_data(i, sources)
        memory = Memory(float(self.temperature[replica, i]), self.updates, of_data)
        selection = self.rule.choose(own, candidates, self.settings, memory)
        _require_selection(selection, count, self.rule.name)
        if selection.weight is not None and not self.rule.weighted(self.settings):
            raise UserError(
                f"sharing rule {self.rule.name!r} returned weights, but is registered without; add weighted=True to "
                "its sharing_rule."
            )
        self.temperature[replica, i] = selection.temperature
        quantiles = np.full(len(LEVELS), np.nan) if values is None else np.quantile(own, LEVELS)
        shared, start = [], 0
        for j in sources:
            part = slice(start, start + len(self.rows[j]))
            start = part.stop
            taken: Any = selection.taken[part]
            if taken.all():
                taken = slice(None)  # no copies where a whole task is shared
            weight = None if selection.weight is None else selection.weight[part][taken]
            shared.append(
                SharedTransitions(
                    source=j,
                    target=i,
                    candidates=len(self.rows[j]),
                    row=self.rows[j][taken],
                    value=_unknown(int(selection.taken[part].sum())) if values is None else candidates[part][taken],
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


def _unknown(count: int) -> np.ndarray:
    """So many values that nobody needs, in no memory."""
    return np.broadcast_to(np.float32(np.nan), (count,))


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


def shared_pairs(shared: Sequence[SharedTransitions]) -> SharedPairs | SharedTasks:
    """The pairs of all directions of one replica, whole tasks where every direction shares all: D* is D plus these."""
    if not shared:
        return SharedPairs(np.empty(0, np.int64), np.empty(0, np.int16))
    targets = [one.target for one in shared]
    if all(one.weight is None and len(one.row) == one.candidates == one.row[-1] - one.row[0] + 1 for one in shared):
        numbers = [one.row[0] for one in shared], [len(one.row) for one in shared], targets
        return SharedTasks(*(np.array(part, np.int64) for part in numbers))
    return SharedPairs(
        np.concatenate([one.row for one in shared]),
        np.repeat(np.array(targets, np.int16), [len(one.row) for one in shared]),
        None if shared[0].weight is None else np.concatenate([one.weight for one in shared]),
    )
