"""Distillation: one small network of the policy of a run, and what that costs in return and saves in time."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hcsac.data import Dataset, load
from hcsac.errors import UserError
from hcsac.evaluation import paired_difference
from hcsac.files import DISTILLED
from hcsac.policy.cost import networks, paired_returns, parameters, seconds_per_action
from hcsac.policy.export import Exported, require_replaceable, write_bundle
from hcsac.policy.logged import logged_data
from hcsac.policy.metadata import describe_returns, describe_tasks, make_metadata
from hcsac.policy.state import PolicyState
from hcsac.policy.student import Agreement, agreement, fit, split, student_settings
from hcsac.tasks import has_simulator
from hcsac.training import Progress, RunDirectory


@dataclass(frozen=True)
class Distilled:
    """A distilled policy, where it is, and what it was measured to be."""

    exported: Exported
    metadata: dict[str, Any]  # as in `policy.json`; its entry `distilled` has the comparison with the teacher


def distil_policy(
    run: str | Path,
    output: str | Path | None = None,
    data: Dataset | Sequence[str] | None = None,
    hidden_size: int | None = None,
    hidden_layers: int | None = None,
    updates: int = 20_000,
    noise: float = 0.1,
    episodes: int = 20,
    progress: bool = True,
) -> Distilled:
    """Train one network to act as the policy of `run` at its last checkpoint, and write it as a bundle.

    Each seed of the run gets a network of its own. It is trained by behavioural cloning on actions of the run's policy,
    at logged states and at states near them, each for every task (policy distillation: Rusu et al. 2016, arXiv
    1511.06295).

    Args:
        output: directory of the bundle; None for `distilled` in the directory of the run. An unchanged bundle that was
            distilled from the same run is replaced.
        data: a Dataset, or names of datasets to load; None for those of the run. Only their observations are used.
        hidden_size: units in each hidden layer; None for those of the run.
        hidden_layers: their number; None for that of the run.
        updates: length of the training.
        noise: standard deviation of the noise that half of the states get, as a part of each observation's own.
        episodes: of each seed and task, in which both policies are evaluated from the same initial states. Where a task
            has no simulator they are not.
        progress: show progress on stderr.

    Raises:
        UserError: there is no run or checkpoint, its data are not found, a value is out of bounds, a task is not
            registered, `output` contains something else, or the actions of the ONNX file differ from PyTorch's. Nothing
            is written then.
    """
    directory = RunDirectory(run)
    teacher = PolicyState.of_run(directory)
    place = Path(os.path.realpath(directory.path / DISTILLED if output is None else output))
    require_replaceable(place, directory, distilled=True)
    describe_tasks(teacher.tasks)  # an unknown task is found before the training, not after it
    if not (math.isfinite(noise) and noise >= 0):
        raise UserError(f"noise = {noise} is out of bounds; choose 0 or more.")
    if episodes < 1:
        raise UserError(f"episodes = {episodes} is out of bounds; choose 1 or more.")
    given = {"updates": updates, "hidden_size": hidden_size, "hidden_layers": hidden_layers}
    changes = {name: value for name, value in given.items() if value is not None}
    settings = student_settings(teacher.settings, tuple(teacher.tasks), changes)
    dataset = data if isinstance(data, Dataset) else _load(directory.path, data)
    if dataset.observation_size != teacher.observation_size:
        raise UserError(
            f"observation size is {dataset.observation_size} in the data, but {teacher.observation_size} in the policy "
            f"of {directory.path}; give data of its robot."
        )
    states = split(dataset)

    with closing(Progress(updates, label="distil", enabled=progress)) as bar:
        student = fit(teacher, states.train, settings, noise, bar.advance)
        bar.pause("comparing")
        agreed = agreement(teacher, student, states.held_out)
        evaluated = all(map(has_simulator, teacher.tasks))
        returns = paired_returns([teacher, student], episodes) if evaluated else None
        seconds = seconds_per_action([teacher, student])

    of_student = {} if returns is None else {task: returns[1][:, m] for m, task in enumerate(teacher.tasks)}
    metadata = make_metadata(directory, student) | {
        "evaluation": describe_returns(student.update, student.seeds, of_student),
        "distilled": {
            "teacher": {"agent": teacher.algorithm, "update": teacher.update, "settings": teacher.settings.as_dict()},
            "data": {"names": list(dataset.refs), "rows": len(dataset), "fingerprint": dataset.fingerprint()},
            "noise": noise,
            "held_out": {"episodes": states.held_out_episodes, "tasks": _describe_agreement(agreed, teacher.tasks)},
            "networks": _both(networks(teacher), networks(student)),
            "parameters": _both(parameters(teacher), parameters(student)),
            "seconds_per_action": _both(*seconds),
            "returns": None if returns is None else _describe_difference(returns, teacher.tasks),
        },
    }
    return Distilled(write_bundle(place, directory, student, metadata), metadata)


def _load(path: Path, refs: Sequence[str] | None) -> Dataset:
    """The datasets that were given, else what the run was trained on."""
    return load(list(refs)) if refs else logged_data(path).trained


def _both(teacher: Any, student: Any) -> dict[str, Any]:
    return {"teacher": teacher, "student": student}


def _describe_agreement(agreed: Agreement, tasks: Sequence[str]) -> dict[str, Any]:
    """Means over seeds, by task."""
    means = [values.mean(0).tolist() for values in agreed]
    return {task: {"difference": d, "variance": v} for task, d, v in zip(tasks, *means, strict=True)}


def _describe_difference(returns: Sequence[np.ndarray], tasks: Sequence[str]) -> dict[str, Any]:
    """Mean and lowest return of both, and the paired difference, from returns [R, M, episodes] of teacher, student."""
    described = {}
    for m, task in enumerate(tasks):
        pair = [values[:, m] for values in returns]
        sides = [{"mean": float(values.mean()), "min": float(values.min())} for values in pair]
        difference = paired_difference(pair[1], pair[0], same_seeds=True)._asdict()
        described[task] = _both(*sides) | {"difference": difference}
    return described
