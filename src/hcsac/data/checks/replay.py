"""What the simulator says of stored physics states: do they belong to the observations, and follow from the actions?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hcsac.data.checks.findings import Finding, Look, found
from hcsac.data.checks.offsets import OFFSETS, best, listed, shifted
from hcsac.data.checks.steps import Steps, choose, relative_error
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.tasks import observe, replay

# Relative errors. Other builds of MuJoCo may cause the first in nine of ten replayed steps, at its worst number; a
# wrong action is off by whole units. The second is the median over the numbers of one state: 2.7e-4 was the largest
# in 204,000 good steps (contacts are chaotic), 4.7e-3 the smallest in 12,000 where a step is missing.
REPLAY_TOLERANCE, STEP_TOLERANCE = 1e-2, 1e-3
# The mean over the positions, which dm_control puts first. Of 1,000 steps of eight walker sets, at most 1 % with a step
# missing behind them were off by more, and at most 1 % of jumps to the beginning of another episode by less.
_JUMP_ERROR = 0.26
_SEEN_TOLERANCE = 1e-3
_SAMPLE = 200
_MOST = 0.9  # share of states that must match before they are believed


@dataclass(frozen=True)
class Simulated:
    """The looks, and what else follows from them."""

    looks: list[Look]
    believed: bool  # whether the physics states belong to the data
    replayed: tuple[Steps, np.ndarray] | None = None  # what the task pays for these steps, [n]


def simulate(episodes: Sequence[Episode], task_name: str, steps: int, seed: int) -> Simulated:
    """Compare sampled states with their observations, then replay at most `steps` steps."""
    sample = choose(episodes, min(_SAMPLE, steps), seed, reach=1)
    if not len(sample):
        return Simulated([Look("physics states", "no episode is long enough (3 steps) to tell.", skipped=True)], False)
    try:
        states, believed = _states(sample, task_name)
        if not believed:
            return Simulated([states], False)
        actions, offset = _actions(sample, task_name)
        if actions.findings:
            paid = replay(task_name, sample.take(lambda e: e.physics), sample.take(lambda e: e.action, offset))[1]
            fits = all(finding.kind == "actions shifted" for finding in actions.findings)
            return Simulated([states, actions], True, (sample, paid) if fits else None)
        chosen = choose(episodes, steps, seed)
        in_a_row, follows, paid = _in_a_row(chosen, task_name)
        return Simulated([states, actions, in_a_row], True, (chosen.at(follows), paid[follows]))
    except UserError as error:
        return Simulated(
            [Look("physics states", "cannot be set.", (found("physics of other steps", str(error)),))], False
        )


def _states(sample: Steps, task_name: str) -> tuple[Look, bool]:
    """Whether the physics states are those of the observations, and if so, which columns are computed otherwise."""
    seen = observe(task_name, sample.take(lambda e: e.physics))
    size = sample.episodes[0].observation.shape[1]
    if seen.shape[1] != size:
        raise UserError(
            f"task {task_name!r} observes {seen.shape[1]} numbers, the data hold {size}; "
            "was it logged under another task?"
        )
    errors = {k: relative_error(seen, sample.take(lambda e: e.observation, k)) for k in OFFSETS}
    # The median, so that single columns gone wrong do not hide that the rest is right.
    match = np.array([(np.median(errors[k], axis=1) <= _SEEN_TOLERANCE).mean() for k in OFFSETS])
    said = f"{len(sample)} physics states set in the simulator; their observations stand {listed(match, '.0%')}"
    offset = best(match)
    findings: tuple[Finding, ...] = ()
    if match.max() < _MOST:
        findings = (found("physics of other steps", f"{said}, so that they cannot be used."),)
    elif offset:
        rows = "one row earlier" if offset > 0 else "one row later"
        findings = (found("observations shifted", f"{said}: the data have offset {offset:+d}.", rows=rows),)
    else:
        odd = np.flatnonzero((errors[0] > _SEEN_TOLERANCE).mean(axis=0) > 1 - _MOST)
        if odd.size:
            off = float(np.median(errors[0][:, odd[0]]))
            what = f"observation column {', '.join(map(str, odd))} is not what the simulator shows"
            line = f"{what} (relative error {off:.1e}); the other columns are."
            findings = (found("observation column wrong", line),)
    numbers = {"matching": dict(zip(map(str, OFFSETS), match.tolist(), strict=True))}
    return Look("physics states", f"{said}.", findings, numbers=numbers), bool(match.max() >= _MOST)


def _actions(sample: Steps, task_name: str) -> tuple[Look, int]:
    """At which offset the actions lead from one physics state to the next, from [3] errors."""
    name, state, arrived = "alignment of actions", sample.take(lambda e: e.physics), sample.take(lambda e: e.physics, 1)
    outcomes = [replay(task_name, state, sample.take(lambda e: e.action, k))[2] for k in OFFSETS]
    worst = [relative_error(outcome, arrived).max(axis=1) for outcome in outcomes]
    errors = np.array([float(np.quantile(each, 0.9)) for each in worst])
    said = f"{len(sample)} steps replayed in the simulator; error of the next state {listed(errors, '.1e')}"
    numbers = {"steps": len(sample), "errors": dict(zip(map(str, OFFSETS), errors.tolist(), strict=True))}
    offset = best(-errors)
    findings: tuple[Finding, ...] = ()
    if errors[OFFSETS.index(offset)] > REPLAY_TOLERANCE:
        findings = (found("actions do not fit", f"{said}: actions fit {task_name} at no offset."),)
    elif offset:
        findings = (shifted("action", offset, said),)
    return Look(name, f"{said}.", findings, numbers=numbers), offset


def _in_a_row(steps: Steps, task_name: str) -> tuple[Look, np.ndarray, np.ndarray]:
    """Whether each state follows from the one before: the look, [n] bool, and the rewards [n] that the task pays."""
    _, paid, arrived = replay(task_name, steps.take(lambda e: e.physics), steps.take(lambda e: e.action))
    off = relative_error(arrived, steps.take(lambda e: e.physics, 1))
    errors = np.median(off, axis=1)
    follows = errors <= STEP_TOLERANCE
    total = sum(len(episode) for episode in steps.episodes)
    how = "all" if len(steps) == total else f"{len(steps)} of"
    said = f"{how} {total} steps replayed; {int((~follows).sum())} do not lead to the next state."
    largest = float(errors[follows].max(initial=0))
    numbers = {"steps": len(steps), "broken": int((~follows).sum()), "largest_good_error": largest}
    findings = () if follows.all() else _broken(steps.at(~follows), off[~follows], task_name)
    return Look("steps in a row", said, findings, numbers=numbers), follows, np.asarray(paid, np.float64)


def _broken(steps: Steps, off: np.ndarray, task_name: str) -> tuple[Finding, ...]:
    """Why these steps miss the next state by `off` [n, P]: foreign physics, a jump into another episode, a gap."""
    some = steps.at(np.arange(min(len(steps), _SAMPLE)))
    foreign = np.zeros(len(some), bool)
    for offset in (0, 1):
        seen = observe(task_name, some.take(lambda e: e.physics, offset))
        error = relative_error(seen, some.take(lambda e: e.observation, offset))
        foreign |= np.median(error, axis=1) > _SEEN_TOLERANCE
    jump = off[: len(some), : -(-off.shape[1] // 2)].mean(axis=1) > _JUMP_ERROR
    groups = (
        ("physics of other steps", foreign, "a physics state is not the one of its observation, first in"),
        ("joined episodes", ~foreign & jump, "the state jumps farther than any step leads, first in"),
        ("missing step", ~foreign & ~jump, "the action does not lead to the next state, first in"),
    )
    return tuple(
        found(kind, f"{what} {some.where(int(np.argmax(group)))} ({int(group.sum())} such steps).")
        for kind, group, what in groups
        if group.any()
    )
