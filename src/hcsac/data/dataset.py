"""D: the frozen union of the task datasets."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from hcsac.data.build import Source, lay_out
from hcsac.data.episode import Episode
from hcsac.errors import UserError, unknown


@dataclass(frozen=True)
class Dataset:
    """N transitions of M tasks, task after task, episode after episode, each in time order. Arrays are read-only.

    An observation is stored once: what one transition arrives at, the next one leaves.
    """

    every_observation: np.ndarray  # [N + episodes, S] float32: all T + 1 of the first episode, of the second, ...
    action: np.ndarray  # [N, A] float32, in [-1, 1]
    reward: np.ndarray  # [N] float32
    terminated: np.ndarray  # [N] bool
    task: np.ndarray  # [N] int64, index into task_names
    physics: np.ndarray | None  # [N, P] where the transition leaves; None unless every episode has it
    episode_start: np.ndarray  # [episodes + 1] int64: rows of episode e are episode_start[e] .. episode_start[e+1] - 1
    task_names: tuple[str, ...]
    behaviour: dict[str, float]  # task name -> mean return of its logged episodes

    def __post_init__(self) -> None:
        for name, array in self._arrays().items():
            view = array.view()  # the caller's own array stays as writeable as it was
            view.flags.writeable = False
            object.__setattr__(self, name, view)
            if name not in ("episode_start", "every_observation") and len(view) != len(self.reward):
                raise ValueError(f"{name} has {len(view)} rows, reward has {len(self.reward)}")
        if len(self.every_observation) != len(self.reward) + len(self.episode_start) - 1:
            raise ValueError("every_observation must have one row more than reward for each episode")
        if self.episode_start[0] != 0 or self.episode_start[-1] != len(self.reward):
            raise ValueError("episode_start must run from 0 to the number of rows")

    @classmethod
    def from_episodes(cls, episodes: Mapping[str, Sequence[Episode]], alignment: str = "correct") -> "Dataset":
        """Lay the episodes of each task end to end; the order of the mapping is the order of the tasks.

        Raises `UserError` for a task without episodes, for sizes that differ, and for anything `validate` finds.
        """
        return cls(
            **lay_out(
                [
                    Source(name, f"task {name!r}", [len(episode.reward) for episode in group], group)
                    for name, group in episodes.items()
                ],
                alignment,
            )
        )

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def num_tasks(self) -> int:
        """M."""
        return len(self.task_names)

    @property
    def observation_size(self) -> int:
        """S."""
        return int(self.every_observation.shape[1])

    @property
    def action_size(self) -> int:
        """A."""
        return int(self.action.shape[1])

    @cached_property
    def at(self) -> np.ndarray:
        """Where row n leaves from, [N] int64: `every_observation[at]`; it arrives at `every_observation[at + 1]`."""
        lengths = np.diff(self.episode_start)
        return np.arange(len(self)) + np.repeat(np.arange(len(lengths)), lengths)

    @property
    def observation(self) -> np.ndarray:
        """A copy of what each transition leaves, [N, S]."""
        return self.every_observation[self.at]

    @property
    def next_observation(self) -> np.ndarray:
        """A copy of what each transition arrives at, [N, S]."""
        return self.every_observation[self.at + 1]

    def rows_of(self, task_index: int) -> np.ndarray:
        """Rows [n] int64 logged under that task, ascending."""
        return np.flatnonzero(self.task == task_index)

    def select(self, names: Sequence[str]) -> "Dataset":
        """The dataset of these tasks alone, numbered in the order given; a `UserError` for a task that is not here."""
        for name in names:
            if name not in self.task_names:
                raise unknown("task of this dataset", name, self.task_names)
        if not names or len(set(names)) != len(names):
            raise UserError(f"tasks to select must be named once each, not {', '.join(names) or 'none'}.")
        of_episode = self.task[self.episode_start[:-1]]
        start = self.episode_start
        chosen = [(new, e) for new, name in enumerate(names)
                  for e in np.flatnonzero(of_episode == self.task_names.index(name))]  # fmt: skip
        rows = np.concatenate([np.arange(start[e], start[e + 1]) for _, e in chosen])
        visited = np.concatenate([np.arange(start[e] + e, start[e + 1] + e + 1) for _, e in chosen])
        lengths = [int(start[e + 1] - start[e]) for _, e in chosen]
        return Dataset(
            every_observation=self.every_observation[visited],
            action=self.action[rows],
            reward=self.reward[rows],
            terminated=self.terminated[rows],
            physics=None if self.physics is None else self.physics[rows],
            task=np.repeat(np.array([new for new, _ in chosen], np.int64), lengths),
            episode_start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            task_names=tuple(names),
            behaviour={name: self.behaviour[name] for name in names},
        )

    @property
    def behaviour_returns(self) -> dict[str, np.ndarray]:
        """Task name -> undiscounted sum of the rewards of each of its logged episodes [episodes] float64, in order."""
        first = self.episode_start[:-1]
        returns = np.add.reduceat(self.reward, first, dtype=np.float64)
        return {name: returns[self.task[first] == i] for i, name in enumerate(self.task_names)}

    def fingerprint(self) -> str:
        """Hexadecimal digest of all that an agent learns from: two datasets share it only if these are the same."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(repr(self.task_names).encode())
        for name, array in self._arrays().items():
            if name == "physics":
                continue
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def _arrays(self) -> dict[str, np.ndarray]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if isinstance(value, np.ndarray)}
