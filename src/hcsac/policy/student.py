"""The student: one network that imitates another policy at logged states and near them, by behavioural cloning.

What is imitated are actions, not what enters their tanh: the action of several actors is a mean of tanhs, and beyond
the tanh differences near the bounds would count most, where actions hardly differ.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hcsac.algorithms import DeterministicPolicy, make_algorithm, plugins_of, resolve, settings_of
from hcsac.algorithms.algorithm import generators
from hcsac.data import Dataset
from hcsac.errors import UserError
from hcsac.policy.state import PolicyState
from hcsac.settings import Settings, TaskInput
from hcsac.types import Batch, Spec

ALGORITHM = "bc"
HELD_OUT = 10  # one episode in so many, of each task
CHUNK = 8192  # states compared at once


class States(NamedTuple):
    """Logged states of all tasks."""

    train: np.ndarray  # [n, S]
    held_out: np.ndarray  # [m, S], of other episodes
    held_out_episodes: int


class Agreement(NamedTuple):
    """A student against its teacher at the held-out states, by task."""

    difference: np.ndarray  # [R, M], mean squared difference of actions, per dimension
    variance: np.ndarray  # [R, M], variance of the teacher's actions over the states, mean over dimensions


def student_settings(teacher: Settings, tasks: tuple[str, ...], changes: Mapping[str, Any]) -> Settings:
    """The settings of a student: the network of its teacher with one actor, unless `changes` say otherwise.

    The learning rate falls to 0 by a cosine, and the running mean of the weights acts.

    Raises:
        UserError: a value out of bounds.
    """
    embedding: str = teacher.embedding
    if len(tasks) > 1 and not isinstance(teacher, TaskInput):  # the task enters the teacher in a way of its own
        embedding = "onehot"
    same = ("hidden_size", "hidden_layers", "standardise_observations", "batch_size")
    chosen = {name: getattr(teacher, name) for name in same} | {
        "embedding": embedding, "actor_learning_rate": 1e-3, "actor_decay": "cosine", "policy_average": 0.999,
        "compile": "off",
    }  # fmt: skip
    return resolve(ALGORITHM, settings_of(ALGORITHM)().replace(chosen | dict(changes)), tasks)


def split(data: Dataset) -> States:
    """All observations; those of every tenth episode of each task, and of one at least, are held out.

    A task with a single episode keeps it.

    Raises:
        UserError: no task has two episodes.
    """
    starts = data.episode_start + np.arange(len(data.episode_start))  # an episode has one observation more than steps
    of_episode = data.task[data.episode_start[:-1]]
    held_out = np.zeros(len(of_episode), bool)
    for task in range(data.num_tasks):
        mine = np.flatnonzero(of_episode == task)
        if len(mine) > 1:
            held_out[mine[min(HELD_OUT // 2, len(mine) - 1) :: HELD_OUT]] = True
    if not held_out.any():
        raise UserError("the data have one episode of each task, of which none can be held out; give more with --data.")
    rows = np.repeat(held_out, np.diff(starts))
    return States(data.observations[~rows], data.observations[rows], int(held_out.sum()))


def fit(
    teacher: PolicyState, states: np.ndarray, settings: Settings, noise: float, advance: Callable[[int], None]
) -> PolicyState:
    """A student of each replica, trained on actions of its teacher: the same tasks and seeds, on the CPU.

    A minibatch has states [n, S] drawn uniformly, each for a task drawn uniformly, whatever task it was logged under:
    the teacher answers everywhere. Half of them are moved by Gaussian noise, as states near the logged ones.

    Args:
        settings: as `student_settings` gives them.
        noise: standard deviation of that noise, as a part of each observation's own standard deviation.
        advance: called after every update, with 1.
    """
    device = torch.device(settings.device)
    spec = Spec(teacher.observation_size, teacher.action_size, tuple(teacher.tasks))
    network = copy.deepcopy(teacher.network).to(device)
    student = make_algorithm(ALGORITHM, spec, settings, teacher.seeds, copy.deepcopy(network.scaling))
    logged = torch.as_tensor(states, device=device)
    spread = torch.as_tensor(noise * states.std(0, dtype=np.float64), dtype=torch.float32, device=device)
    random = generators(teacher.seeds, 2, device)
    B = settings.batch_size
    moved = (torch.arange(B, device=device) < B // 2).float()[:, None] * spread
    for _ in range(settings.updates or 0):
        drawn = [_draw(logged, moved, len(spec.tasks), generator) for generator in random]
        observation, task = (torch.stack(part) for part in zip(*drawn, strict=True))
        unused = torch.zeros(task.shape, device=device)
        student.advance(Batch(observation, network.inside(observation, task), unused, observation, unused, task))
        advance(1)
    policy = DeterministicPolicy(student.average, student.scaling).cpu()
    plugins = tuple(sorted(plugins_of(ALGORITHM, settings, spec.tasks)))
    return replace(
        teacher, algorithm=ALGORITHM, update=student.updates, settings=settings, network=policy, plugins=plugins,
        teacher=teacher.algorithm,
    )  # fmt: skip


def _draw(logged: Tensor, moved: Tensor, tasks: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """States [B, S], with noise of the standard deviations `moved` [B, S], and a task [B] for each."""
    device, B = logged.device, len(moved)
    row = torch.randint(len(logged), (B,), generator=generator, device=device)
    task = torch.randint(tasks, (B,), generator=generator, device=device)
    noise = torch.randn(moved.shape, generator=generator, device=device)
    return logged[row] + moved * noise, task


def agreement(teacher: PolicyState, student: PolicyState, states: np.ndarray) -> Agreement:
    """How far the student's actions are from the teacher's at states [n, S], for every replica and task."""
    R, M = len(teacher.seeds), len(teacher.tasks)
    n = len(states)
    difference = np.zeros((R, M))
    variance = np.zeros((R, M))
    for task in range(M):
        sums = torch.zeros(3, R, teacher.action_size, dtype=torch.float64)  # of d^2, a and a^2
        for part in torch.as_tensor(states).split(CHUNK):
            given = part.expand(R, -1, -1), torch.full((R, len(part)), task)
            wanted, action = teacher.network(*given).double(), student.network(*given).double()
            sums += torch.stack([(action - wanted).square().sum(1), wanted.sum(1), wanted.square().sum(1)])
        means = sums / n
        difference[:, task] = means[0].mean(-1)
        variance[:, task] = (means[2] - means[1].square()).mean(-1)
    return Agreement(difference, variance)
