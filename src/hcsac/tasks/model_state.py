"""What a reset draws in the model of a dm_control task, as the place of a target. qpos and qvel do not tell of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

_RESETS = 5  # a number drawn from two values is the same in all of them once in 16 times: seed and suite fix which
# Parts of a model that only rendering reads, and terrains, whose height maps are too large for a state.
_LEFT_OUT = ("bvh_", "cam_", "hfield_", "light_", "mat_", "mesh_", "name", "skin_", "tex_", "text_")


@dataclass(frozen=True)
class ModelEntries:
    """Some entries of a model's arrays, read and written as one vector [K]."""

    places: dict[str, np.ndarray]  # array of the model -> flat indices

    @classmethod
    def drawn_at_reset(cls, environment: Any) -> "ModelEntries":
        """Those that differ between resets of a dm_control environment, whose random numbers stay as they were."""
        random, model = environment.task.random, environment.physics.model.ptr
        state = random.get_state()
        random.seed(0)
        names, snapshots = _arrays(model), []
        for _ in range(_RESETS):
            environment.reset()
            snapshots.append({name: np.array(getattr(model, name)).ravel() for name in names})
        random.set_state(state)
        first = snapshots[0]
        differs = {name: np.any([other[name] != first[name] for other in snapshots], axis=0) for name in first}
        return cls({name: np.flatnonzero(mask) for name, mask in differs.items() if mask.any()})

    def __len__(self) -> int:
        return sum(map(len, self.places.values()))

    def get(self, model: Any) -> np.ndarray:
        """Their values, [K] float64."""
        values = [getattr(model, name).ravel()[indices] for name, indices in self.places.items()]
        return np.concatenate([np.empty(0), *values])

    def set(self, model: Any, values: np.ndarray) -> None:
        """Write `values` [K]."""
        start = 0
        for name, indices in self.places.items():
            getattr(model, name).reshape(-1)[indices] = values[start : start + len(indices)]
            start += len(indices)


def _arrays(model: Any) -> list[str]:
    names = [name for name in dir(model) if not name.startswith(("_", *_LEFT_OUT)) and not name.endswith("rgba")]
    return [name for name in names if isinstance(getattr(model, name), np.ndarray)]
