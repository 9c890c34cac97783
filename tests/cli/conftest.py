"""Stored datasets of the light tasks, and the form that every refusal has."""

import numpy as np
import pytest

from hcsac.data import store
from hcsac.data.episode import to_arrivals
from tests.conftest import TASKS, run, slide_episodes

TINY = ["--hidden-size", "8", "--hidden-layers", "2", "--batch-size", "16", "--cql-samples", "2", "--updates", "6"]
TINY += ["--evaluation-episodes", "1", "--final-episodes", "1", "--device", "cpu", "--log-interval", "2"]


def tree(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.fixture
def logs(tmp_path):
    """A folder of three good episodes as a user arrives with."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for number, episode in enumerate(slide_episodes("slide-left", 3)):
        np.savez(folder / f"episode_{number}.npz", **to_arrivals(episode))
    return folder


@pytest.fixture
def stored():
    """Datasets lab/TASK-LEVEL-v0 of both light tasks."""
    for name in TASKS:
        for seed, level in enumerate(["medium", "medium-replay"]):
            store.write(f"lab/{name}-{level}-v0", name, slide_episodes(name, seed=seed))
    return [f"lab/{name}-medium-v0" for name in TASKS]


def refuse(capsys, tmp_path, *arguments):
    """Run, check the form of the refusal, return the sentence."""
    capsys.readouterr()
    before = tree(tmp_path)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("hcsac: ")
    assert captured.err.strip().count("\n") == 0
    assert "Traceback" not in captured.err
    assert tree(tmp_path) == before
    return captured.err


def import_(folder, name="lab/new-v0", task="slide-left"):
    return ["data", "import", folder, "--task", task, "--name", name]
