"""D: the frozen union of the task datasets."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial

import numpy as np

from hcsac.data.build import Origin, Source, bounds_of_task, build
from hcsac.data.episode import ALIGNMENTS, Episode
from hcsac.errors import UserError, unknown
from hcsac.tasks import ActionBounds
from hcsac.types import Spec

# Arrays that a fingerprint does not read, and names that it reads arrays under: those of the first fingerprints.
_NOT_LEARNED_FROM = ("physics", "episode_return")
_DIGEST_NAMES = {"observations": "every_observation"}


@dataclass(frozen=True, repr=False)
class Dataset:
    """N transitions of M tasks, task after task, episode after episode, each in time order. Arrays are read-only.

    An observation is stored once: the next observation of one transition is the observation of the following one.
    """

    observations: np.ndarray  # [N + episodes, S] float32: all T + 1 of the first episode, then of the second, ...
    action: np.ndarray  # [N, A] float32, scaled from `bounds` into [-1, 1]
    reward: np.ndarray  # [N] float32
    terminated: np.ndarray  # [N] bool
    task: np.ndarray  # [N] int64, index into task_names
    physics: np.ndarray | None  # [N, P] simulator state at `observation`; None unless every episode has it
    episode_start: (
        np.ndarray
    )  # [episodes + 1] int64: episode e is transitions episode_start[e] .. episode_start[e+1] - 1
    episode_return: np.ndarray  # [episodes] float64: sum of the rewards that each episode was logged with
    task_names: tuple[str, ...]
    origins: tuple[Origin, ...] = ()  # where it was loaded from; none where it was made from episodes
    bounds: ActionBounds | None = None  # of the actions in the robot's units; None for [-1, 1]
    alignment: str = "correct"  # how actions and rewards were paired with observations, see `hcsac.data.episode`

    def __post_init__(self) -> None:
        if self.alignment not in ALIGNMENTS:
            raise unknown("alignment", self.alignment, ALIGNMENTS)
        for name, array in self._arrays().items():
            view = array.view()  # the caller's own array stays as writeable as it was
            view.flags.writeable = False
            object.__setattr__(self, name, view)
            if name not in ("episode_start", "episode_return", "observations") and len(view) != len(self.reward):
                raise ValueError(f"{name} has length {len(view)}, reward has length {len(self.reward)}")
        if len(self.observations) != len(self.reward) + len(self.episode_start) - 1:
            raise ValueError("observations must be longer than reward by one for each episode")
        if self.episode_start[0] != 0 or self.episode_start[-1] != len(self.reward):
            raise ValueError("episode_start must run from 0 to the number of transitions")
        if len(self.episode_return) != len(self.episode_start) - 1:
            raise ValueError("episode_return must have one number for each episode")

    @classmethod
    def from_episodes(cls, episodes: Mapping[str, Sequence[Episode]], alignment: str = "correct") -> "Dataset":
        """The episodes of each task, one after the other; the order of the mapping is the order of the tasks.

        Actions are in the units of the tasks' bounds (`Task.action_bounds`, or the environment's), without any in
        [-1, 1].

        Raises:
            UserError: a task without episodes, sizes that differ, an unknown alignment, or anything `validate` finds.
        """
        sources = [
            Source(
                name, f"task {name!r}", [len(episode.reward) for episode in group], group, partial(bounds_of_task, name)
            )
            for name, group in episodes.items()
        ]
        return cls(**build(sources, alignment), alignment=alignment)

    def __len__(self) -> int:
        return len(self.reward)

    def __repr__(self) -> str:
        states = "" if self.physics is None else f", simulator states {self.physics.shape[1]}"
        lines = [
            f"Dataset of {len(self)} transitions in {len(self.episode_return)} episodes",
            f"  sizes      observation {self.observation_size}, action {self.action_size}{states}",
            f"  alignment  {self.alignment}",
        ]
        if not self.action_bounds.is_unit:
            lines.append(f"  actions    {self.action_bounds}, scaled into [-1, 1]")
        width = max(map(len, self.task_names))
        for i, (name, returns) in enumerate(self.episode_returns.items()):
            episodes = f"{len(returns)} episode{'s' if len(returns) > 1 else ''}"
            count = f"{len(self.rows_of(i))} transitions, {episodes}"
            lines.append(f"  {name:<{width}}  {count}, dataset return {returns.mean():.1f}")
        return "\n".join([*lines, *(f"  from       {ref}" for ref in self.refs)])

    @property
    def refs(self) -> tuple[str, ...]:
        """The names of the datasets it was loaded from, as they were given to `hcsac.load`."""
        return tuple(origin.ref for origin in self.origins)

    @property
    def plugins(self) -> tuple[str, ...]:
        """The plug-in modules whose formats it was read with, which reading it again needs."""
        return tuple(dict.fromkeys(origin.plugin for origin in self.origins if origin.plugin is not None))

    @property
    def new_tasks(self) -> tuple[str, ...]:
        """The tasks that nothing was logged for: their transitions are those of all datasets it was loaded from."""
        logged = {origin.task for origin in self.origins}
        return tuple(name for name in self.task_names if logged and name not in logged)

    @property
    def spec(self) -> Spec:
        """What a policy must fit: S, A and the task names."""
        return Spec(self.observation_size, self.action_size, self.task_names)

    @property
    def num_tasks(self) -> int:
        """M."""
        return len(self.task_names)

    @property
    def observation_size(self) -> int:
        """S."""
        return int(self.observations.shape[1])

    @property
    def action_size(self) -> int:
        """A."""
        return int(self.action.shape[1])

    @property
    def action_bounds(self) -> ActionBounds:
        """The lowest and the highest value of each action in the robot's units, each [A]."""
        return self.bounds or ActionBounds.unit(self.action_size)

    @cached_property
    def start_index(self) -> np.ndarray:
        """Index into `observations` of the state each transition starts from, [N] int64; + 1 is the next state's."""
        lengths = np.diff(self.episode_start)
        return np.arange(len(self)) + np.repeat(np.arange(len(lengths)), lengths)

    @cached_property
    def step(self) -> np.ndarray:
        """How many transitions of its episode precede each transition, [N] int64."""
        return np.arange(len(self)) - np.repeat(self.episode_start[:-1], np.diff(self.episode_start))

    @cached_property
    def rows_left(self) -> np.ndarray:
        """How many transitions of its episode follow each transition, [N] int64."""
        lengths = np.diff(self.episode_start)
        return np.repeat(self.episode_start[1:], lengths) - 1 - np.arange(len(self))

    @property
    def observation(self) -> np.ndarray:
        """A copy of the observation that each transition starts from, [N, S]."""
        return self.observations[self.start_index]

    @property
    def next_observation(self) -> np.ndarray:
        """A copy of the observation that each transition leads to, [N, S]."""
        return self.observations[self.start_index + 1]

    def rows_of(self, task_index: int) -> np.ndarray:
        """Indices [n] int64 of the transitions logged under that task, ascending."""
        return np.flatnonzero(self.task == task_index)

    def select(self, names: Sequence[str]) -> "Dataset":
        """The dataset of these tasks alone, numbered in the order given; a `UserError` for a task that is not here."""
        for name in names:
            if name not in self.task_names:
                raise unknown("task of this dataset", name, self.task_names)
        if not names or len(set(names)) != len(names):
            raise UserError(f"tasks to select must be named once each, not {', '.join(names) or 'none'}.")
        of_episode = self.task[self.episode_start[:-1]]
        chosen = [np.flatnonzero(of_episode == self.task_names.index(name)) for name in names]
        numbers = np.repeat(np.arange(len(names)), [len(of_task) for of_task in chosen])
        return self._taken(np.concatenate(chosen), numbers, names)

    def take_episodes(self, episodes: np.ndarray) -> "Dataset":
        """A copy of these episodes alone, numbers [n] ascending; at least one of each task."""
        return self._taken(episodes, self.task[self.episode_start[:-1]][episodes], self.task_names)

    def _taken(self, episodes: np.ndarray, task: np.ndarray, names: Sequence[str]) -> "Dataset":
        """A copy of the episodes [n], of tasks [n] among `names`, in this order."""
        start = self.episode_start
        rows = np.concatenate([np.arange(start[e], start[e + 1]) for e in episodes])
        visited = np.concatenate([np.arange(start[e] + e, start[e + 1] + e + 1) for e in episodes])
        lengths = np.diff(start)[episodes]
        return Dataset(
            observations=self.observations[visited],
            action=self.action[rows],
            reward=self.reward[rows],
            terminated=self.terminated[rows],
            physics=None if self.physics is None else self.physics[rows],
            task=np.repeat(task, lengths).astype(np.int64),
            episode_start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            episode_return=self.episode_return[episodes],
            task_names=tuple(names),
            bounds=self.bounds,
            origins=tuple(o for o in self.origins if o.task in names or set(self.new_tasks) & set(names)),
            alignment=self.alignment,
        )

    @property
    def episode_returns(self) -> dict[str, np.ndarray]:
        """Task name -> undiscounted returns of its episodes as they were logged, [episodes] float64, in order.

        With another alignment than "correct" the sums of `reward` differ from them.
        """
        of_episode = self.task[self.episode_start[:-1]]
        return {name: self.episode_return[of_episode == i] for i, name in enumerate(self.task_names)}

    @property
    def mean_returns(self) -> dict[str, float]:
        """Task name -> mean of its `episode_returns`: the dataset return."""
        return {name: float(returns.mean()) for name, returns in self.episode_returns.items()}

    def fingerprint(self) -> str:
        """Hexadecimal digest of all that training reads; equal for two datasets only if these data are equal."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(repr(self.task_names).encode())
        for name, array in self._arrays().items():
            if name in _NOT_LEARNED_FROM:
                continue
            digest.update(f"{_DIGEST_NAMES.get(name, name)} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        if not self.action_bounds.is_unit:
            digest.update(np.stack(self.action_bounds).tobytes())
        return digest.hexdigest()[:16]

    def _arrays(self) -> dict[str, np.ndarray]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if isinstance(value, np.ndarray)}
