"""Every kind of damage is found; nothing is found in good data."""

from dataclasses import replace
from pathlib import Path

import pytest

from hcsac.data import Episode, store
from hcsac.data.checks import KINDS, Report, examine
from hcsac.data.formats.npz import read_directory

from .damage import EVERY_STEP, Damage, damages

# Slow, and close to others in the light trial or in test_check.py.
LONG_ALONE = {
    "both shifted by one",
    "rewards of the other task",
    "rewards of the other task in one episode",
    "two simulator states swapped",
}
LIGHT = [damage for damage in damages("walker-walk") if damage.name not in LONG_ALONE]

DOCS = Path(__file__).parents[3] / "docs" / "data-check.md"
SETS = ["walk-td3-medium", "walk-td3-medium-replay", "run-td3-medium", "run-td3-medium-replay"]


def bare(episodes: list[Episode]) -> list[Episode]:
    """Without simulator states."""
    return [replace(episode, physics=None) for episode in episodes]


def assert_found(damage: Damage, episodes: list[Episode], task: str, steps: int) -> None:
    spoilt = damage.spoil(episodes)
    report = examine("spoilt", task, spoilt, EVERY_STEP if damage.single else steps)
    assert damage.kinds <= report.kinds, f"{damage.name}\n{report}"
    assert_bare(damage, examine("spoilt", task, bare(spoilt)))


def assert_bare(damage: Damage, report: Report) -> None:
    assert damage.bare <= report.kinds, f"{damage.name}\n{report}"


@pytest.fixture(scope="module")
def sample() -> list[Episode]:
    """Three episodes of the shipped walk-medium-replay."""
    return store.read("sample/walker-walk-medium-replay-v0")[1][:3]


@pytest.mark.parametrize("damage", LIGHT, ids=lambda damage: damage.name)
def test_damage_to_the_sample(sample: list[Episode], damage: Damage) -> None:
    """With simulator states where they find more, else without, which is quicker."""
    spoilt = damage.spoil(sample)
    if damage.single or damage.kinds != damage.bare:
        report = examine("spoilt", "walker-walk", spoilt, EVERY_STEP if damage.single else 300)
        assert damage.kinds <= report.kinds, str(report)
    else:
        assert_bare(damage, examine("spoilt", "walker-walk", bare(spoilt)))


@pytest.mark.parametrize("physics", [True, False])
def test_nothing_is_found_in_good_data(sample: list[Episode], physics: bool) -> None:
    report = examine("good", "walker-walk", sample if physics else bare(sample))
    assert not report.findings, str(report)
    assert report.verdict == "passed"


@pytest.mark.long
@pytest.mark.parametrize("level", ["medium", "medium-replay"])
@pytest.mark.parametrize("task", ["walker-walk", "walker-run"])
def test_nothing_is_found_in_the_sample(task: str, level: str) -> None:
    episodes = store.read(f"sample/{task}-{level}-v0")[1]
    for data in (episodes, bare(episodes)):
        report = examine("good", task, data)
        assert not report.findings, str(report)


@pytest.mark.long
@pytest.mark.parametrize("folder", SETS)
def test_damage_to_the_course_data(course: Path, folder: str) -> None:
    """On copies in memory; the last result is in docs/data-check.md."""
    task = f"walker-{folder.split('-')[0]}"
    episodes = read_directory(course / f"walker_{folder}")
    for data in (episodes, bare(episodes)):
        report = examine("good", task, data)
        assert not report.findings, str(report)
    for damage in damages(task):
        assert_found(damage, episodes, task, steps=2000)


def test_every_kind_has_its_line_in_the_docs() -> None:
    text = DOCS.read_text()
    for kind, (severity, _) in KINDS.items():
        assert f"| `{kind}` | {severity} |" in text
