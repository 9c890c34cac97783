"""Do the rewards belong to the declared task? Compared exactly, where its rewards can be computed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hcsac.data.checks.findings import Check, Finding, make_finding
from hcsac.data.checks.offsets import OFFSETS, best, listed, shifted
from hcsac.data.checks.pieces import pieces
from hcsac.data.checks.steps import Steps, choose
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.tasks import get_task, rewards_of, suite_body, task_names

NAME = "alignment of rewards"
TOLERANCE = 1e-3  # absolute, and relative to the reward; other builds of a simulator may differ so much
_FEW = 0.02  # up to this share of steps with another reward, no scale or noise is fitted
_NUDGES = 16  # other roundings of an observation that are tried where its reward differs
_TRIED = 200  # steps on which the rewards of other tasks are tried
_RELATED = 0.5  # from this correlation on, the rewards are the task's own plus noise


def rewards_under(
    task_name: str, next_observation: np.ndarray, action: np.ndarray, physics: np.ndarray | None
) -> np.ndarray | None:
    """The rewards [n] of a task for n transitions; None where they cannot be computed.

    next_observation [n, S], action [n, A], physics [n, P]: the simulator state before each step.
    """
    try:
        return rewards_of(task_name, next_observation, action, physics).astype(np.float64)
    except UserError:
        return None


@dataclass(frozen=True)
class Score:
    """The mean return of a dataset's episodes under the reward of a task, and how it was computed."""

    mean_return: float
    standard_error: float  # of the sampling of steps; 0 where all were used
    steps: int
    total: int


def score_under(task_name: str, episodes: Sequence[Episode], steps: int, seed: int = 0) -> Score | None:
    """The mean return of episodes under a task's reward, or None where that cannot be computed.

    It is the mean reward of at most `steps` sampled steps times the mean length of an episode.
    """
    total = sum(len(episode) for episode in episodes)
    if get_task(task_name).reward is not None:
        return _score_of_all(task_name, episodes, total)
    chosen = choose(episodes, steps, seed)
    stored = all(episode.physics is not None for episode in episodes)
    reward = rewards_under(
        task_name,
        chosen.take(lambda e: e.observation, 1),
        chosen.take(lambda e: e.action),
        chosen.take(lambda e: e.physics) if stored else None,
    )
    if reward is None:
        return None
    length = total / len(episodes)
    error = 0.0 if len(reward) == total else length * float(np.std(reward)) / np.sqrt(len(reward))
    return Score(float(np.mean(reward)) * length, error, len(reward), total)


def _score_of_all(task_name: str, episodes: Sequence[Episode], total: int) -> Score | None:
    """By the task's own reward function: of every step, some rows at a time."""
    paid = 0.0
    steps = zip(
        pieces(episodes, lambda e: e.observation[1:]),
        pieces(episodes, lambda e: e.action),
        strict=True,
    )
    for next_observation, action in steps:
        reward = rewards_under(task_name, next_observation, action, None)
        if reward is None:
            return None
        paid += float(reward.sum())
    return Score(paid / len(episodes), 0.0, total, total)


def check_rewards(steps: Steps, expected: np.ndarray, task_name: str, how: str) -> Check:
    """Compare the rewards stored at `steps` with the task's own, `expected` [n]; `how` says how these were computed."""
    errors = np.array([_typical(*_pair(steps, expected, offset)) for offset in OFFSETS])
    message = f"{how}; error of the reward {listed(errors, '.1e')}"
    stored = steps.take(lambda e: e.reward).astype(np.float64)
    off = ~_equal(stored, expected)
    if 0 < off.mean() <= _FEW:
        off[off] = ~_at_a_jump(steps.at(off), stored[off], task_name)
    numbers = {
        "steps": len(steps),
        "errors": dict(zip(map(str, OFFSETS), errors.tolist(), strict=True)),
        "differing_steps": int(off.sum()),
    }
    findings: tuple[Finding, ...] = ()
    offset = best(-errors)
    if offset and errors[OFFSETS.index(offset)] <= TOLERANCE:
        findings = (shifted("reward", offset, message),)
    elif off.any():
        findings = (_explain(steps, stored, expected, off, task_name),)
    return Check(NAME, f"{message}; {int(off.sum())} of {len(steps)} differ.", findings, numbers=numbers)


def _pair(steps: Steps, expected: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(episode) for episode in steps.episodes])[steps.episode]
    inside = (steps.step >= 1) & (steps.step < lengths - 1)
    return steps.at(inside).take(lambda e: e.reward, offset).astype(np.float64), expected[inside]


def _typical(stored: np.ndarray, expected: np.ndarray) -> float:
    """The 0.9 quantile of the absolute errors."""
    return float(np.quantile(np.abs(stored - expected), 0.9))


def _equal(stored: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(stored - expected) <= TOLERANCE * (1 + np.abs(expected)))


def _at_a_jump(steps: Steps, stored: np.ndarray, task_name: str) -> np.ndarray:
    """Whether the stored rewards [n] are the task's within the rounding of the observation: some rewards jump there."""
    if get_task(task_name).reward is None:
        return np.zeros(len(steps), bool)
    observation, action = steps.take(lambda e: e.observation, 1), steps.take(lambda e: e.action)
    random, near = np.random.default_rng(0), np.zeros(len(steps), bool)
    for _ in range(_NUDGES):
        nudge = 2 * np.finfo(np.float32).eps * random.choice([-1, 1], observation.shape)
        near |= _equal(stored, rewards_of(task_name, (observation * (1 + nudge)).astype(np.float32), action))
    return near


def _explain(steps: Steps, stored: np.ndarray, expected: np.ndarray, off: np.ndarray, task_name: str) -> Finding:
    """Why these rewards differ: another task's, scaled, noisy, or unknown."""
    first = int(np.argmax(off))
    what = f"{off.mean():.1%} of {len(steps)} steps have another reward than {task_name}, first {steps.where(first)}: "
    what += f"{stored[first]:.6g} is stored, {expected[first]:.6g} is right"
    if (other := _another_task(steps.at(off), task_name)) is not None:
        return make_finding("rewards-of-another-task", f"{what}; they are the rewards of {other}.", task=other)
    if off.mean() > _FEW and np.ptp(expected) > 0:
        slope, offset = np.polyfit(expected, stored, 1)
        if np.quantile(np.abs(slope * expected + offset - stored), 0.9) <= TOLERANCE * (1 + abs(slope)):
            line = f"{what}; all are {slope:.6g} times the right one plus {offset:.6g}."
            return make_finding("rewards-scaled", line, scale=slope, offset=offset)
        if np.ptp(stored) > 0 and (related := float(np.corrcoef(expected, stored)[0, 1])) > _RELATED:
            noise = f"the two are correlated ({related:.3f}), with a difference of std {np.std(stored - expected):.3g}"
            return make_finding("rewards-noisy", f"{what}; {noise}.")
    return make_finding("rewards-do-not-fit", f"{what}; no shift, scale or other task explains them.")


def _another_task(steps: Steps, task_name: str) -> str | None:
    """The registered task whose rewards are stored at nine in ten of `steps`, if there is one."""
    tried = steps.at(np.linspace(0, len(steps) - 1, min(_TRIED, len(steps))).astype(int))
    stored = tried.take(lambda e: e.reward).astype(np.float64)
    physics = tried.take(lambda e: e.physics) if all(e.physics is not None for e in steps.episodes) else None
    for other in task_names():
        simulated = get_task(other).reward is None  # which takes long: of the suite, only tasks of the same body
        if other == task_name or (simulated and suite_body(other) not in (None, suite_body(task_name))):
            continue
        reward = rewards_under(other, tried.take(lambda e: e.observation, 1), tried.take(lambda e: e.action), physics)
        if reward is not None and _equal(stored, reward).mean() >= 0.9 and np.ptp(reward) > 0:
            return other
    return None
