"""Where transitions end in a terminal state, as data of each task."""

import numpy as np

from hcsac.data.dataset import Dataset
from hcsac.tasks import ends_of, says_ends

ROWS = 65_536  # of a call of a task's function


def end_table(dataset: Dataset) -> np.ndarray:
    """terminated[N, M] bool, read-only: whether transition n, as data of task m, ends in a terminal state.

    The column of a transition's own task has what was logged. That of another task has what its function says, where
    it has one (`Task.terminated`), and else what was logged, too; where no task has one this is a view, no memory.

    Raises:
        UserError: a task's function fails, or returns no truth values.
    """
    shape = (len(dataset), dataset.num_tasks)
    own = np.broadcast_to(dataset.terminated[:, None], shape)
    if dataset.num_tasks == 1 or not any(map(says_ends, dataset.task_names)):
        return own
    table = own.copy()
    for m, name in enumerate(dataset.task_names):
        if not says_ends(name):
            continue
        others = np.flatnonzero(dataset.task != m)
        for first in range(0, len(others), ROWS):
            rows = others[first : first + ROWS]
            start = dataset.start_index[rows]
            action = dataset.action_bounds.outside(dataset.action[rows])
            table[rows, m] = ends_of(name, dataset.observations[start], action, dataset.observations[start + 1])
    return table
