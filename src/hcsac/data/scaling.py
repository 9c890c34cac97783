"""What observations are standardised by."""

import numpy as np

from hcsac.data.dataset import Dataset

ROWS = 8192  # that are in memory at once
NEARLY_CONSTANT = 1e-3  # of the usual standard deviation of a column


def observation_scaling(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Mean and `scale_of` each column over all transitions' observations, each [S] float64."""
    chunks = [dataset.start_index[first : first + ROWS] for first in range(0, len(dataset), ROWS)]
    sums = [dataset.observations[start].sum(0, dtype=np.float64) for start in chunks]
    mean = np.sum(sums, axis=0) / len(dataset)
    squares = [np.square(dataset.observations[start] - mean).sum(0) for start in chunks]
    return mean, scale_of(np.sqrt(np.sum(squares, axis=0) / len(dataset)))


def scale_of(std: np.ndarray) -> np.ndarray:
    """What columns with these standard deviations [S] are divided by: [S], > 0.

    That is the standard deviation. A column with less than a thousandth of the usual one, the median of those that
    vary, is divided by the usual one: it is as good as constant in the data (the encoder of a parked joint), and where
    it moves when the policy acts, divided by its own it would drown all others.
    """
    usual = float(np.median(std[std > 0])) if (std > 0).any() else 1.0
    return np.where(std < NEARLY_CONSTANT * usual, usual, std)
