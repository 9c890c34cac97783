"""Episodes that training leaves out, so that a policy can be judged on what it has not seen.

They are named by task and number: {"walk": [3, 7]} are the fourth and the eighth episode of walk, in the order of the
data.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from hcsac.data.dataset import Dataset
from hcsac.errors import UserError


def held_out_episodes(dataset: Dataset, share: float) -> dict[str, list[int]]:
    """A share of the episodes of each task, rounded, but one at least and never all; {} where it is 0.

    Episodes stand in an order that is fixed by their numbers alone (the SHA-256 of each), and the first ones are held
    out: the same in every run and on every machine, and a larger share holds out those of a smaller one as well.

    Raises:
        UserError: a task has a single episode, or the data are mapped.
    """
    if share == 0:
        return {}
    if isinstance(dataset.observations, np.memmap):
        raise UserError(
            "held_out copies the episodes that are trained on into memory, and mapped data are larger than that; hold "
            "some episodes out of the dataset itself, or train without --map."
        )
    found = {}
    for task, returns in dataset.episode_returns.items():
        count = len(returns)
        if count < 2:
            raise UserError(
                f"held_out = {share} needs two episodes of each task, and {task!r} has only one; log more, or leave "
                "held_out at 0."
            )
        order = sorted(range(count), key=lambda number: hashlib.sha256(str(number).encode()).digest())
        found[task] = sorted(order[: min(max(round(share * count), 1), count - 1)])
    return found


def mark_episodes(dataset: Dataset, chosen: Mapping[str, Sequence[int]]) -> np.ndarray:
    """Whether each episode of the dataset is among those, [episodes] bool.

    Raises:
        UserError: a task or a number that the dataset does not have.
    """
    of_episode = dataset.task[dataset.episode_start[:-1]]
    marked = np.zeros(len(of_episode), bool)
    for task, numbers in chosen.items():
        own = np.flatnonzero(of_episode == dataset.task_names.index(task)) if task in dataset.task_names else ()
        if numbers and not 0 <= min(numbers) <= max(numbers) < len(own):
            raise UserError(f"the data have no episode {max(numbers)} of task {task!r}; they are not those of the run.")
        marked[np.asarray(own, np.int64)[list(numbers)]] = True
    return marked


def without(dataset: Dataset, chosen: Mapping[str, Sequence[int]]) -> Dataset:
    """The other episodes; the dataset itself where none are chosen. `UserError` as `mark_episodes`."""
    return dataset.take_episodes(np.flatnonzero(~mark_episodes(dataset, chosen))) if chosen else dataset
