"""Which episodes make which dataset."""

from collections.abc import Sequence

import numpy as np

from hcsac.data.episode import Episode
from hcsac.errors import UserError

# kind -> the datasets it makes, as NAMESPACE/TASK-LABEL-v0.
DATASETS = {
    "medium": ("medium", "medium-replay"),
    "all": ("full-replay",),
    "final": ("final",),
    "slice": ("slice",),
    "mixture": ("mixture",),
}
# label -> the settings that decide it, besides those of its learners, `learners` and `steps`.
DECIDED_BY = {
    "medium": ("level", "episodes"),
    "medium-replay": ("level", "replay_episodes"),
    "full-replay": (),
    "final": ("episodes",),
    "slice": ("returns", "episodes"),
    "mixture": ("shares", "episodes"),
}
_STREAM = 3  # of a seed's random numbers; a learner's episodes have the others


def evenly(episodes: Sequence[Episode], count: int | None) -> list[Episode]:
    """`count` of the episodes, evenly spaced from the first to the last; all of them for None."""
    if count is None or count >= len(episodes):
        return list(episodes)
    return [episodes[i] for i in np.linspace(0, len(episodes) - 1, count).round().astype(int)]


def slice_of(episodes: Sequence[Episode], bounds: tuple[float, float], count: int) -> list[Episode]:
    """The episodes whose returns lie between the bounds, at most `count`, evenly spaced.

    Raises:
        UserError: there is none.
    """
    low, high = bounds
    inside = [episode for episode in episodes if low <= episode.episode_return <= high]
    if not inside:
        returns = [episode.episode_return for episode in episodes]
        raise UserError(
            f"no training episode returns between {low:g} and {high:g}; the returns are {min(returns):.1f} to "
            f"{max(returns):.1f}: give other bounds with --returns."
        )
    return evenly(inside, count)


def mixture_of(episodes: Sequence[Episode], shares: Sequence[float], count: int, seed: int) -> list[Episode]:
    """`count` episodes drawn without replacement from the thirds of the episodes by return, in their own order.

    `shares` sum to one; rounding is settled in favour of the largest remainders.

    Raises:
        UserError: a third has fewer episodes than its share.
    """
    order = np.argsort([episode.episode_return for episode in episodes], kind="stable")
    exact = count * np.asarray(shares)
    wanted = np.floor(exact).astype(int)
    wanted[np.argsort(wanted - exact, kind="stable")[: count - wanted.sum()]] += 1
    random = np.random.default_rng((seed, _STREAM))
    drawn: list[int] = []
    for third, number, name in zip(np.array_split(order, 3), wanted, ("lower", "middle", "upper"), strict=True):
        if number > len(third):
            raise UserError(
                f"a mixture of {count} episodes takes {number} of the {name} third of the training episodes, which has "
                f"{len(third)}; give fewer --episodes, other --shares or more --steps."
            )
        drawn += random.choice(third, number, replace=False).tolist()
    return [episodes[i] for i in sorted(drawn)]
