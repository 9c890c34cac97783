"""What is installed on this machine, and whether all of it works together: data, training, simulator, export."""

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hcsac import machine
from hcsac.algorithms import preset, resolve
from hcsac.data import Dataset, load
from hcsac.errors import UserError
from hcsac.evaluation import RenderUnavailable, find_backend
from hcsac.files import cache_folder
from hcsac.policy import export_policy, load_policy
from hcsac.training import RunDirectory, last_returns, train

PACKAGES = ("hcsac", "torch", "numpy", "gymnasium", "mujoco", "dm-control", "minari", "h5py", "safetensors", "onnx")
OPTIONAL = ("ray", "wandb", "mlflow-skinny", "trackio", "onnxruntime")
_TASKS = ("walker-walk", "walker-run")


def facts() -> Iterator[tuple[str, str]]:
    """Name and text of what decides speed and results here: versions, processor, memory, devices, folders."""
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    yield "packages", ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    yield "optional", ", ".join(f"{name} {_version(name)}" for name in OPTIONAL)
    known = ", ".join(machine.instructions()) or "no AVX2"
    yield "processor", f"{machine.processor()}, {machine.cores()} cores ({known})"
    if (memory := machine.memory()) is not None:
        yield "memory", f"{memory / 2**30:.0f} GiB"
    yield "threads", f"{torch.get_num_threads()} (--threads or OMP_NUM_THREADS change it)"
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield "gpus", ", ".join(devices) or "none that PyTorch sees"
    resolved = resolve("bc", preset("best", "bc"), _TASKS)
    yield "precision", f"{resolved.precision} where it is auto, as in the presets quick and best"
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    yield "compiler", compiler or "none: updates are not compiled, which takes up to twice as long (install g++)"
    try:
        yield "rendering", find_backend()
    except RenderUnavailable as error:
        yield "rendering", str(error)
    yield "datasets", os.environ.get("MINARI_DATASETS_PATH", str(Path.home() / ".minari" / "datasets"))
    yield "cache", str(cache_folder(""))


def checks() -> Generator[tuple[str, Callable[[], str]], None, None]:
    """Name of a step, and a function that does it and says what came of it; each needs those before it.

    A step raises whatever goes wrong. Nothing stays on the disk once the last one is done.
    """
    with tempfile.TemporaryDirectory(prefix="hcsac-doctor-") as folder:
        made: dict[str, Any] = {}

        def data() -> str:
            made["data"] = load([f"sample/{task}-medium-v0" for task in _TASKS])
            return f"{len(made['data']):,} transitions of {len(_TASKS)} tasks"

        def training() -> str:
            made["run"] = _train(made["data"], Path(folder) / "run")
            return "60 updates of mtcsac"

        def simulator() -> str:
            returns = [last_returns(made["run"], task).mean() for task in _TASKS]
            return f"returns of 50 steps: {', '.join(f'{value:.1f}' for value in returns)}"

        def export() -> str:
            made["bundle"] = export_policy(made["run"].path, Path(folder) / "policy").path
            return "safetensors and ONNX, whose actions agree"

        def policy() -> str:
            observation = made["data"].observations[0]
            ours, theirs = (
                load_policy(path).act(observation, _TASKS[0]) for path in (made["run"].path, made["bundle"])
            )
            if not np.array_equal(ours, theirs):
                raise UserError(f"the exported policy acts otherwise than the run: {theirs}, not {ours}.")
            return "the exported policy acts as the run does"

        yield from {
            "data": data,
            "training": training,
            "simulator": simulator,
            "export": export,
            "policy": policy,
        }.items()


def _train(data: Dataset, path: Path) -> RunDirectory:
    settings = preset("quick", "mtcsac").replace(
        {"updates": 60, "hidden_size": 64, "evaluation_episodes": 1, "final_episodes": 1, "evaluation_steps": 50,
         "compile": "off"}
    )  # fmt: skip
    return train("mtcsac", data, path, settings, progress=False)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
