"""The values of all episodes some rows at a time, so that memory does not grow with the data."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hcsac.data.episode import Episode

ROWS = 8192  # in memory at once


def pieces(episodes: Sequence[Episode], of: Callable[[Episode], np.ndarray]) -> Iterator[np.ndarray]:
    """The values of `of`, one episode after the other, in pieces of at most `ROWS` rows [n, ...].

    Values with as many rows in every episode are cut at the same rows: two of them can be zipped.
    """
    held: list[np.ndarray] = []
    count = 0
    for episode in episodes:
        values = of(episode)
        for first in range(0, len(values), ROWS):
            part = values[first : first + ROWS]
            if count + len(part) > ROWS:
                yield np.concatenate(held)
                held, count = [], 0
            held.append(part)
            count += len(part)
    if held:
        yield np.concatenate(held)


def moments(episodes: Sequence[Episode]) -> tuple[np.ndarray, np.ndarray]:
    """Mean [S] and covariance [S, S] of the observations, float64; exactly 0 for columns that never change."""

    def off(middle: np.ndarray) -> Iterator[np.ndarray]:
        return (part.astype(np.float64) - middle for part in pieces(episodes, lambda e: e.observation))

    count = sum(len(episode.observation) for episode in episodes)
    first = episodes[0].observation[0].astype(np.float64)
    mean = first + sum(part.sum(0) for part in off(first)) / count
    products = sum(part.T @ part for part in off(mean))
    return mean, np.asarray(products) / count
