"""A reward of the dm_control suite as a function of the next observation and the action that led there."""

import math
from typing import ClassVar

import numpy as np

from hcsac.errors import UserError

CHUNK = 4096  # observations processed at once: they and all intermediate results fit into a core's cache


class RewardFormula:
    """Base of the formulas, one class a body; `repr` says which task of the body it is.

    A formula equals the simulator's reward to about 1e-6, the rounding of the observation. A reward that jumps where a
    quantity crosses a bound may be the other one within that rounding.
    """

    body: ClassVar[str]  # for messages
    size: ClassVar[int]  # S, numbers in an observation

    def __call__(self, next_observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """next_observation [N, S], action [N, A] -> reward [N] float32, in [0, 1].

        Raises:
            UserError: observations of another size.
        """
        if next_observation.ndim != 2 or next_observation.shape[1] != self.size:
            raise UserError(
                f"the {self.body}'s reward is a function of observations [N, {self.size}], not "
                f"{list(next_observation.shape)}; name the task that the data were logged for."
            )
        reward = np.empty(len(next_observation), np.float32)
        for start in range(0, len(reward), CHUNK):
            part = slice(start, start + CHUNK)
            reward[part] = self.rewards(np.asarray(next_observation[part], np.float32), action[part])
        return reward

    def rewards(self, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """The rewards [n] of one chunk: observation [n, S] float32, action [n, A]."""
        raise NotImplementedError


def gaussian(off: np.ndarray) -> np.ndarray:
    """dm_control's tolerance of a value that is `off` margins outside its bounds: 0.1^(off^2)."""
    return np.exp(math.log(0.1) * np.square(off))
