"""How much other values of a log tell of its actions or rewards: losses of predictors on rows they have not seen."""

from collections.abc import Callable, Sequence

import numpy as np

from hcsac.data.episode import Episode

CHUNKS = 40  # stretches of consecutive rows, the units of every test here: neighbouring rows are alike
LEAST_ROWS = 160  # four a chunk
_ROWS = 6000  # enough for these predictors
_FEATURES = 128
_FOLDS = 5
_PENALTY = 1e-5  # of a ridge regression, times the rows
# Of the target's mean absolute size: a predictor that errs less is taken as exact. Below it, losses compare how well
# such predictors approximate a function, not how much is known.
_EXACT = 0.02


class Rows:
    """Steps of all episodes with `reach` neighbours on both sides, thinned evenly, in time order."""

    def __init__(self, episodes: Sequence[Episode], reach: int) -> None:
        total = sum(max(0, len(episode) - 2 * reach) for episode in episodes)
        stride = max(1, -(-total // _ROWS))
        self._steps = [(e, np.arange(reach, len(e) - reach, stride)) for e in episodes if len(e) > 2 * reach]

    def __len__(self) -> int:
        return sum(len(steps) for _, steps in self._steps)

    def take(self, of: Callable[[Episode], np.ndarray], offset: int = 0) -> np.ndarray:
        """The values of `of` at step + offset, float64, [n, D]."""
        values = np.concatenate([of(episode)[steps + offset] for episode, steps in self._steps])
        return values.astype(np.float64).reshape(len(values), -1)


def scaled(target: np.ndarray) -> np.ndarray:
    """The columns of a target [n, D] that vary, around their medians, with a mean absolute size of 1."""
    target = target - np.median(target, axis=0)
    size = np.abs(target).mean(axis=0)
    return np.asarray(target[:, size > 1e-9] / size[size > 1e-9])


def losses(known: Sequence[np.ndarray], target: np.ndarray) -> np.ndarray:
    """Mean loss [CHUNKS] of predicting `target` [n, D] (as `scaled`) from `known`, arrays [n, ...]; () for nothing.

    The loss is the negative log-likelihood of Laplace errors of the size that the predictor makes, up to a constant: 0
    where nothing is known, and lower by log 2 where errors are half as large. The predictor is a ridge regression on
    the values and random rectified features of them; it predicts each fifth of the chunks from the others.
    """
    error = np.abs(target if not known else _errors(np.concatenate(known, axis=1), target)) + _EXACT
    size = error.mean(axis=0)
    loss = (np.log(size / (1 + _EXACT)) + error / size - 1).mean(axis=1)
    chunk = _chunks(len(target))
    return np.bincount(chunk, loss, CHUNKS) / np.bincount(chunk, minlength=CHUNKS)


def t_of(differences: np.ndarray) -> float:
    """The t statistic of the hypothesis that chunks' differences [CHUNKS] have the mean 0."""
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return float(differences.mean() / max(error, 1e-9))


def p_of(t: float) -> float:
    """The probability of a t statistic this large or larger under that hypothesis."""
    from scipy.stats import t as student  # imported late: it takes long

    return float(student.sf(t, CHUNKS - 1))


def _chunks(rows: int) -> np.ndarray:
    return np.arange(rows) * CHUNKS // rows


def _errors(known: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Errors [n, D] of the predictor that was fitted to the other folds."""
    features, fold = _random_features(known), _chunks(len(target)) % _FOLDS
    parts = [(features[fold == k], target[fold == k]) for k in range(_FOLDS)]
    grams = [x.T @ x for x, _ in parts]
    moments = [x.T @ y for x, y in parts]
    gram = sum(grams) + _PENALTY * len(target) * np.eye(features.shape[1])
    error = np.empty_like(target)
    for k, (x, y) in enumerate(parts):
        told = x @ np.linalg.solve(gram - grams[k], sum(moments) - moments[k])
        error[fold == k] = np.clip(told, target.min(axis=0), target.max(axis=0)) - y
    return error


def _random_features(x: np.ndarray) -> np.ndarray:
    """x [n, D] -> itself, random rectified projections, and a one: fewer where there are few rows."""
    rng = np.random.default_rng(0)
    x = np.clip((x - x.mean(0)) / (x.std(0) + 1e-9), -5, 5)
    count = min(_FEATURES, len(x) // 8)
    weight = rng.normal(size=(x.shape[1], count)) / np.sqrt(x.shape[1])
    return np.concatenate([x, np.maximum(x @ weight + rng.normal(size=count), 0), np.ones((len(x), 1))], axis=1)
