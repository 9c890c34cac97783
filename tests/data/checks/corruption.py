"""Corruptions of good data, one at a time, and the finding each must give, with and without simulator states."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from hcsac.data import Episode
from hcsac.data.checks.rewards import rewards_under
from hcsac.data.episode import shift

Episodes = list[Episode]
EVERY_STEP = 10**6  # replayed, where the corruption is a single step
UNDETECTABLE: set[str] = set()


@dataclass(frozen=True)
class Corruption:
    """What is done, and the kinds that must be among the findings; an empty set where nothing can be found."""

    name: str
    spoil: Callable[[Episodes], Episodes]
    kinds: set[str]
    bare: set[str]  # without simulator states
    single: bool = False  # one step alone is wrong


def stretch(episode: Episode, begin: int, end: int, over: bool = True) -> Episode:
    """Steps begin .. end - 1 of an episode, truncated there if `over`."""
    truncated = np.arange(begin, end) == end - 1 if over else np.zeros(end - begin, bool)
    assert episode.physics is not None
    return Episode(
        episode.observation[begin : end + 1],
        episode.action[begin:end],
        episode.reward[begin:end],
        np.zeros(end - begin, bool),
        truncated,
        episode.physics[begin : end + 1],
    )


def join(*parts: Episode) -> Episode:
    """One episode of several; the last step of each seems to lead to the first observation of the next one."""
    joined = {}
    for field in fields(Episode):
        arrays = [getattr(part, field.name) for part in parts]
        by_state = field.name in ("observation", "physics")
        joined[field.name] = np.concatenate([a[:-1] for a in arrays[:-1]] + arrays[-1:] if by_state else arrays)
    joined["truncated"] = np.arange(len(joined["reward"])) == len(joined["reward"]) - 1
    return Episode(**joined)


def one(change: Callable[[Episode], Episode], number: int = 1) -> Callable[[Episodes], Episodes]:
    """Corruption to one episode alone."""
    return lambda episodes: [change(e) if n == number else e for n, e in enumerate(episodes)]


def all_(change: Callable[[Episode], Episode]) -> Callable[[Episodes], Episodes]:
    """Corruption to every episode."""
    return lambda episodes: [change(e) for e in episodes]


def put(name: str, at: tuple[int, ...], value: float) -> Callable[[Episode], Episode]:
    def change(episode: Episode) -> Episode:
        array = getattr(episode, name).copy()
        array[at] = value
        return replace(episode, **{name: array})

    return change


def column(change: Callable[[np.ndarray], np.ndarray], index: int = 16) -> Callable[[Episode], Episode]:
    def spoil(episode: Episode) -> Episode:
        observation = episode.observation.copy()
        observation[:, index] = change(observation[:, index])
        return replace(episode, observation=observation)

    return spoil


def late_observations(episode: Episode) -> Episode:
    return replace(episode, observation=np.concatenate([episode.observation[:1], episode.observation[:-1]]))


def other_rewards(task: str) -> Callable[[Episode], Episode]:
    other = {"walker-walk": "walker-run", "walker-run": "walker-walk"}[task]

    def change(e: Episode) -> Episode:
        assert e.physics is not None
        reward = rewards_under(other, e.observation[1:], e.action, e.physics[:-1])
        return replace(e, reward=np.asarray(reward, np.float32))

    return change


def noisy(episode: Episode) -> Episode:
    noise = np.random.default_rng(len(episode)).normal(0, 0.05, len(episode))
    return replace(episode, reward=(episode.reward + noise).astype(np.float32))


def permuted(episode: Episode) -> Episode:
    assert episode.physics is not None
    return replace(episode, physics=np.random.default_rng(0).permutation(episode.physics))


def swapped(episode: Episode) -> Episode:
    assert episode.physics is not None
    order = np.arange(len(episode.physics))
    order[[300, 400]] = 400, 300
    return replace(episode, physics=episode.physics[order])


def dropped(episode: Episode) -> Episode:
    """Without the step that leaves the 400th state: its state and action are gone."""
    first, rest = stretch(episode, 0, 400), stretch(episode, 401, len(episode))
    return join(first, rest)


def half_inside(episodes: Episodes) -> Episodes:
    half = stretch(episodes[0], 250, 750)
    host = join(stretch(episodes[1], 0, 250), half, stretch(episodes[1], 750, 1000))
    return [episodes[0], host, *episodes[2:]]


def halves_joined(episodes: Episodes) -> Episodes:
    return [episodes[0], join(stretch(episodes[1], 0, 500), stretch(episodes[2], 0, 500)), *episodes[3:]]


def corruptions(task: str) -> Iterator[Corruption]:
    """All of them, for data of walker-walk or walker-run."""
    limit, at_limit = {"time-limit-as-termination"}, {"termination-at-time-limit"}
    joined, perhaps_joined = {"merged-episodes"}, {"episodes-perhaps-merged"}
    late, perhaps = {"actions-shifted"}, {"actions-perhaps-shifted"}
    yield Corruption("actions shifted by one", all_(lambda e: shift(e, action=1)), late, perhaps)
    yield Corruption("rewards shifted by one", all_(lambda e: shift(e, reward=1)), *[{"rewards-shifted"}] * 2)
    both = perhaps | {"rewards-shifted"}
    yield Corruption("both shifted by one", all_(lambda e: shift(e, 1, 1)), late | {"rewards-shifted"}, both)
    yield Corruption("observations shifted by one", all_(late_observations), {"observations-shifted"}, both)
    longer = one(lambda e: replace(e, reward=np.append(e.reward, e.reward[-1])))
    yield Corruption("a label array one longer", longer, *[{"unequal-lengths"}] * 2)
    ended = all_(lambda e: replace(e, terminated=e.truncated, truncated=e.terminated))
    yield Corruption("time limits stored as terminations", ended, limit, at_limit)
    swap = all_(other_rewards(task))
    of_another = {"rewards-of-another-task"}
    yield Corruption("rewards of the other task", swap, of_another, of_another)
    yield Corruption("rewards of the other task in one episode", one(other_rewards(task)), of_another, of_another)
    scaled = all_(lambda e: replace(e, reward=10 * e.reward))
    yield Corruption("rewards scaled by 10", scaled, *[{"rewards-scaled"}] * 2)
    yield Corruption("noise of std 0.05 on rewards", all_(noisy), *[{"rewards-noisy"}] * 2)
    yield Corruption("an episode duplicated", lambda e: [*e, e[0]], *[{"duplicated-episode"}] * 2)
    yield Corruption("half an episode inside another", half_inside, *[{"repeated-steps"}] * 2)
    clipped = all_(lambda e: replace(e, action=np.clip(5 * e.action, -1, 1)))
    yield Corruption("actions clipped to their bounds", clipped, *[{"saturated-actions"}] * 2)
    yield Corruption(
        "an observation column constant", all_(column(np.zeros_like)), *[{"constant-observation-column"}] * 2
    )
    yield Corruption("an observation column times 1000", all_(column(lambda x: 1000 * x)), *[{"column-scale"}] * 2)
    twice = all_(column(lambda x: 2 * x))
    yield Corruption("an observation column times 2", twice, {"observation-column-wrong"}, UNDETECTABLE)
    yield Corruption("a NaN", one(put("observation", (300, 3), np.nan)), *[{"not-finite"}] * 2)
    yield Corruption("an action out of bounds", one(put("action", (300, 2), 1.5)), *[{"action-out-of-bounds"}] * 2)
    yield Corruption("two episodes as one", lambda e: [join(e[0], e[1]), *e[2:]], joined, perhaps_joined, single=True)
    yield Corruption("two half episodes as one", halves_joined, joined, perhaps_joined, single=True)
    yield Corruption("simulator states permuted", all_(permuted), {"simulator-state-mismatch"}, UNDETECTABLE)
    yield Corruption(
        "two simulator states swapped", one(swapped), {"simulator-state-mismatch"}, UNDETECTABLE, single=True
    )
    yield Corruption("a step dropped", one(dropped), {"missing-step"}, {"early-truncation"}, single=True)
    rounded = all_(lambda e: replace(e, observation=e.observation.astype(np.float16).astype(np.float32)))
    yield Corruption("observations rounded to float16", rounded, *[{"coarse-numbers"}] * 2)
    yield Corruption("an end in the middle", one(put("truncated", (300,), True)), *[{"end-before-last-step"}] * 2)
    yield Corruption("missing-end", one(put("truncated", (-1,), False)), *[{"missing-end"}] * 2)
    cut = [lambda e: [stretch(e[0], 0, 500), stretch(e[0], 500, 1000), *e[1:]]] * 2
    yield Corruption("an episode cut in two", cut[0], *[{"split-episode"}] * 2)
