"""Do the rewards belong to the declared task? Exactly, where the task can say what it pays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hcsac.data.checks.findings import Finding, Look, found
from hcsac.data.checks.offsets import OFFSETS, best, listed, shifted
from hcsac.data.checks.steps import Steps, choose
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.tasks import get_task, rewards_of, task_names

NAME = "alignment of rewards"
TOLERANCE = 1e-3  # absolute, and relative to the reward: what other builds of a simulator may cause
_FEW = 0.02  # share of steps that pay otherwise, below which they are named one by one
_TRIED = 200  # steps on which other tasks are tried
_RELATED = 0.5  # correlation from which on the rewards are the task's own with something added


def paid_under(
    task_name: str, next_observation: np.ndarray, action: np.ndarray, physics: np.ndarray | None
) -> np.ndarray | None:
    """What a task pays for n transitions, [n]; None where it cannot be told.

    next_observation [n, S], action [n, A], physics [n, P] at the states left.
    """
    try:
        return rewards_of(task_name, next_observation, action, physics).astype(np.float64)
    except UserError:
        return None


@dataclass(frozen=True)
class Score:
    """What the episodes of a dataset return under a task, and how it was computed."""

    mean_return: float
    standard_error: float  # of the sampling of steps; 0 where all were used
    steps: int
    total: int


def score_under(task_name: str, episodes: Sequence[Episode], steps: int, seed: int = 0) -> Score | None:
    """The mean return of episodes under a task's own reward, from at most `steps` sampled steps; None if it cannot be
    told. The mean of all steps is taken, then times the mean length."""
    total = sum(len(episode) for episode in episodes)
    chosen = choose(episodes, steps if get_task(task_name).reward is None else total, seed)
    stored = all(episode.physics is not None for episode in episodes)
    paid = paid_under(
        task_name,
        chosen.take(lambda e: e.observation, 1),
        chosen.take(lambda e: e.action),
        chosen.take(lambda e: e.physics) if stored else None,
    )
    if paid is None:
        return None
    length = total / len(episodes)
    error = 0.0 if len(paid) == total else length * float(np.std(paid)) / np.sqrt(len(paid))
    return Score(float(np.mean(paid, dtype=np.float64)) * length, error, len(paid), total)


def judge(steps: Steps, paid: np.ndarray, task_name: str, how: str) -> Look:
    """Compare the rewards stored at `steps` with what the task pays for them, `paid` [n]; `how` that is known."""
    errors = np.array([_typical(*_pair(steps, paid, offset)) for offset in OFFSETS])
    said = f"{how}; error of the reward {listed(errors, '.1e')}"
    stored = steps.take(lambda e: e.reward).astype(np.float64)
    off = ~_equal(stored, paid)
    numbers = {"steps": len(steps), "errors": dict(zip(map(str, OFFSETS), errors.tolist(), strict=True)),
               "differing_steps": int(off.sum())}  # fmt: skip
    findings: tuple[Finding, ...] = ()
    offset = best(-errors)
    if offset and errors[OFFSETS.index(offset)] <= TOLERANCE:
        findings = (shifted("reward", offset, said),)
    elif off.any():
        findings = (_named(steps, stored, paid, off, task_name),)
    return Look(NAME, f"{said}; {int(off.sum())} of {len(steps)} differ.", findings, numbers=numbers)


def _pair(steps: Steps, paid: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(episode) for episode in steps.episodes])[steps.episode]
    inside = (steps.step >= 1) & (steps.step < lengths - 1)
    return steps.at(inside).take(lambda e: e.reward, offset).astype(np.float64), paid[inside]


def _typical(stored: np.ndarray, paid: np.ndarray) -> float:
    """What nine in ten errors stay under."""
    return float(np.quantile(np.abs(stored - paid), 0.9))


def _equal(stored: np.ndarray, paid: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(stored - paid) <= TOLERANCE * (1 + np.abs(paid)))


def _named(steps: Steps, stored: np.ndarray, paid: np.ndarray, off: np.ndarray, task_name: str) -> Finding:
    """Which kind of other rewards these are."""
    first = int(np.argmax(off))
    what = f"{off.mean():.1%} of {len(steps)} steps pay otherwise than {task_name}, first {steps.where(first)}: "
    what += f"{stored[first]:.6g} is stored, {paid[first]:.6g} is right"
    if (other := _another_task(steps.at(off), task_name)) is not None:
        return found("rewards of another task", f"{what}; they are what {other} pays.", task=other)
    if off.mean() > _FEW and np.ptp(paid) > 0:
        slope, offset = np.polyfit(paid, stored, 1)
        if np.quantile(np.abs(slope * paid + offset - stored), 0.9) <= TOLERANCE * (1 + abs(slope)):
            line = f"{what}; all are {slope:.6g} times the right one plus {offset:.6g}."
            return found("rewards scaled", line, scale=slope, offset=offset)
        if np.ptp(stored) > 0 and (related := float(np.corrcoef(paid, stored)[0, 1])) > _RELATED:
            noise = (
                f"{what}; the two are correlated ({related:.3f}), with a difference of std {np.std(stored - paid):.3g}."
            )
            return found("rewards noisy", noise)
    return found("rewards do not fit", f"{what}; no shift, scale or other task explains them.")


def _another_task(steps: Steps, task_name: str) -> str | None:
    """The registered task whose rewards stand at nine in ten of `steps`, if there is one."""
    tried = steps.at(np.linspace(0, len(steps) - 1, min(_TRIED, len(steps))).astype(int))
    stored = tried.take(lambda e: e.reward).astype(np.float64)
    physics = tried.take(lambda e: e.physics) if all(e.physics is not None for e in steps.episodes) else None
    for other in task_names():
        if other == task_name:
            continue
        paid = paid_under(other, tried.take(lambda e: e.observation, 1), tried.take(lambda e: e.action), physics)
        if paid is not None and _equal(stored, paid).mean() >= 0.9 and np.ptp(paid) > 0:
            return other
    return None
