"""The cart-pole's rewards as functions of observation and action.

The 5 numbers of an observation are the cart's position, cos and sin of the pole's angle (0 is upright), and the rates
of cart and pole.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hcsac.tasks.formula import RewardFormula, gaussian

CART_RANGE, UPRIGHT = 0.25, 0.995  # metres, cosine; dm_control/suite/cartpole.py, _CART_RANGE, _ANGLE_COSINE_RANGE


@dataclass(frozen=True)
class CartpoleReward(RewardFormula):
    """The reward of dm_control's cart-pole. Balancing and swinging up differ in their initial states alone."""

    sparse: bool

    body: ClassVar[str] = "cart-pole"
    size: ClassVar[int] = 5

    def rewards(self, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Balance._get_reward: a tolerance is 0.1^(d^2) for a value d margins off, and 1 - d^2 for the control."""
        position, cosine, rate = observation[:, 0], observation[:, 1], observation[:, 4]
        if self.sparse:
            return (np.abs(position) <= CART_RANGE) & (cosine >= UPRIGHT)
        centred = (1 + gaussian(position / 2)) / 2
        small_control = (4 + 1 - np.square(action[:, 0])) / 5
        small_rate = (1 + gaussian(rate / 5)) / 2
        return (cosine + 1) / 2 * small_control * small_rate * centred
