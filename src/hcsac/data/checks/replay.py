"""Stored simulator states: do they belong to the observations, and follow from the actions?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hcsac.data.checks.findings import Check, Finding, make_finding
from hcsac.data.checks.offsets import OFFSETS, best, listed, shifted
from hcsac.data.checks.steps import Steps, choose
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.tasks import observe, relative_error, replay

# Relative errors. The first bounds the largest error of a state in nine of ten replayed steps: other builds of MuJoCo
# may cause it, a wrong action causes errors of order one. The second bounds the median error of one state: the largest
# in 204,000 correct steps was 2.7e-4 (contacts are chaotic), the smallest in 12,000 with a missing step 4.7e-3.
REPLAY_TOLERANCE, STEP_TOLERANCE = 1e-2, 1e-3
# Mean error of the positions, which dm_control puts first. In each of eight walker datasets (1,000 steps each), it was
# larger in at most 1 % of missing steps, and smaller in at most 1 % of jumps to the start of another episode.
_JUMP_ERROR = 0.26
_OBSERVATION_TOLERANCE = 1e-3
_SAMPLE = 200
_ROUNDINGS = 32  # states tried that round to a stored one; half of them or fewer led on in the steps that were seen
_MOST = 0.9  # share of states that must match the observations for them to be used


@dataclass(frozen=True)
class Simulated:
    """The checks made by replay, and what later checks use."""

    checks: list[Check]
    states_match: bool  # whether the simulator states belong to the observations
    replayed: tuple[Steps, np.ndarray] | None = None  # some steps, and the task's rewards for them, [n]


def simulate(episodes: Sequence[Episode], task_name: str, steps: int, seed: int) -> Simulated:
    """Compare sampled states with their observations, then replay at most `steps` steps."""
    sample = choose(episodes, min(_SAMPLE, steps), seed, reach=1)
    if not len(sample):
        return Simulated(
            [Check("simulator states", "no episode has the 3 steps that this needs.", skipped=True)], False
        )
    try:
        states, match = _states(sample, task_name)
        if not match:
            return Simulated([states], False)
        actions, offset = _actions(sample, task_name)
        if actions.findings:
            reward = replay(task_name, sample.take(lambda e: e.physics), sample.take(lambda e: e.action, offset))[1]
            fits = all(finding.kind == "actions-shifted" for finding in actions.findings)
            return Simulated([states, actions], True, (sample, reward) if fits else None)
        chosen = choose(episodes, steps, seed)
        consecutive, follows, reward = _consecutive(chosen, task_name)
        return Simulated([states, actions, consecutive], True, (chosen.at(follows), reward[follows]))
    except UserError as error:
        return Simulated(
            [Check("simulator states", "cannot be set.", (make_finding("simulator-state-mismatch", str(error)),))],
            False,
        )


def _states(sample: Steps, task_name: str) -> tuple[Check, bool]:
    """Whether the simulator states are those of the observations, and which columns differ although they are."""
    computed = observe(task_name, sample.take(lambda e: e.physics))
    size = sample.episodes[0].observation.shape[1]
    if computed.shape[1] != size:
        raise UserError(
            f"task {task_name!r} has {computed.shape[1]} observation columns, the data have {size}; "
            "was it logged under another task?"
        )
    errors = {k: relative_error(computed, sample.take(lambda e: e.observation, k)) for k in OFFSETS}
    # The median, so that single wrong columns do not hide that the others match.
    match = np.array([(np.median(errors[k], axis=1) <= _OBSERVATION_TOLERANCE).mean() for k in OFFSETS])
    message = f"{len(sample)} simulator states set; their observations match {listed(match, '.0%')}"
    offset = best(match)
    findings: tuple[Finding, ...] = ()
    if match.max() < _MOST:
        findings = (make_finding("simulator-state-mismatch", f"{message}, so that they cannot be used."),)
    elif offset:
        shift = "one row earlier" if offset > 0 else "one row later"
        findings = (make_finding("observations-shifted", f"{message}: the data have offset {offset:+d}.", shift=shift),)
    else:
        odd = _odd_columns(errors[0])
        if odd.size:
            odd = np.setdiff1d(odd, _right_sensors(sample, task_name))
        if odd.size:
            off = float(np.median(errors[0][:, odd[0]]))
            what = f"observation column {', '.join(map(str, odd))} differs from the simulator's"
            line = f"{what} (relative error {off:.1e}); the other columns do not."
            findings = (make_finding("observation-column-wrong", line),)
    numbers = {"matching": dict(zip(map(str, OFFSETS), match.tolist(), strict=True))}
    return Check("simulator states", f"{message}.", findings, numbers=numbers), bool(match.max() >= _MOST)


def _right_sensors(sample: Steps, task_name: str) -> np.ndarray:
    """The columns of sensors that tell of the step that led to the state, as of touch, and are right as far as known.

    Where the logged actions do not lead to the states, nothing is known of them.
    """
    before, action = sample.take(lambda e: e.physics, -1), sample.take(lambda e: e.action, -1)
    seen, _, arrived = replay(task_name, before, action)
    sensors = _odd_columns(relative_error(observe(task_name, arrived), seen))
    error = relative_error(arrived, sample.take(lambda e: e.physics))
    if np.quantile(error.max(axis=1), 0.9) > REPLAY_TOLERANCE:
        return sensors
    return np.setdiff1d(sensors, _odd_columns(relative_error(seen, sample.take(lambda e: e.observation))))


def _odd_columns(error: np.ndarray) -> np.ndarray:
    """The columns of relative errors [n, S] that are off in too many rows."""
    return np.flatnonzero((error > _OBSERVATION_TOLERANCE).mean(axis=0) > 1 - _MOST)


def _actions(sample: Steps, task_name: str) -> tuple[Check, int]:
    """The offset at which the actions lead from one simulator state to the next, from [3] errors."""
    name, state, arrived = "alignment of actions", sample.take(lambda e: e.physics), sample.take(lambda e: e.physics, 1)
    outcomes = [replay(task_name, state, sample.take(lambda e: e.action, k))[2] for k in OFFSETS]
    worst = [relative_error(outcome, arrived).max(axis=1) for outcome in outcomes]
    errors = np.array([float(np.quantile(each, 0.9)) for each in worst])
    message = f"{len(sample)} steps replayed in the simulator; error of the next state {listed(errors, '.1e')}"
    numbers = {"steps": len(sample), "errors": dict(zip(map(str, OFFSETS), errors.tolist(), strict=True))}
    offset = best(-errors)
    findings: tuple[Finding, ...] = ()
    if errors[OFFSETS.index(offset)] > REPLAY_TOLERANCE:
        findings = (make_finding("actions-do-not-fit", f"{message}: actions fit {task_name} at no offset."),)
    elif offset:
        findings = (shifted("action", offset, message),)
    return Check(name, f"{message}.", findings, numbers=numbers), offset


def _consecutive(steps: Steps, task_name: str) -> tuple[Check, np.ndarray, np.ndarray]:
    """Whether each state follows from the one before: the check, [n] bool, and the task's rewards [n]."""
    _, reward, arrived = replay(task_name, steps.take(lambda e: e.physics), steps.take(lambda e: e.action))
    off = relative_error(arrived, steps.take(lambda e: e.physics, 1))
    errors = np.median(off, axis=1)
    follows = errors <= STEP_TOLERANCE
    lost = np.flatnonzero(~follows)
    some, others = lost[:_SAMPLE], lost[_SAMPLE:]
    lost = np.append(some[~_rounding_explains(steps.at(some), task_name)], others)
    total = sum(len(episode) for episode in steps.episodes)
    how = "all" if len(steps) == total else f"{len(steps)} of"
    message = f"{how} {total} steps replayed; {len(lost)} do not lead to the next state."
    largest = float(errors[follows].max(initial=0))
    numbers = {"steps": len(steps), "broken": len(lost), "largest_good_error": largest}
    findings = _broken(steps.at(lost), off[lost], task_name) if lost.size else ()
    return Check("consecutive steps", message, findings, numbers=numbers), follows, np.asarray(reward, np.float64)


def _rounding_explains(odd: Steps, task_name: str) -> np.ndarray:
    """Whether a state that rounds to the stored one leads to the next, [n] bool: contacts may hang on so little."""
    explained, random = np.zeros(len(odd), bool), np.random.default_rng(0)
    for _ in range(_ROUNDINGS if len(odd) else 0):
        left = odd.at(~explained)
        if not len(left):
            break
        stored = left.take(lambda e: e.physics)
        before = stored + random.uniform(-0.5, 0.5, stored.shape) * np.spacing(np.abs(stored.astype(np.float32)))
        arrived = replay(task_name, before, left.take(lambda e: e.action))[2]
        error = np.median(relative_error(arrived, left.take(lambda e: e.physics, 1)), axis=1)
        explained[~explained] = error <= STEP_TOLERANCE
    return explained


def _broken(steps: Steps, off: np.ndarray, task_name: str) -> tuple[Finding, ...]:
    """Why these steps miss the next state by `off` [n, P]: a foreign state, a jump to another episode, a lost step."""
    some = steps.at(np.arange(min(len(steps), _SAMPLE)))
    foreign = np.zeros(len(some), bool)
    for offset in (0, 1):
        computed = observe(task_name, some.take(lambda e: e.physics, offset))
        error = relative_error(computed, some.take(lambda e: e.observation, offset))
        foreign |= np.median(error, axis=1) > _OBSERVATION_TOLERANCE
    jump = off[: len(some), : -(-off.shape[1] // 2)].mean(axis=1) > _JUMP_ERROR
    groups = (
        ("simulator-state-mismatch", foreign, "a simulator state is not the one of its observation, first in"),
        ("merged-episodes", ~foreign & jump, "the state changes more than any step can change it, first in"),
        ("missing-step", ~foreign & ~jump, "the action does not lead to the next state, first in"),
    )
    return tuple(
        make_finding(kind, f"{what} {some.where(int(np.argmax(group)))} ({int(group.sum())} such steps).")
        for kind, group, what in groups
        if group.any()
    )
