"""Whether actions and rewards are in the rows of their steps, judged from the logged values alone.

An action is chosen at one state and leads to the next: in correct logs these two tell most about it, in logs that are a
row off the two before or after them. But correct logs may look so, too: an actuator that lags makes an action tell most
about the states after the next, and a controller without noise makes its action a function of the state, which tells no
order. An offset is reported only where it explains what no correct log of these kinds would show, and then as a
warning: without a simulator there is no proof. docs/data-check.md has the measured rates of false and missed reports.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hcsac.data.checks.findings import Check
from hcsac.data.checks.offsets import OFFSETS, listed, perhaps_shifted
from hcsac.data.checks.predictors import LEAST_ROWS, Rows, losses, p_of, scaled, t_of
from hcsac.data.episode import Episode

# Chosen on other logs than those whose rates are in docs/data-check.md (losses are in nats).
_GAIN = {"action": 0.08, "reward": 0.5}  # by which the neighbours of an offset must tell more than those of offset 0
_T = 5.0  # least t statistic of that
_REST = 0.2  # share of a gain that what would be left to explain may have, at most
_ALONE = {"action": {-1: 0.03, +1: -0.15}, "reward": {-1: 0.1, +1: 0.1}}  # least mean of `Evidence.alone`
_NOTHING, _SURE, _SURE_SHARE = 0.02, 1.0, 0.5  # a cause that tells less, or more, than this is taken as none, or as all


@dataclass(frozen=True)
class Evidence:
    """What speaks for one offset against offset 0; losses [CHUNKS] of the values of a row, told by some neighbours."""

    gain: np.ndarray  # how much more the offset's own neighbours tell than those of offset 0
    alone: np.ndarray  # how much more the first cause tells by itself than that of offset 0
    known: np.ndarray  # how much it tells at all
    beside: np.ndarray  # how much those of offset 0, or the state before, tell beside the offset's own
    centre: np.ndarray  # how much the offset's own neighbours tell beside the one that both have
    other: np.ndarray  # how much those of offset 0 tell beside it

    def holds(self, least_gain: float, least_alone: float) -> bool:
        """Whether no correct log that is considered would look so."""
        gain, centre, alone, known = (x.mean() for x in (self.gain, self.centre, self.alone, self.known))
        if gain < least_gain or centre < least_gain or t_of(self.gain) < _T:
            return False
        if abs(self.beside.mean()) > _REST * gain or abs(self.other.mean()) > _REST * centre:
            return False  # a large loss: there are too few rows for so many numbers
        if least_alone < 0 and known < _NOTHING:
            return True  # random actions: what comes before them is neither better nor worse a cause
        # Where hardly anything is left to tell, losses compare how well predictors approximate a function.
        sure = alone > max(least_alone, _SURE_SHARE * (known - _SURE))
        return bool(sure and (least_alone < 0 or t_of(self.alone) > _T))


def check_actions(episodes: Sequence[Episode]) -> Check:
    """The alignment of actions."""
    return _check("action", action_evidence(episodes))


def check_rewards(episodes: Sequence[Episode]) -> Check:
    """The alignment of rewards."""
    return _check("reward", reward_evidence(episodes))


def action_evidence(episodes: Sequence[Episode]) -> dict[int, Evidence] | None:
    """The evidence of each offset but 0, from predictions of the action of a row; None with too few steps."""
    rows = Rows(episodes, reach=2)
    if len(rows) < LEAST_ROWS or not (target := scaled(rows.take(lambda e: e.action))).size:
        return None
    state = {k: rows.take(lambda e: e.observation, k) for k in (-2, -1, 0, 1, 2)}
    windows = ((), (-1,), (0,), (1,), (-1, 0), (0, 1), (1, 2), (-2, -1, 0), (-1, 0, 1), (0, 1, 2))
    told = {of: losses([state[k] for k in of], target) for of in windows}

    def evidence(cause: int, shared: int, own: tuple[int, int], more: Sequence[tuple[int, int, int]]) -> Evidence:
        return Evidence(
            gain=told[0, 1] - told[own],
            alone=told[(0,)] - told[(cause,)],
            known=told[()] - told[(cause,)],
            beside=max((told[own] - told[with_one] for with_one in more), key=lambda gain: abs(gain.mean())),
            centre=told[(shared,)] - told[own],
            other=told[(shared,)] - told[0, 1],
        )

    return {
        +1: evidence(-1, 0, (-1, 0), [(-1, 0, 1), (-2, -1, 0)]),
        -1: evidence(1, 1, (1, 2), [(0, 1, 2)]),
    }


def reward_evidence(episodes: Sequence[Episode]) -> dict[int, Evidence] | None:
    """The same for the reward of a row.

    It may be that of the state that is left and the action, or of the state that is reached: both are correct.
    """
    rows = Rows(episodes, reach=2)
    if len(rows) < LEAST_ROWS or not (target := scaled(rows.take(lambda e: e.reward))).size:
        return None
    state = {k: rows.take(lambda e: e.observation, k) for k in (-1, 0, 1, 2)}
    left = {k: np.concatenate([state[k], rows.take(lambda e: e.action, k)], axis=1) for k in (-1, 0, 1)}
    of_left = {k: losses([left[k]], target) for k in left}
    of_reached = {k: losses([state[k]], target) for k in (0, 1, 2)}
    step = {k: losses([left[k], state[k + 1]], target) for k in (-1, 0, 1)}
    nothing, cause = losses((), target), _least(of_left[0], of_reached[1])

    def evidence(own: int, shared: int, causes: Sequence[np.ndarray]) -> Evidence:
        return Evidence(
            gain=step[0] - step[own],
            alone=cause - _least(*causes),
            known=nothing - _least(*causes),
            beside=step[own] - losses([left[own], state[own + 1], left[0], state[1]], target),
            centre=of_reached[shared] - step[own],
            other=of_reached[shared] - step[0],
        )

    return {+1: evidence(-1, 0, [of_left[-1]]), -1: evidence(1, 1, [of_left[1], of_reached[2]])}


def _least(*told: np.ndarray) -> np.ndarray:
    return min(told, key=lambda loss: float(loss.mean()))


def found_offset(kind: str, evidence: Mapping[int, Evidence]) -> int:
    """The offset that `kind` is reported with; 0 for none."""
    return next((k for k, each in evidence.items() if each.holds(_GAIN[kind], _ALONE[kind][k])), 0)


def _check(kind: str, evidence: dict[int, Evidence] | None) -> Check:
    name = f"alignment of {kind}s"
    if evidence is None:
        message = f"too few steps, or no {kind} that varies, to see it without simulator states."
        return Check(name, message, skipped=True)
    gains = [0.0 if k == 0 else float(evidence[k].gain.mean()) for k in OFFSETS]
    message = f"what neighbouring states tell of the {kind}s, against offset 0: {listed(np.array(gains), '.2f')} nats"
    numbers = {"gains": dict(zip(map(str, OFFSETS), gains, strict=True))}
    offset = found_offset(kind, evidence)
    if offset:
        t = t_of(evidence[offset].gain)
        line = f"{message} (t = {t:.1f} over 40 stretches of the log, p = {p_of(t):.1g})"
        return Check(name, f"{message}.", (perhaps_shifted(kind, offset, line),), numbers=numbers)
    if all(t_of(-each.gain) > _T and -each.gain.mean() > _GAIN[kind] for each in evidence.values()):
        return Check(name, f"{message}.", numbers=numbers)
    return Check(name, f"{message}: this tells no order; store simulator states.", skipped=True, numbers=numbers)
