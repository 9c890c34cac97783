"""Jobs that write files, each small, and what they leave: a training, a collection, an import, an export, a study."""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from hcsac import experiments
from hcsac.cli import main
from hcsac.collection import CollectSettings, collect
from hcsac.data import store
from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.experiments import RunResult, StudyRun
from hcsac.experiments.worker import execute
from hcsac.policy import export, export_policy
from hcsac.training import RunDirectory, train, updates_done
from tests.conftest import TASKS, slide_episodes
from tests.training.conftest import settings


class Job(NamedTuple):
    """`run(folder)` does the work, or goes on with it; `result(folder)` is what must be the same in the end."""

    run: Callable[[Path], None]
    result: Callable[[Path], dict[str, str]]
    prepare: Callable[[Path], None] = lambda folder: None  # what was there before
    faults: bool = True  # whether its file operations are its own, and can be made to fail


def _slides() -> Dataset:
    return Dataset.from_episodes({name: slide_episodes(name) for name in TASKS})


STUDY = """
preset = "quick"
agents = ["bc"]
seeds = [0, 1]

[datasets]
left = ["lab/slide-left-v0"]

[settings]
hidden_size = 8
batch_size = 16
updates = 12
checkpoint_minutes = 0.0
log_interval = 2
evaluation_episodes = 1
final_episodes = 1
device = "cpu"
"""


def _train(folder: Path, algorithm: str = "hcsac", **changes: Any) -> None:
    often = settings(algorithm, checkpoint_minutes=0.0, **changes)
    train(algorithm, _slides(), folder / "run", often, (0, 1), resume=True, progress=False)


def _trained(folder: Path) -> dict[str, str]:
    """Weights, optimisers, generators, shared transitions and every record, but no times."""
    found = _digests(folder / "run", "*.jsonl", "checkpoint.safetensors", "sharing/*.safetensors")
    updates = json.loads((folder / "run" / "result.json").read_text())["updates"]
    return found | {"updates": str(updates)}


def _import(folder: Path) -> None:
    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    if not (folder / "lab" / "slides-v0").exists():
        store.write("lab/slides-v0", "slide-left", slide_episodes("slide-left"))


def _imported(folder: Path) -> dict[str, str]:
    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    _, episodes, _ = store.read("lab/slides-v0")
    content = b"".join(array.tobytes() for e in episodes for array in (e.observation, e.action, e.reward))
    return {"episodes": hashlib.sha256(content).hexdigest()}


def _collect(folder: Path) -> None:
    os.environ["MINARI_DATASETS_PATH"] = str(folder / "store")
    chosen = CollectSettings(keep="all,final", steps=60, episodes=2, random_steps=20, hidden_size=8, batch_size=8)
    collect("slide-left", "lab", folder / "learner", chosen, progress=False)


def _empty_store(folder: Path) -> None:
    (folder / "store").mkdir()


def _collected(folder: Path) -> dict[str, str]:
    os.environ["MINARI_DATASETS_PATH"] = str(folder / "store")
    found = {}
    for name in ("full-replay", "final"):
        _, episodes, _ = store.read(f"lab/slide-left-{name}-v0")
        content = b"".join(array.tobytes() for e in episodes for array in (e.observation, e.action, e.reward))
        found[name] = hashlib.sha256(content).hexdigest()
    return found | _digests(folder / "learner", "**/checkpoint.safetensors")


@cache
def _run() -> Path:
    """A finished run, the same for every export."""
    root = Path(tempfile.mkdtemp(prefix="hcsac-reliability-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    _train(root)
    return root / "run"


@cache
def _graph() -> bytes:
    return (export_policy(_run(), _run().parent / "policy").path / "policy.onnx").read_bytes()


def _export(folder: Path) -> None:
    """The ONNX file is made once and for all: that takes seconds in which no file is written."""
    with patch.object(export, "onnx_bytes", return_value=_graph()):
        export_policy(folder / "run", folder / "policy")


def _to_export(folder: Path) -> None:
    shutil.copytree(_run(), folder / "run")
    _graph()  # before the fork


def _exported(folder: Path) -> dict[str, str]:
    return _digests(folder / "policy", "policy.safetensors")


def _store(folder: Path) -> None:
    os.environ["MINARI_DATASETS_PATH"] = str(folder / "store")
    (folder / "store").mkdir()
    (folder / "study.toml").write_text(STUDY)
    store.write("lab/slide-left-v0", "slide-left", slide_episodes("slide-left"))


class _OneAfterTheOther:
    """A launcher that executes each run of a study in this process, where its file operations can be made to fail."""

    slots = 1

    def __init__(self, *options: object) -> None:
        self.ended: list[RunResult] = []

    def start(self, run: StudyRun) -> None:
        self.ended.append(RunResult(run, *execute(run)))

    def results(self, seconds: float) -> list[RunResult]:
        ended, self.ended = self.ended, []
        return ended

    def updates_of(self, run: StudyRun) -> int:
        return updates_done(RunDirectory(run.path))

    def close(self) -> None:
        pass


def _study(folder: Path, launcher: type = _OneAfterTheOther) -> None:
    """The command itself, as a study has no single function; its sentence is an error, as of the other jobs."""
    os.environ["MINARI_DATASETS_PATH"] = str(folder / "store")
    os.environ["HCSAC_PLUGINS"] = "tests.conftest"  # where its processes find the tasks
    experiments.LocalLauncher = launcher  # type: ignore[misc, assignment]
    try:
        main(["study", "run", str(folder / "study.toml"), "--output", str(folder / "study"), "--jobs", "2"])
    except SystemExit as end:
        if end.code != 0:
            raise UserError(f"exit status {end.code}") from end


def _studied(folder: Path) -> dict[str, str]:
    found = _digests(folder / "study", "*/**/*.jsonl", "**/checkpoint.safetensors")
    assert len(found) == 6  # metrics, evaluations and checkpoint of both runs
    return found


def _digests(folder: Path, *patterns: str) -> dict[str, str]:
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


JOBS = {
    "train": Job(_train, _trained),
    "import": Job(_import, _imported),
    "collect": Job(_collect, _collected, _empty_store),
    "export": Job(_export, _exported, _to_export),
}
# Trainings of the long form alone: other algorithms, several actors, sharing rules, bf16.
_OTHERS: dict[str, dict[str, Any]] = {
    "bc": {"actors": 2, "policy_average": 0.9, "disagreement_noise": 2.0},
    "mtcsac": {"precision": "bf16"},
    "td3_bc": {"sharing": "cds", "actors": 2},
    "one_step": {"sharing": "all", "reward_rule": "keep", "actors": 2},
    "iql": {"sharing": "uds"},
    "rebrac": {"start_weight": 4.0, "actor_decay": "cosine"},
}
LONG_JOBS = JOBS | {
    "study": Job(_study, _studied, _store),
    "study-processes": Job(partial(_study, launcher=experiments.LocalLauncher), _studied, _store, faults=False),
    **{f"train-{name}": Job(partial(_train, algorithm=name, **changes), _trained) for name, changes in _OTHERS.items()},
    "train-compiled": Job(partial(_train, compile="on"), _trained, faults=False),
}
