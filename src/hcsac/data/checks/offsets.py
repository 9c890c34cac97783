"""By how many rows actions and rewards are shifted against their states, measured without a simulator.

An offset k means: the action (or reward) of step t is in row t + k. Correct data have offset 0.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from hcsac.data.checks.findings import Check, Finding, make_finding
from hcsac.data.episode import Episode, inner_steps
from hcsac.errors import UserError
from hcsac.tasks import random_rollout

OFFSETS = (-1, 0, 1)
FIT_MARGIN = 0.02  # the best offset must score higher than the second by this
FIT_LEAST = 0.15  # least score of the best: rewards that depend on the action alone, say, have no visible offset
_FIT_ROWS = 12_000  # enough for every predictor here, and fitted in less than a second
_FEATURES = 512
_LEAST_ROWS = 400
_MOVE = {
    +1: "row t has the {0} that LED to observation t; move every {0} one row earlier "
    "(`hcsac data import` does so for .npz episodes).",
    -1: "row t has the {0} that belongs to observation t + 1; move every {0} one row later.",
}


def check_fit(kind: str, scores: np.ndarray | None) -> Check:
    """The check of the alignment of `kind`, "action" or "reward", from the `scores` [3] of one-step predictors."""
    name = f"alignment of {kind}s"
    if scores is None:
        return Check(
            name, "too few steps to fit a one-step predictor; store simulator states, or log more.", skipped=True
        )
    message = f"held-out score of one-step predictors {listed(scores, '.3f')}"
    numbers = {"scores": dict(zip(map(str, OFFSETS), scores.tolist(), strict=True))}
    second, first = np.sort(scores)[-2:]
    if first < FIT_LEAST or first - second < FIT_MARGIN:
        message = f"{message}: too low or too similar to decide; store simulator states."
        return Check(name, message, skipped=True, numbers=numbers)
    offset = best(scores)
    return Check(name, f"{message}.", () if offset == 0 else (shifted(kind, offset, message),), numbers=numbers)


def shifted(kind: str, offset: int, message: str) -> Finding:
    """The finding that every `kind` is shifted by `offset` rows."""
    return make_finding(
        f"{kind}s-shifted", f"{message}: the data have offset {offset:+d}.", move=_MOVE[offset].format(kind)
    )


def best(scores: np.ndarray) -> int:
    """The offset with the highest score; a tie goes to 0."""
    top = int(np.argmax(scores))
    return OFFSETS[top] if scores[top] > scores[OFFSETS.index(0)] else 0


def listed(values: np.ndarray, form: str) -> str:
    """The three values with their offsets."""
    return ", ".join(
        f"{value:{form}} at {offset:+d}" if offset else f"{value:{form}} at 0"
        for value, offset in zip(values, OFFSETS, strict=True)
    )


def fit_offsets(episodes: Sequence[Episode], task_name: str, seed: int) -> dict[str, np.ndarray | None]:
    """Held-out scores [3], by offset, of one-step predictors; None where there are too few steps.

    A score is the share of the target's absolute size that is predicted: 1 is perfect, 0 is none.
    "action": s' - s predicted from (s, action at the offset). Only the true action explains what the state alone does
    not, so this needs exploration noise in the actions.
    "reward": the reward's change predicted from (s, s' - s). The offset is relative to that of a random policy in the
    task's own environment, since some environments compute the reward from the state before the step, others from the
    next one.
    """
    return {"action": _action_scores(episodes), "reward": _reward_scores(episodes, task_name, seed)}


def _action_scores(episodes: Sequence[Episode]) -> np.ndarray | None:
    rows = _Rows(episodes, reach=1)
    if len(rows) < _LEAST_ROWS:
        return None
    now = rows.take(lambda e: e.observation)
    change = rows.take(lambda e: e.observation, 1) - now
    scores = []
    for offset in OFFSETS:
        features = _random_features(np.concatenate([now, rows.take(lambda e: e.action, offset)], axis=1))
        scores.append(_ridge_score(features, change))
    return np.array(scores)


def _reward_scores(episodes: Sequence[Episode], task_name: str, seed: int) -> np.ndarray | None:
    scores = _scores_at(episodes, OFFSETS)
    if scores is None:
        return None
    reference = random_episodes(task_name, seed)
    own = None if reference is None else _scores_at(reference, OFFSETS)
    # Without an environment, assume rewards of the next state, as most environments have.
    usual = 0 if own is None or np.ptp(own) < 0.02 else OFFSETS[int(np.argmax(own))]
    return scores if usual == 0 else _scores_at(episodes, tuple(k + usual for k in OFFSETS))


@lru_cache(maxsize=16)
def random_episodes(task_name: str, seed: int) -> tuple[Episode, ...] | None:
    """Three episodes of random actions in the task's own environment; None where there is no such environment."""
    try:
        return tuple(Episode(**random_rollout(task_name, seed + number)) for number in range(3))
    except UserError:
        return None


def _scores_at(episodes: Sequence[Episode], offsets: Sequence[int]) -> np.ndarray | None:
    rows = _Rows(episodes, reach=3)
    if len(rows) < _LEAST_ROWS:
        return None
    now = rows.take(lambda e: e.observation)
    change = rows.take(lambda e: e.observation, 1) - now
    features = _with_ones(_standardise(np.concatenate([now, change], axis=1)))
    # The reward's change, not the reward: neighbouring rewards are too similar to distinguish offsets.
    return np.array(
        [
            _absolute_score(features, rows.take(lambda e: e.reward, k) - rows.take(lambda e: e.reward, k - 1))
            for k in offsets
        ]
    )


class _Rows:
    """Inner steps of all episodes, thinned evenly to `_FIT_ROWS`, in time order."""

    def __init__(self, episodes: Sequence[Episode], reach: int) -> None:
        self._episodes = episodes
        total = sum(len(inner_steps(episode, reach)) for episode in episodes)
        stride = max(1, -(-total // _FIT_ROWS))
        self._steps = [inner_steps(episode, reach)[::stride] for episode in episodes]

    def __len__(self) -> int:
        return sum(len(steps) for steps in self._steps)

    def take(self, of: Callable[[Episode], np.ndarray], offset: int = 0) -> np.ndarray:
        """The value of `of` at step + offset, float64, [n, ...]."""
        parts = [of(episode)[steps + offset] for episode, steps in zip(self._episodes, self._steps, strict=True)]
        return np.concatenate(parts).astype(np.float64)


def _standardise(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / (x.std(0) + 1e-6)


def _with_ones(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def _random_features(x: np.ndarray) -> np.ndarray:
    """x [n, D] -> [n, D + _FEATURES + 1]: itself, random rectified projections, and a one."""
    rng = np.random.default_rng(0)  # the same for every offset, so that only the data differ
    x = _standardise(x)
    weight = rng.normal(size=(x.shape[1], _FEATURES)) / np.sqrt(x.shape[1])
    return _with_ones(np.concatenate([x, np.maximum(x @ weight + rng.normal(size=_FEATURES), 0)], axis=1))


def _ridge_score(features: np.ndarray, target: np.ndarray) -> float:
    """1 - mean |residual| / mean |target - its median| on held-out rows, averaged over the dimensions that vary."""
    test = _held_out(len(features))
    # Falls and impacts are few, large and hard to predict; unclipped they would dominate the score.
    target = np.clip(target, *np.quantile(target, (0.02, 0.98), axis=0))
    target = target - np.median(target, axis=0)
    spread = np.abs(target[test]).mean(0)
    varies = spread > 1e-9
    if not varies.any():
        return 0.0
    target = target[:, varies] / spread[varies]
    train = features[~test]
    weight = _solve(train.T @ train, train.T @ target[~test], penalty=1.0)
    return float(np.mean(1 - np.abs(features[test] @ weight - target[test]).mean(0)))


def _absolute_score(features: np.ndarray, target: np.ndarray) -> float:
    """1 - median |residual| / median |target - its median| on held-out rows; 0 if the target hardly varies.

    Least absolute deviations, by reweighting: rewards saturate, and their few large changes would outweigh the many
    small ones that follow the state exactly.
    """
    test = _held_out(len(features))
    target = target - np.median(target)
    spread, test_spread = np.median(np.abs(target)), np.median(np.abs(target[test]))
    if min(spread, test_spread) < 1e-7:
        return 0.0
    train, wanted = features[~test], target[~test] / spread
    weight, trust = np.zeros(features.shape[1]), np.ones(len(train))
    for _ in range(12):
        weighted = train * trust[:, None]
        weight = _solve(weighted.T @ train, weighted.T @ wanted, penalty=1e-2)
        trust = 1 / np.maximum(np.abs(train @ weight - wanted), 1e-2)
    return float(max(1 - np.median(np.abs(features[test] @ weight * spread - target[test])) / test_spread, -1))


def _held_out(rows: int) -> np.ndarray:
    """Every fourth block of 25 rows: every episode is in both sets, few rows have a neighbour in the other set."""
    return np.arange(rows) // 25 % 4 == 3


def _solve(gram: np.ndarray, moment: np.ndarray, penalty: float) -> np.ndarray:
    return np.linalg.solve(gram + penalty * np.eye(len(gram)), moment)
