"""Readers of files that may come from anyone: a sound folder, the files in it to damage, and how it is read."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from hcsac.collection.file import read_collections
from hcsac.data import store
from hcsac.data.build import Origin, Source
from hcsac.data.dataset import Dataset
from hcsac.data.formats import OpenedDataset, export
from hcsac.data.formats.npz import read_directory
from hcsac.data.mapped import map_dataset
from hcsac.experiments import Study, read_study
from hcsac.experiments.record import read_record, start_study
from hcsac.experiments.status import status_table
from hcsac.policy import export_policy, load_policy
from hcsac.policy.known_returns import KnownReturns
from hcsac.sharing.cache import cached
from hcsac.tasks import ActionBounds, Task, register_task
from hcsac.training import RunDirectory, checkpoint, train
from tests.conftest import TASKS, slide_episodes
from tests.training.conftest import settings

REWARDED = "fuzz-rewarded"  # the task of logs that may have no rewards
register_task(Task(REWARDED, reward=lambda reached, action: reached[:, 0] + action[:, 0]))


class Reader(NamedTuple):
    """`make(folder)` writes sound files; `read(folder)` gives what is in them, or raises a `UserError`."""

    make: Callable[[Path], Any]
    read: Callable[[Path], Any]
    files: tuple[str, ...]  # patterns of the files that are damaged, one at a time
    summed: bool = False  # a checksum covers them: what is read must be what was written


def content_of(value: Any) -> str:
    """A digest of arrays, tensors and what `repr` tells apart, in lists and dictionaries."""
    if isinstance(value, dict):
        return content_of([[key, value[key]] for key in sorted(value)])
    if isinstance(value, list | tuple):
        return hashlib.sha256("".join(map(content_of, value)).encode()).hexdigest()
    if hasattr(value, "numpy"):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return hashlib.sha256(f"{value.dtype} {value.shape}".encode() + value.tobytes()).hexdigest()
    return hashlib.sha256(repr(value).encode()).hexdigest()


def _slides() -> Dataset:
    return Dataset.from_episodes({name: slide_episodes(name, count=2) for name in TASKS})


def _npz(folder: Path) -> None:
    shapes = {"observation": (5, 3), "action": (5, 2), "reward": (5, 1), "discount": (5,)}
    np.savez(folder / "e.npz", **{name: np.ones(shape) for name, shape in shapes.items()})  # type: ignore[arg-type]


def _read_npz(folder: Path) -> list[Any]:
    return [[e.observation, e.action, e.reward, e.terminated] for e in read_directory(folder)]


def _written(form: str) -> Callable[[Path], None]:
    return lambda folder: export(
        iter(slide_episodes("slide-left", count=2)), "slide-left", form, folder / f"log.{form}"
    )


def _csv(folder: Path) -> None:
    lines = [f"{row // 5},{row / 7},{row % 3 - 1},{row},{int(row == 3)}" for row in range(20)]
    (folder / "log.csv").write_text("\n".join(["episode,obs_0,action_0,reward,terminated", *lines]) + "\n")


def _ogbench(folder: Path) -> None:
    rows = {"observations": np.ones((10, 3)), "actions": np.ones((10, 2)), "terminals": np.arange(10) % 5 == 4}
    np.savez(folder / "play.npz", **rows)  # type: ignore[arg-type]


def _read_log(folder: Path) -> list[Any]:
    (path,) = folder.iterdir()
    return [[e.observation, e.action, e.reward, e.terminated] for e in OpenedDataset(str(path), REWARDED)]


def _minari(folder: Path) -> None:
    with patch.dict(os.environ, MINARI_DATASETS_PATH=str(folder)):
        store.write("lab/slides-v0", "slide-left", slide_episodes("slide-left", count=2), compress=False)


def _read_minari(folder: Path) -> list[Any]:
    task, episodes, metadata = store.read(str(folder / "lab" / "slides-v0"))
    return [task, metadata, [[e.observation, e.action, e.reward] for e in episodes]]


def _run(folder: Path) -> None:
    chosen = settings(updates=4, hidden_size=4)
    run = train("hcsac", _slides(), folder / "run", chosen, (0, 1), progress=False)
    export_policy(run.path, folder / "policy")
    shutil.rmtree(folder / "run" / "tensorboard", ignore_errors=True)


def _read_run(folder: Path) -> list[Any]:
    run = RunDirectory(folder / "run")
    return [repr(run), run.digest(), run.finished and run.read_json("result.json"), repr(load_policy(folder / "run"))]


def _read_records(folder: Path) -> list[Any]:
    run = RunDirectory(folder / "run")
    return [run.corruption(), run.metrics().to_pylist(), run.evaluations().to_pylist(), repr(run)]


def _read_checkpoint(folder: Path) -> list[Any]:
    return list(checkpoint.load(folder / "run" / "checkpoint.safetensors"))


def _read_bundle(folder: Path) -> list[Any]:
    policy = load_policy(folder / "policy")
    return [repr(policy), policy.act(np.ones(3), policy.tasks[0], policy.seeds[0])]


def _known(folder: Path) -> None:
    _run(folder)
    KnownReturns(folder / "policy").evaluate(1)


def _read_known(folder: Path) -> list[Any]:
    return [KnownReturns(folder / "policy").returns]


def _read_mapped(folder: Path) -> list[Any]:
    episodes = slide_episodes("slide-left", count=2)
    source = Source("slide-left", "slides", [len(episode) for episode in episodes], episodes, ActionBounds.unit)
    data = map_dataset(folder / "mapped", lambda: [source], [Origin("slide-left", "x", None)], "correct", ["made"])
    return [np.asarray(data.observation), np.asarray(data.action), np.asarray(data.reward), data.task_names]


def _read_rewards(folder: Path) -> list[Any]:
    with patch.dict(os.environ, XDG_CACHE_HOME=str(folder)):
        return [np.asarray(cached("table", (20, 2), lambda: [np.ones((20, 2), np.float32)]))]


_STUDY = """description = "Two algorithms."
preset = "quick"
algorithms = ["bc", "hcsac"]
seeds = [0, 1]
[datasets]
medium = ["sample/walker-walk-medium-v0", "sample/walker-run-medium-v0"]
[settings]
updates = 100
[vary]
batch_size = [8, 16]
[variants]
wide = { hidden_size = 512 }
[published.medium.walker-walk]
bc = [551.5, 125.2]
"""
_COLLECTIONS = """[defaults]
namespace = "lab"
keep = ["all", "slice"]
returns = "10:"
steps = 1000
[collections.walker-walk]
[collections.second]
task = "walker-run"
learners = 2
"""


def _study(folder: Path) -> None:
    (folder / "study.toml").write_text(_STUDY)
    record = start_study(read_study(folder / "study.toml"), folder / "out")
    event = {"time": 1.0, "event": "failed", "run": str(record.runs[0].path.relative_to(folder / "out")), "error": "x"}
    (folder / "out" / "events.jsonl").write_text(json.dumps(event) + "\n" + json.dumps(event | {"event": "x"}) + "\n")


def _read_study(folder: Path) -> list[Any]:
    study: Study = read_study(folder / "study.toml")
    return [repr(study), len(study.runs(folder / "out"))]


def _read_record(folder: Path) -> list[Any]:
    return [status_table(read_record(folder / "out"), folder / "out" / "events.jsonl")]


READERS = {
    "npz": Reader(_npz, _read_npz, ("e.npz",)),
    "csv": Reader(_csv, _read_log, ("log.csv",)),
    "parquet": Reader(_written("parquet"), _read_log, ("log.parquet",)),
    "d4rl": Reader(_written("hdf5"), _read_log, ("log.hdf5",)),
    "ogbench": Reader(_ogbench, _read_log, ("play.npz",)),
    "lerobot": Reader(_written("lerobot"), _read_log, ("log.lerobot/**/*.parquet", "log.lerobot/**/*.json")),
    "hdf5": Reader(_minari, _read_minari, ("lab/slides-v0/data/main_data.hdf5",)),
    "minari-metadata": Reader(_minari, _read_minari, ("lab/slides-v0/data/metadata.json",)),
    "run": Reader(_run, _read_run, ("run/run.json", "run/result.json")),
    "records": Reader(_run, _read_records, ("run/*.jsonl",)),
    "checkpoint": Reader(_run, _read_checkpoint, ("run/checkpoint.safetensors",), summed=True),
    "bundle": Reader(_run, _read_bundle, ("policy/policy.json",)),
    "bundle-tensors": Reader(_run, _read_bundle, ("policy/policy.safetensors",), summed=True),
    "known-returns": Reader(_known, _read_known, ("policy/compared.json",)),
    "mapped": Reader(_read_mapped, _read_mapped, ("mapped/*",), summed=True),
    "rewards": Reader(_read_rewards, _read_rewards, ("hcsac/rewards/table.npy",), summed=True),
    "study": Reader(_study, _read_study, ("study.toml",)),
    "collections": Reader(
        lambda folder: (folder / "sets.toml").write_text(_COLLECTIONS),
        lambda folder: [repr(read_collections(folder / "sets.toml", folder / "out"))],
        ("sets.toml",),
    ),
    "study-record": Reader(_study, _read_record, ("out/study.json", "out/events.jsonl")),
}
