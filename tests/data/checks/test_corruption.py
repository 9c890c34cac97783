"""Every kind of corruption is found; nothing is found in good data."""

from dataclasses import replace
from pathlib import Path

import pytest

from hcsac.data import Episode, store
from hcsac.data.checks import KINDS, Report, examine
from hcsac.data.formats.npz import read_directory

from .corruption import EVERY_STEP, Corruption, corruptions

# Slow, and close to others in the light trial or in test_check.py.
LONG_ALONE = {
    "both shifted by one",
    "rewards of the other task",
    "rewards of the other task in one episode",
    "two simulator states swapped",
}
LIGHT = [corruption for corruption in corruptions("walker-walk") if corruption.name not in LONG_ALONE]

DOCS = Path(__file__).parents[3] / "docs" / "data-check.md"
SETS = ["walk-td3-medium", "walk-td3-medium-replay", "run-td3-medium", "run-td3-medium-replay"]


def bare(episodes: list[Episode]) -> list[Episode]:
    """Without simulator states."""
    return [replace(episode, physics=None) for episode in episodes]


def assert_found(corruption: Corruption, episodes: list[Episode], task: str, steps: int) -> None:
    spoilt = corruption.spoil(episodes)
    report = examine("spoilt", task, spoilt, EVERY_STEP if corruption.single else steps)
    assert corruption.kinds <= report.kinds, f"{corruption.name}\n{report}"
    assert_bare(corruption, examine("spoilt", task, bare(spoilt)))


def assert_bare(corruption: Corruption, report: Report) -> None:
    assert corruption.bare <= report.kinds, f"{corruption.name}\n{report}"


@pytest.fixture(scope="module")
def sample() -> list[Episode]:
    """Three episodes of the shipped walk-medium-replay."""
    return store.read("sample/walker-walk-medium-replay-v0")[1][:3]


@pytest.mark.parametrize("corruption", LIGHT, ids=lambda corruption: corruption.name)
def test_corruption_to_the_sample(sample: list[Episode], corruption: Corruption) -> None:
    """With simulator states where they find more, else without, which is quicker."""
    spoilt = corruption.spoil(sample)
    if corruption.single or corruption.kinds != corruption.bare:
        report = examine("spoilt", "walker-walk", spoilt, EVERY_STEP if corruption.single else 300)
        assert corruption.kinds <= report.kinds, str(report)
    else:
        assert_bare(corruption, examine("spoilt", "walker-walk", bare(spoilt)))


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
def test_corruption_to_the_course_data(course: Path, folder: str) -> None:
    """On copies in memory; the last result is in docs/data-check.md."""
    task = f"walker-{folder.split('-')[0]}"
    episodes = read_directory(course / f"walker_{folder}")
    for data in (episodes, bare(episodes)):
        report = examine("good", task, data)
        assert not report.findings, str(report)
    for corruption in corruptions(task):
        assert_found(corruption, episodes, task, steps=2000)


def test_every_kind_has_its_line_in_the_docs() -> None:
    text = DOCS.read_text()
    for kind, (severity, _) in KINDS.items():
        assert f"| `{kind}` | {severity} |" in text
