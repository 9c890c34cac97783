"""Judging a policy by logged episodes alone, where there is no simulator: its actions, and what it may be worth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hcsac.algorithms.one_step import OneStepSettings
from hcsac.data.dataset import Dataset
from hcsac.evaluation import Estimate, action_noise, paired_difference, verdict
from hcsac.policy.fitted_q import FirstStateValues, FittedQSettings, first_state_values
from hcsac.policy.logged import logged_data
from hcsac.policy.policy import Policy, load_with_tasks

NOTES = """\
policy: error of its actions, mean over seeds and dimensions. noise: the part of it that no deterministic policy can
avoid, rather too high than too low. constant: the error of always taking the mean action.
logged: of these episodes. by SARSA: what critics of the logged behaviour say of them.
narrow logs: estimated above them, but no episode shows what fails, so that this is not to be believed.
Fitted Q evaluation is no measurement. For 96 policies on 12 sets of logs of 3 bodies, the mean rank correlation of its
estimates with returns in the simulator was 0.05 (mixed logs 0.21, those of final policies -0.12; from -0.79 to 0.86);
"above" was right in 42 of 48 cases, "below" in 11 of 19."""
NARROW = OneStepSettings.narrow_spread  # spread of values below which logs count as narrow
_BLOCK = 8192  # states whose actions are computed at once


class OfflineTask(NamedTuple):
    """A policy of R seeds in one task, on n logged episodes. Actions are in the scale of [-1, 1]."""

    task: str
    episodes: int  # n
    steps: int
    error: np.ndarray  # [R, A], mean squared error of its actions against the logged ones
    noise: float  # what no deterministic policy can avoid of it, the mean over dimensions (`action_noise`)
    variance: float  # the error of always taking the mean logged action, the mean over dimensions
    value: Estimate  # discounted return from the first states, by fitted Q evaluation
    logged: float  # that of the logged episodes
    behaviour: float  # what critics of the logged behaviour say of it (SARSA): they err at least by the difference
    difference: Estimate  # value minus logged
    spread: float  # of the values of logged actions, as a part of their mean size

    @property
    def verdict(self) -> str:
        """See `compared`."""
        return compared(self.difference, self.spread)

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON; NaN is null."""
        numbers = {**self._asdict(), "error": self.error.tolist(), "verdict": self.verdict}
        numbers |= {name: getattr(self, name)._asdict() for name in ("value", "difference")}
        return {
            name: None if isinstance(value, float) and np.isnan(value) else value for name, value in numbers.items()
        }


class OfflineEvaluation(NamedTuple):
    """What is known of a policy without a simulator."""

    unseen: bool  # whether the episodes are some that it was not trained on; else they are all that it was trained on
    tasks: tuple[OfflineTask, ...]


def evaluate_offline(
    path: str | Path, data: Sequence[str] = (), settings: FittedQSettings | None = None, progress: bool = True
) -> OfflineEvaluation:
    """Judge the policy of the run or bundle at `path` by logged episodes that it was not trained on.

    These are the ones that its run held out (setting `held_out`); where it held out none, all that it was trained on.
    The critics of fitted Q evaluation are fitted to all episodes, and evaluated at the first states of these.

    Args:
        data: names of datasets to take instead of its own.

    Raises:
        UserError: as `load_policy` and `logged_data`, or the data are of another robot.
    """
    policy = load_with_tasks(path)
    logged = logged_data(Path(path), data)
    dataset = logged.dataset
    value = first_state_values([policy], dataset, settings, progress)
    chosen = logged.unseen if logged.unseen.any() else ~logged.unseen
    of_episode = dataset.task[dataset.episode_start[:-1]]
    return OfflineEvaluation(
        bool(logged.unseen.any()),
        tuple(
            _judged(policy, dataset, np.flatnonzero(chosen & (of_episode == m)), value)
            for m in range(dataset.num_tasks)
        ),
    )


def _judged(policy: Policy, dataset: Dataset, episodes: np.ndarray, value: FirstStateValues) -> OfflineTask:
    """On these episodes [n] of one task."""
    start = dataset.episode_start
    rows = np.concatenate([np.arange(start[e], start[e + 1]) for e in episodes])
    of_row = np.repeat(episodes, np.diff(start)[episodes])
    left = residuals(policy, dataset, rows)
    noise = action_noise(dataset.observations[dataset.start_index[rows]], left, of_row)
    estimates, logged = value.policies[..., episodes], value.logged[episodes]
    return OfflineTask(
        task=dataset.task_names[dataset.task[rows[0]]],
        episodes=len(episodes),
        steps=len(rows),
        error=np.square(left).mean(1, dtype=np.float64),
        noise=float(noise.min()),  # each is too high rather than too low
        variance=float(dataset.action[rows].var(0, dtype=np.float64).mean()),
        value=improvement_on(estimates, np.zeros_like(logged)),
        logged=float(logged.mean()),
        behaviour=float(value.behaviour[:, episodes].mean()),
        difference=improvement_on(estimates, logged),
        spread=float(value.spread[dataset.task[rows[0]]]),
    )


def residuals(policy: Policy, dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Logged actions minus those of the policy in these rows [n], in the scale of [-1, 1]: [R, n, A] float32."""
    R = len(policy.seeds)
    left = np.empty((R, len(rows), dataset.action_size), np.float32)
    for first in range(0, len(rows), _BLOCK):
        block = slice(first, first + _BLOCK)
        state, task = dataset.observations[dataset.start_index[rows[block]]], dataset.task[rows[block]]
        action = policy.act_all(np.broadcast_to(state, (R, *state.shape)), np.broadcast_to(task, (R, *task.shape)))
        left[:, block] = dataset.action[rows[block]] - dataset.action_bounds.inside(action)
    return left


def improvement_on(value: np.ndarray, logged: np.ndarray) -> Estimate:
    """Mean of values [R, critics, n] minus that of returns [n], and its 95 % interval.

    Every critic of every seed is a replica; replicas and first states are drawn with replacement, independently of each
    other (`paired_difference`). The interval does not cover what all critics have in common: where no data show what
    the policy does, all are wrong.
    """
    return paired_difference(value.reshape(-1, value.shape[-1]), logged[None], same_seeds=False)


def compared(difference: Estimate, spread: float) -> str:
    """`above` or `below` the logged episodes, or `not told apart`; `narrow logs` where above is not to be believed.

    On narrow logs the values of logged actions hardly differ (spread): no episode shows what fails.
    """
    found = verdict(difference, above="above")
    return "narrow logs" if found == "above" and spread < NARROW else found


def offline_table(evaluation: OfflineEvaluation) -> str:
    """The numbers as text, and what they mean."""
    which = "held-out episodes" if evaluation.unseen else "episodes that were all trained on"
    width = max(20, *(len(one.task) for one in evaluation.tasks))
    lines = [
        f"actions on {which}: mean squared error in the scale of [-1, 1]",
        f"{'task':{width}} {'episodes':>8} {'steps':>8} {'policy':>8} {'noise':>8} {'constant':>8}",
    ]
    for one in evaluation.tasks:
        noise = "-" if np.isnan(one.noise) else f"{one.noise:.4f}"
        lines.append(
            f"{one.task:{width}} {one.episodes:8} {one.steps:8} {one.error.mean():8.4f} {noise:>8} {one.variance:8.4f}"
        )
    lines += [
        "",
        "discounted returns from the first states of these episodes, estimated by fitted Q evaluation: 95 % intervals",
        f"{'task':{width}} {'estimate':>8} {'':20} {'logged':>8} {'by SARSA':>8} {'difference':>10} {'':20} verdict",
    ]
    for one in evaluation.tasks:
        lines.append(
            f"{one.task:{width}} {one.value.value:8.2f} {_interval(one.value):20} {one.logged:8.2f} "
            f"{one.behaviour:8.2f} {one.difference.value:+10.2f} {_interval(one.difference):20} {one.verdict}"
        )
    lines += ["", NOTES]
    if not evaluation.unseen:
        lines.append(
            "Nothing was held out: errors and estimates are those of training, and look better than they are. Train "
            "with --held-out 0.1, or name other data with --data."
        )
    return "\n".join(lines)


def _interval(estimate: Estimate) -> str:
    return f"[{estimate.low:.2f}, {estimate.high:.2f}]"
