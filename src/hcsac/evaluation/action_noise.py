"""The noise in logged actions: the part of a policy's error that no deterministic policy can avoid."""

import numpy as np

from hcsac.data.scaling import scale_of

ROWS = 5000  # that are compared, at most


def action_noise(observation: np.ndarray, residual: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """E Var(a | s) of logged actions, estimated from what is left of them after a policy, [R].

    It is half the mean squared difference of the residuals of two logged actions at nearly the same state: each is
    paired with the nearest one of another episode, in normalised observations (Rice 1984, Annals of Statistics 12(4),
    1215-1230, with neighbours in place of an order). What the policy knows of the actions cancels, and what it does not
    know cancels as far as neighbours share it. So it is too high rather than too low: by the part of the policy's error
    that changes from a state to its neighbour. It is too low where the policy was trained on these very actions.

    Args:
        observation: [n, S]; more than 5,000 are thinned evenly.
        residual: logged action minus the policy's, [R, n, A] of R replicas.
        episode: which one each is from, [n].

    Returns:
        The mean over the A dimensions; NaN for a single episode.
    """
    kept = np.arange(0, len(observation), -(-len(observation) // ROWS))
    observation, residual, episode = observation[kept].astype(np.float64), residual[:, kept], episode[kept]
    if len(np.unique(episode)) < 2:
        return np.full(len(residual), np.nan)
    x = (observation - observation.mean(0)) / scale_of(observation.std(0))
    nearest = np.empty(len(x), np.int64)
    for one in np.unique(episode):
        own, others = np.flatnonzero(episode == one), np.flatnonzero(episode != one)
        distance = np.square(x[others]).sum(1) - 2 * x[own] @ x[others].T  # but for |x|^2 of its own
        nearest[own] = others[distance.argmin(1)]
    return np.square(residual - residual[:, nearest]).mean((1, 2), dtype=np.float64) / 2
