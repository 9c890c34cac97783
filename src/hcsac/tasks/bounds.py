"""The bounds of a robot's actions: its own units outside, [-1, 1] inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from hcsac.errors import UserError

TOLERANCE = 1e-6  # of half a range: a tanh in float32 may exceed 1 by its last digit


class ActionBounds(NamedTuple):
    """The lowest and the highest value of each action, each [A] float32."""

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def unit(cls, size: int) -> ActionBounds:
        """[-1, 1] for each of `size` actions."""
        return cls(np.full(size, -1, np.float32), np.full(size, 1, np.float32))

    @classmethod
    def given(cls, low: float | Sequence[float], high: float | Sequence[float], size: int, where: str) -> ActionBounds:
        """From a number for all actions or one for each.

        Raises:
            UserError: as many numbers as there are no actions, or a range that is empty or endless.
        """
        try:
            ends = [np.broadcast_to(np.asarray(end, np.float32), (size,)).copy() for end in (low, high)]
        except ValueError as error:
            raise UserError(f"{where}: {size} actions need as many bounds, or one for all.") from error
        bounds = cls(*ends)
        if not bounds.finite or not (bounds.low < bounds.high).all():
            raise UserError(f"{where}: actions range over {bounds}; each range must have an end and some width.")
        return bounds

    @classmethod
    def of_space(cls, space: gymnasium.Space[Any]) -> ActionBounds:
        """Those of a flat Box."""
        assert isinstance(space, gymnasium.spaces.Box)
        return cls(space.low.astype(np.float32), space.high.astype(np.float32))

    @property
    def is_unit(self) -> bool:
        """Whether nothing has to be scaled."""
        return bool((self.low == -1).all() and (self.high == 1).all())

    @property
    def finite(self) -> bool:
        """Whether every range has both ends."""
        return bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())

    @property
    def half(self) -> np.ndarray:
        """Half of each range, [A] float32."""
        return (self.high - self.low) / 2

    def inside(self, action: np.ndarray) -> np.ndarray:
        """Actions [..., A] in the robot's units -> in [-1, 1], float32."""
        if self.is_unit:
            return np.asarray(action, np.float32)
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        return (2 * (action - low) / (high - low) - 1).astype(np.float32)

    def outside(self, action: np.ndarray) -> np.ndarray:
        """The reverse of `inside`."""
        if self.is_unit:
            return np.asarray(action, np.float32)
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        return np.clip(low + (action + 1) / 2 * (high - low), low, high).astype(np.float32)

    def exceeded(self, action: np.ndarray) -> np.ndarray:
        """Which values [..., A] are outside, [..., A] bool."""
        margin = TOLERANCE * self.half
        outside: np.ndarray = (action < self.low - margin) | (action > self.high + margin)
        return outside

    def equals(self, other: ActionBounds) -> bool:
        """Whether they are the same."""
        return np.array_equal(self.low, other.low) and np.array_equal(self.high, other.high)

    def __str__(self) -> str:
        if len(set(self.low.tolist())) == len(set(self.high.tolist())) == 1:
            return f"[{self.low[0]:g}, {self.high[0]:g}]"
        return ", ".join(f"[{low:g}, {high:g}]" for low, high in zip(self.low, self.high, strict=True))
