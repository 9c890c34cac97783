"""By how many rows actions and rewards are off their states: how it is measured without physics, and judged with it.

An offset k means: the action (or reward) that belongs to step t stands in row t + k. Good data have offset 0.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from hcsac.data.checks.findings import Finding, Look, found
from hcsac.data.episode import Episode, inner_steps
from hcsac.errors import UserError
from hcsac.tasks import random_rollout

OFFSETS = (-1, 0, 1)
# How much better one offset must predict than another before it is believed.
FIT_MARGIN = 0.02
# What the best must explain at all: rewards that follow the action alone, say, tell nothing of their place.
FIT_LEAST = 0.15
_FIT_ROWS = 12_000  # enough for every predictor here, and less than a second's work
_FEATURES = 512
_LEAST_ROWS = 400
_MOVE = {
    +1: "row t holds the {0} that LED to observation t; move every {0} one row earlier "
    "(`hcsac data import` does so for .npz episodes).",
    -1: "row t holds the {0} that belongs to observation t + 1; move every {0} one row later.",
}


def judge_fit(kind: str, scores: np.ndarray | None) -> Look:
    """What `scores` [3] of one-step predictors say of the place of `kind`, "action" or "reward"."""
    name = f"alignment of {kind}s"
    if scores is None:
        return Look(name, "too few steps to fit a one-step predictor; store physics, or log more.", skipped=True)
    said = f"held-out score of one-step predictors {listed(scores, '.3f')}"
    numbers = {"scores": dict(zip(map(str, OFFSETS), scores.tolist(), strict=True))}
    second, first = np.sort(scores)[-2:]
    if first < FIT_LEAST or first - second < FIT_MARGIN:
        said = f"{said}: too little or too close to tell; store physics states."
        return Look(name, said, skipped=True, numbers=numbers)
    offset = best(scores)
    return Look(name, f"{said}.", () if offset == 0 else (shifted(kind, offset, said),), numbers=numbers)


def shifted(kind: str, offset: int, said: str) -> Finding:
    """The finding that every `kind` is off by `offset` rows."""
    return found(f"{kind}s shifted", f"{said}: the data have offset {offset:+d}.", move=_MOVE[offset].format(kind))


def best(scores: np.ndarray) -> int:
    """The offset with the highest score; a tie goes to 0."""
    top = int(np.argmax(scores))
    return OFFSETS[top] if scores[top] > scores[OFFSETS.index(0)] else 0


def listed(values: np.ndarray, form: str) -> str:
    """The three values with their offsets."""
    return ", ".join(f"{value:{form}} at {offset:+d}" if offset else f"{value:{form}} at 0"
                     for value, offset in zip(values, OFFSETS, strict=True))  # fmt: skip


def fit_offsets(episodes: Sequence[Episode], task_name: str, seed: int) -> dict[str, np.ndarray | None]:
    """Held-out scores [3], by offset, of one-step predictors; None where the data are too few.

    Scores are the share of the target's absolute size that is explained: 1 is perfect, 0 is none.
    "action": s' - s predicted from (s, action at the offset). Only the true action explains what the state alone does
    not, so this needs some exploration noise in the actions.
    "reward": the reward's change predicted from (s, s' - s). The offset found is relative to that
    of a random policy in the task's own environment, since environments differ in whether they pay for the state left
    or for the state reached.
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
    scores = _paid_scores(episodes, OFFSETS)
    if scores is None:
        return None
    episodes_of_its_own = random_episodes(task_name, seed)
    own = None if episodes_of_its_own is None else _paid_scores(episodes_of_its_own, OFFSETS)
    # Without an environment to ask, take it to pay on arrival, as most do.
    custom = 0 if own is None or np.ptp(own) < 0.02 else OFFSETS[int(np.argmax(own))]
    return scores if custom == 0 else _paid_scores(episodes, tuple(k + custom for k in OFFSETS))


@lru_cache(maxsize=16)
def random_episodes(task_name: str, seed: int) -> tuple[Episode, ...] | None:
    """Three episodes of random actions in the task's own environment; None where there is no such environment."""
    try:
        return tuple(Episode(**random_rollout(task_name, seed + number)) for number in range(3))
    except UserError:
        return None


def _paid_scores(episodes: Sequence[Episode], offsets: Sequence[int]) -> np.ndarray | None:
    rows = _Rows(episodes, reach=3)
    if len(rows) < _LEAST_ROWS:
        return None
    now = rows.take(lambda e: e.observation)
    change = rows.take(lambda e: e.observation, 1) - now
    features = _with_ones(_standardise(np.concatenate([now, change], axis=1)))
    # The reward's change, not the reward: neighbouring rewards are too alike to tell offsets apart.
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
        """What `of` holds at step + offset, float64, [n, ...]."""
        parts = [of(episode)[steps + offset] for episode, steps in zip(self._episodes, self._steps, strict=True)]
        return np.concatenate(parts).astype(np.float64)


def _standardise(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / (x.std(0) + 1e-6)


def _with_ones(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def _random_features(x: np.ndarray) -> np.ndarray:
    """x [n, D] -> [n, D + _FEATURES + 1]: itself, random rectified projections, and a one."""
    rng = np.random.default_rng(0)  # the same for every offset, so that they differ in the data alone
    x = _standardise(x)
    weight = rng.normal(size=(x.shape[1], _FEATURES)) / np.sqrt(x.shape[1])
    return _with_ones(np.concatenate([x, np.maximum(x @ weight + rng.normal(size=_FEATURES), 0)], axis=1))


def _ridge_score(features: np.ndarray, target: np.ndarray) -> float:
    """1 - mean |residual| / mean |target - its median| on held-out rows, averaged over the dimensions that vary."""
    held = _held_out(len(features))
    # Falls and impacts are few, large and hard to predict; unclipped they would decide the score alone.
    target = np.clip(target, *np.quantile(target, (0.02, 0.98), axis=0))
    target = target - np.median(target, axis=0)
    spread = np.abs(target[held]).mean(0)
    varies = spread > 1e-9
    if not varies.any():
        return 0.0
    target = target[:, varies] / spread[varies]
    seen = features[~held]
    weight = _solve(seen.T @ seen, seen.T @ target[~held], penalty=1.0)
    return float(np.mean(1 - np.abs(features[held] @ weight - target[held]).mean(0)))


def _absolute_score(features: np.ndarray, target: np.ndarray) -> float:
    """1 - median |residual| / median |target - its median| on held-out rows; 0 if the target hardly varies.

    Least absolute deviations, by reweighting: rewards saturate, and their few large changes drown the many small
    ones that follow the state exactly.
    """
    held = _held_out(len(features))
    target = target - np.median(target)
    spread, spread_held = np.median(np.abs(target)), np.median(np.abs(target[held]))
    if min(spread, spread_held) < 1e-7:
        return 0.0
    seen, wanted = features[~held], target[~held] / spread
    weight, trust = np.zeros(features.shape[1]), np.ones(len(seen))
    for _ in range(12):
        weighted = seen * trust[:, None]
        weight = _solve(weighted.T @ seen, weighted.T @ wanted, penalty=1e-2)
        trust = 1 / np.maximum(np.abs(seen @ weight - wanted), 1e-2)
    return float(max(1 - np.median(np.abs(features[held] @ weight * spread - target[held])) / spread_held, -1))


def _held_out(rows: int) -> np.ndarray:
    """Every fourth block of 25 rows: all episodes on both sides, yet few rows with a neighbour on the other."""
    return np.arange(rows) // 25 % 4 == 3


def _solve(gram: np.ndarray, moment: np.ndarray, penalty: float) -> np.ndarray:
    return np.linalg.solve(gram + penalty * np.eye(len(gram)), moment)
