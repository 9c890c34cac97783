"""Which action and which reward belong to which observation. No other module adds one to a time index.

An episode in time order has one observation more than it has steps:

    observation   o_0        o_1        o_2   ...   o_T
                     \\      /   \\      /
    action            a_0         a_1         ...           a_t is chosen at o_t and leads to o_{t+1}
    reward                r_0         r_1     ...           r_t is earned by reaching o_{t+1}

    transition t      (o_t, a_t, r_t, o_{t+1})

Logs written "on arrival" (the .npz layout) pad the front instead, and every row has the same length T + 1:

    row               0          1          2     ...    T
    observation      o_0        o_1        o_2           o_T
    action            -         a_0        a_1           a_{T-1}      the action that LED to o_row
    reward            -         r_0        r_1           r_{T-1}      the reward of reaching o_row

Pairing such rows as they are, (o_t, action of row t, reward of row t, o_{t+1}), is the off-by-one mistake: every state
gets the previous action and the previous reward.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hcsac.errors import unknown

ALIGNMENTS = ("correct", "off_by_one")


@dataclass(frozen=True)
class Episode:
    """T steps in time order: action[t] led from observation[t] to observation[t+1] and earned reward[t]."""

    observation: np.ndarray  # [T+1, S] float32
    action: np.ndarray  # [T, A] float32
    reward: np.ndarray  # [T] float32
    terminated: np.ndarray  # [T] bool: the next observation is a terminal state
    truncated: np.ndarray  # [T] bool: the time limit was reached
    physics: np.ndarray | None = None  # [T+1, P] float64 or float32: simulator states

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def episode_return(self) -> float:
        """Undiscounted sum of the rewards."""
        return float(np.sum(self.reward, dtype=np.float64))


class Transitions(NamedTuple):
    """The T transitions of an episode."""

    observation: np.ndarray  # [T, S]
    action: np.ndarray  # [T, A]
    reward: np.ndarray  # [T]
    next_observation: np.ndarray  # [T, S]
    terminated: np.ndarray  # [T] bool


def from_arrivals(
    observation: np.ndarray,
    action: np.ndarray,
    reward: np.ndarray,
    discount: np.ndarray | None = None,
    physics: np.ndarray | None = None,
) -> Episode:
    """Rows written on arrival -> Episode.

    observation [T+1, S], action [T+1, A], reward and discount [T+1] or [T+1, 1], physics [T+1, P]. Row 0 of action,
    reward and discount is padding. A discount of 0 marks that row's observation as a terminal state; otherwise the last
    row is a time limit.
    """
    steps = len(observation) - 1
    terminated = np.zeros(steps, bool) if discount is None else discount.reshape(-1)[1:] == 0
    truncated = np.zeros(steps, bool)
    truncated[-1:] = ~terminated[-1:]
    return Episode(
        observation=np.asarray(observation, np.float32),
        action=np.asarray(action[1:], np.float32),
        reward=np.asarray(reward.reshape(-1)[1:], np.float32),
        terminated=terminated,
        truncated=truncated,
        physics=physics,
    )


def to_arrivals(episode: Episode) -> dict[str, np.ndarray]:
    """The inverse of `from_arrivals`: its arguments by name, rows T+1, reward and discount [T+1, 1]."""

    def pad(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros_like(values[:1]), values])

    rows = {
        "observation": episode.observation,
        "action": pad(episode.action),
        "reward": pad(episode.reward)[:, None],
        "discount": 1 - pad(episode.terminated).astype(np.float32)[:, None],
    }
    return rows if episode.physics is None else {**rows, "physics": episode.physics}


def transitions(episode: Episode, alignment: str = "correct") -> Transitions:
    """The transitions (o_t, a_t, r_t, o_{t+1}) of an episode.

    `alignment="off_by_one"` makes the mistake shown above on purpose; the padding of row 0 is zero.

    Raises:
        UserError: an unknown alignment.
    """
    if alignment not in ALIGNMENTS:
        raise unknown("alignment", alignment, ALIGNMENTS)
    action, reward = episode.action, episode.reward
    if alignment == "off_by_one":
        rows = to_arrivals(episode)
        action, reward = rows["action"][:-1], rows["reward"][:-1, 0]
    return Transitions(episode.observation[:-1], action, reward, episode.observation[1:], episode.terminated)


def state_physics(episode: Episode) -> np.ndarray | None:
    """The simulator state [T, P] at o_t of each transition."""
    return None if episode.physics is None else episode.physics[:-1]


def shift(episode: Episode, action: int = 0, reward: int = 0) -> Episode:
    """A misaligned copy: row t has action[t - action] and reward[t - reward], with the ends repeated. Shapes stay.

    `action=1, reward=1` gives logs written on arrival that are read as they are.
    """
    rows = np.arange(len(episode))
    last = max(len(episode) - 1, 0)
    return Episode(
        episode.observation,
        episode.action[np.clip(rows - action, 0, last)],
        episode.reward[np.clip(rows - reward, 0, last)],
        episode.terminated,
        episode.truncated,
        episode.physics,
    )
