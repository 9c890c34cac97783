"""The time limit of logs: what their episodes tell, else what they record, else that of the task's environment, 12."""

from dataclasses import replace

import pytest

from hcsac.data import Episode, store
from hcsac.data.checks import check
from hcsac.data.checks.shapes import limit_of
from hcsac.tasks import Task, register_task, registry
from tests.conftest import slide_episodes


def of_lengths(*lengths: int) -> list[Episode]:
    return [slide_episodes("slide-left", 1, seed, length)[0] for seed, length in enumerate(lengths)]


def ended(episode: Episode) -> Episode:
    return replace(episode, terminated=episode.truncated, truncated=episode.terminated)


def found(data: list[Episode] | str) -> list[str]:
    checks = check(data, "slide-left").checks
    return [f.kind for check in checks if check.name == "terminated or truncated" for f in check.findings]


@pytest.mark.parametrize(
    ("lengths", "kinds"),
    [
        ((12, 12), []),
        ((12, 11), ["early-truncation"]),
        ((20, 20), ["episodes-perhaps-merged"]),  # two may be merged
        ((20, 20, 20), []),
        ((8, 8, 8, 5), ["early-truncation"]),
        ((20, 40, 20, 20), ["episodes-perhaps-merged"]),
        ((20, 20, 20, 3, 4, 5, 6), ["episodes-perhaps-merged", "early-truncation"]),  # fewer than half are as long
    ],
)
def test_lengths_that_many_share(lengths: tuple[int, ...], kinds: list[str]) -> None:
    assert found(of_lengths(*lengths)) == kinds


def test_terminal_states_do_not_count_and_may_come_late() -> None:
    data = of_lengths(20, 20, 20, 7, 20)
    assert limit_of(data, "slide-left", None) == 20
    assert found([*data[:3], ended(data[3])]) == []
    assert found([*data[:3], ended(data[4])]) == ["termination-at-time-limit"]
    assert limit_of([*of_lengths(8, 8, 8), ended(data[0])], "slide-left", None) == 12
    assert limit_of([ended(episode) for episode in data], "slide-left", None) == 12
    assert limit_of([ended(episode) for episode in data], "unknown", None) is None


def test_what_a_dataset_records_of_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    register_task(Task("slide-long", "tests/slide-left-v0", {"max_episode_steps": 20}))
    store.write("lab/long-v0", "slide-long", of_lengths(20, 20))
    assert found("lab/long-v0") == []
    store.write("lab/short-v0", "slide-long", of_lengths(20, 12))
    assert found("lab/short-v0") == ["early-truncation"]
