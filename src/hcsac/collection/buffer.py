"""The replay buffer of the collection: whole episodes, on disk one file each, and flat arrays for sampling."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.files import write_atomically
from hcsac.tasks import ActionBounds
from hcsac.types import Batch


class ReplayBuffer:
    """All episodes so far, oldest first, with their simulator states; and their steps in arrays for minibatches.

    Args:
        capacity: the maximum number of steps.
        discount: gamma.
    """

    def __init__(self, capacity: int, observation_size: int, action_size: int, discount: float):
        self.episodes: list[Episode] = []
        self.size = 0
        self.discount = discount
        self._observation = torch.empty(capacity, observation_size)
        self._next_observation = torch.empty(capacity, observation_size)
        self._action = torch.empty(capacity, action_size)
        self._reward = torch.empty(capacity)
        self._discount = torch.empty(capacity)

    def add(
        self, observation: np.ndarray, action: np.ndarray, reward: float, next_observation: np.ndarray, terminal: bool
    ) -> None:
        """Add one step, from then on part of `sample`; [S], [A], a number, [S], whether the next state is terminal."""
        row = self.size
        self._observation[row] = torch.from_numpy(observation)
        self._next_observation[row] = torch.from_numpy(next_observation)
        self._action[row] = torch.from_numpy(action)
        self._reward[row] = reward
        self._discount[row] = 0.0 if terminal else self.discount
        self.size += 1

    def restore(self, episode: Episode, bounds: ActionBounds) -> None:
        """Add a whole episode, whose actions have these bounds."""
        steps = zip(bounds.inside(episode.action), episode.reward, episode.terminated, strict=True)
        for t, (action, reward, terminated) in enumerate(steps):
            self.add(episode.observation[t], action, float(reward), episode.observation[t + 1], bool(terminated))
        self.episodes.append(episode)

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """A minibatch for one replica, uniform with replacement."""
        row = torch.randint(self.size, (1, batch_size), generator=generator)
        return Batch(
            observation=self._observation[row],
            action=self._action[row],
            reward=self._reward[row],
            next_observation=self._next_observation[row],
            discount=self._discount[row],
            task=torch.zeros_like(row),
        )


def save_episode(path: Path, episode: Episode) -> None:
    """Write one episode as a plain .npz, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{name: value for name, value in vars(episode).items() if value is not None})


def load_episode(path: Path) -> Episode:
    """The reverse of `save_episode`.

    Raises:
        UserError: the file is missing or corrupt.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Episode(**{name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, TypeError, EOFError, BadZipFile) as error:
        raise UserError(f"episode {path} cannot be read ({error}); restore it or collect in another folder.") from error
