"""The short form: a few kills and faults of every job, drawn anew for every version of these files."""

import random

import pytest

from tests.reliability.jobs import JOBS
from tests.reliability.sabotage import FAULTS, attempt, killed_until_done

OFTEN = 3  # kills in a row, and faults of each kind


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Of every job that was asked for: its result, its seconds and its file operations when nothing happens."""
    known = {}

    def of(name):
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            JOBS[name].prepare(folder)
            ended = attempt(JOBS[name], folder)
            assert ended.status == 0, ended.text
            known[name] = JOBS[name].result(folder), ended.seconds, ended.operations
        return known[name]

    return of


@pytest.mark.parametrize("name", JOBS)
def test_a_job_that_is_killed_goes_on_and_ends_the_same(name, whole, tmp_path):
    result, seconds, _ = whole(name)
    draw = random.Random(len(name))
    for trial in range(OFTEN // 2 + 1):
        folder = tmp_path / str(trial)
        folder.mkdir()
        JOBS[name].prepare(folder)
        killed_until_done(JOBS[name], folder, seconds, OFTEN, draw)
        assert JOBS[name].result(folder) == result


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", JOBS)
def test_a_file_operation_that_fails_loses_nothing(name, fault, whole, tmp_path):
    result, _, operations = whole(name)
    assert operations > 5
    for at in random.Random(f"{name} {fault}").sample(range(1, operations + 1), OFTEN):
        folder = tmp_path / str(at)
        folder.mkdir()
        JOBS[name].prepare(folder)
        ended = attempt(JOBS[name], folder, at=at, fault=fault)
        assert ended.status in ({-9} if fault == "kill" else {0, 2}), f"operation {at}: {ended.text}"
        again = attempt(JOBS[name], folder)
        assert again.status == 0, f"operation {at}: {again.text}"
        assert JOBS[name].result(folder) == result, f"operation {at}"
