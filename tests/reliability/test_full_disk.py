"""A disk that is full: every job on a small file system, which grows a little after every failure."""

import shutil
import subprocess

import pytest

from tests.reliability.jobs import JOBS
from tests.reliability.sabotage import attempt

STEP = {"train": 64, "import": 32, "collect": 64, "export": 8}  # KiB


def mount(folder, size, *options):
    command = ["mount", "-t", "tmpfs", "-o", ",".join([*options, f"size={size}k"]), "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def disk(tmp_path):
    """A folder on a file system of its own, and a way to make it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = mount(folder, 65_536) if shutil.which("mount") else None
    if made is None or made.returncode != 0:
        pytest.skip("needs the right to mount a file system (root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", JOBS)
def test_a_full_disk_is_a_sentence_and_the_job_goes_on_when_there_is_space(name, disk, tmp_path):
    job = JOBS[name]
    whole = tmp_path / "whole"
    whole.mkdir()
    job.prepare(whole)
    assert attempt(job, whole).status == 0
    job.prepare(disk)
    size = shutil.disk_usage(disk).used // 1024 + 16
    assert mount(disk, size, "remount").returncode == 0
    sentences = []
    for _ in range(40):
        ended = attempt(job, disk)
        if ended.status == 0:
            break
        assert ended.status == 2, ended.text
        sentences.append(ended.text)
        size += STEP[name]
        assert mount(disk, size, "remount").returncode == 0
    assert job.result(disk) == job.result(whole)
    assert sentences
    assert all("No space left on device" in text for text in sentences), sentences
