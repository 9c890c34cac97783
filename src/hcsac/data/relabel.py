"""Logs of other tasks as data of a task for which nothing was logged: the same steps, paid by its own reward."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from hcsac.data.dataset import Dataset
from hcsac.data.episode import Episode
from hcsac.tasks import ends_of, get_task, rewards_of, says_ends
from hcsac.types import Parameter

WINDOW = 100  # successive steps whose mean reward says what the logs show of a task
HALF = 0.5  # of what is known to be possible; where the best window stays below it, the logs do not show the task


def relabelled(episodes: Iterable[Episode], task: str) -> Iterator[Episode]:
    """The episodes with the rewards of `task`, and with terminal states where its function says, if it has one.

    Raises:
        UserError: the rewards cannot be recomputed (see `rewards_of`), or the task's functions fail.
    """
    for episode in episodes:
        before, after, action = episode.observation[:-1], episode.observation[1:], episode.action
        physics = None if episode.physics is None else episode.physics[:-1]
        ends = ends_of(task, before, action, after) if says_ends(task) else episode.terminated
        yield replace(episode, reward=rewards_of(task, after, action, physics), terminated=ends)


def best_steps(dataset: Dataset) -> dict[str, float]:
    """Of every task that nothing was logged for, the highest mean reward of 100 successive steps of an episode."""
    return {task: best_window(dataset, dataset.task_names.index(task)) for task in dataset.new_tasks}


def notes_of_new_tasks(dataset: Dataset, best: Mapping[str, float]) -> list[str]:
    """`what_logs_show` of every new task; one sentence on all of them where they differ by a number alone.

    Args:
        best: what `best_steps` gave.
    """
    parameter = Parameter.of(dataset.new_tasks)
    if parameter is None:
        return [what_logs_show(dataset, task, best[task]) for task in dataset.new_tasks]
    of_value = {value: best[task] for value, task in zip(parameter.values, dataset.new_tasks, strict=True)}
    highest = get_task(dataset.new_tasks[0]).highest_reward
    steps = ", ".join(f"{value:g}: {reward:.2f}" for value, reward in of_value.items())
    count = len(dataset.rows_of(dataset.task_names.index(dataset.new_tasks[0])))
    text = (
        f"{parameter.name}: each of {len(best)} tasks has all {count:,} transitions with its own reward; the best "
        f"{WINDOW} successive steps earn, a step, {steps}."
    )
    unseen = [f"{value:g}" for value, reward in of_value.items() if hardly_shown(reward, highest)]
    if unseen:
        hardly = f"the logs hardly show {', '.join(unseen)}, where the policy is not to be trusted"
        text += f" {highest:.2f} is possible: {hardly}."
    return [text]


def hardly_shown(best: float, highest: float | None) -> bool:
    """Whether the best steps of the logs earn less than half of what a step can earn."""
    return highest is not None and best < HALF * highest


def what_logs_show(dataset: Dataset, task: str, best: float | None = None) -> str:
    """What the relabelled logs earn in a task, as a sentence; with a warning where they hardly show it.

    Args:
        best: what `best_window` gave, where it is known.
    """
    index, returns = dataset.task_names.index(task), dataset.episode_returns[task]
    best = best_window(dataset, index) if best is None else best
    text = (
        f"{task}: nothing was logged for it; all {len(dataset.rows_of(index)):,} transitions have its reward instead. "
        f"With that, episodes return {returns.min():.0f} to {returns.max():.0f} (mean {returns.mean():.0f}), and their "
        f"best {WINDOW} successive steps earn {best:.2f} a step."
    )
    highest = get_task(task).highest_reward
    if not hardly_shown(best, highest):
        return text
    return (
        f"{text} {highest:.2f} a step is possible: the logs hardly show this task, and a policy of them is not to be "
        "trusted with it; log episodes that come nearer."
    )


def best_window(dataset: Dataset, task: int) -> float:
    """The highest mean reward of 100 successive steps of an episode of the task (of all, where it is shorter)."""
    best = -np.inf
    for first, last in zip(dataset.episode_start[:-1], dataset.episode_start[1:], strict=True):
        if dataset.task[first] != task:
            continue
        total = np.concatenate([[0.0], np.cumsum(dataset.reward[first:last], dtype=np.float64)])
        steps = min(WINDOW, last - first)
        best = max(best, float((total[steps:] - total[:-steps]).max()) / steps)
    return best
