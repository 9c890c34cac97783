"""The transitions of a dataset under the rewards of other tasks."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.tasks import get_task, require_replayed, require_rewards, rewards_of

CHUNK = 4096  # transitions of a block from reward functions: data read for one task stay in the cache for the next
SIMULATED_CHUNK = 65_536  # of a block from a simulator: large, since each block loads it again
SAMPLE = 200  # logged transitions replayed before any are recomputed


def why_not_relabelled(dataset: Dataset) -> str | None:
    """Why the rewards of its tasks cannot be recomputed for all transitions, as a sentence; None where they can."""
    try:
        for name in dataset.task_names:
            _require_rewards(dataset, name)
    except UserError as error:
        return str(error)
    return None


def _require_rewards(dataset: Dataset, name: str) -> None:
    """As `require_rewards`, where rows of other tasks need them; and a sample of rows, replayed, must be as logged.

    Simulator states of logs may lack what else fixes observation and reward: both would be wrong without a word.
    """
    if all(name == other for other in dataset.task_names):
        return
    require_rewards(name, None if dataset.physics is None else dataset.physics.shape[1])
    if get_task(name).reward is not None:
        return
    assert dataset.physics is not None
    of_task = np.array([other == name for other in dataset.task_names])[dataset.task]
    for rows in map(np.flatnonzero, (of_task, ~of_task)):
        if not len(rows):
            continue
        some = np.sort(np.random.default_rng(0).choice(rows, min(SAMPLE, len(rows)), replace=False))
        after = dataset.observations[dataset.start_index[some] + 1]
        action = dataset.action_bounds.outside(dataset.action[some])
        own = dataset.reward[some] if of_task[some[0]] else None
        require_replayed(name, after, action, dataset.physics[some], own)


def reward_blocks(dataset: Dataset, names: Sequence[str] | None = None) -> Iterator[np.ndarray]:
    """The table reward[N, M] float32 in blocks of consecutive transitions [n, M], in order.

    Column m is the reward of each transition in task `names[m]` (default: the dataset's own tasks). Transitions logged
    under that task keep their logged reward; for all others it is that of `rewards_of`.

    Raises:
        UserError: at once, if the rewards of a task cannot be recomputed; while iterating, as `rewards_of`.
    """
    names = dataset.task_names if names is None else names
    for name in names:
        _require_rewards(dataset, name)
    simulated = any(get_task(name).reward is None for name in names)
    return _blocks(dataset, names, SIMULATED_CHUNK if simulated else CHUNK)


def cross_returns(dataset: Dataset, names: Sequence[str] | None = None) -> np.ndarray:
    """The cross-task matrix [M, len(names)]: mean undiscounted return of each task's episodes under each of `names`.

    Rows are the tasks of the dataset, which are also the default of `names`.

    Raises:
        UserError: as `reward_blocks`.
    """
    table = np.concatenate(list(reward_blocks(dataset, names)))
    first = dataset.episode_start[:-1]
    returns = np.add.reduceat(table, first, axis=0, dtype=np.float64)
    return np.stack([returns[dataset.task[first] == i].mean(axis=0) for i in range(dataset.num_tasks)])


def _blocks(dataset: Dataset, names: Sequence[str], size: int) -> Iterator[np.ndarray]:
    for rows in _chunks(dataset, size):
        logged_under = dataset.task_names[dataset.task[rows.start]]
        block = np.empty((rows.stop - rows.start, len(names)), np.float32)
        next_observation = dataset.observations[dataset.start_index[rows] + 1]
        physics = None if dataset.physics is None else dataset.physics[rows]
        action = dataset.action_bounds.outside(dataset.action[rows])
        for column, name in enumerate(names):
            own = name == logged_under
            block[:, column] = dataset.reward[rows] if own else rewards_of(name, next_observation, action, physics)
        yield block


def _chunks(dataset: Dataset, size: int) -> Iterator[slice]:
    """Consecutive transitions of one task, at most `size` at a time."""
    changes = np.flatnonzero(np.diff(dataset.task)) + 1
    for start, stop in pairwise([0, *changes.tolist(), len(dataset)]):
        for first in range(start, stop, size):
            yield slice(first, min(first + size, stop))
