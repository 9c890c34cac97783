"""Weights after 200 updates of every algorithm and preset: what a change of structure keeps (small, CPU, float32).

    .venv/bin/python -m tests.golden.weights          # compare to the last bit, one line a training
    .venv/bin/python -m tests.golden.weights --write  # after a change that means to move the numbers

Bits are equal on machines of one kind; elsewhere sums of products round otherwise, so the test allows for that.
"""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from safetensors.torch import load_file

import hcsac
from tests.conftest import TASKS, slide_episodes

FILE = Path(__file__).with_name("weights.json")
SMALL = {
    "hidden_size": 32, "batch_size": 32, "updates": 200, "share_interval": 20, "evaluate_interval": 50,
    "evaluation_episodes": 1, "final_episodes": 1, "precision": "float32", "device": "cpu", "compile": "off",
}  # fmt: skip
QUICK = {"bc_warmup": 50}  # so that the warm-up ends within the 200
NAMES = ("bc", "csac", "mtcsac", "hcsac")
TRAININGS = [(name, preset) for name in NAMES for preset in ("slides", "report", "quick")]


class _StopError(Exception):
    pass


class _Stop(hcsac.Callback):
    def on_checkpoint(self, update: int) -> None:
        raise _StopError


def trained(name: str, preset: str, interrupted: bool = False) -> dict[str, torch.Tensor]:
    """The networks of the last checkpoint: two replicas on two light tasks (csac: on one)."""
    data = hcsac.Dataset.from_episodes({task: slide_episodes(task) for task in TASKS})
    if name == "csac":
        data = data.select(["slide-left"])
    settings = hcsac.preset(preset, name)
    changes = SMALL | (QUICK if preset == "quick" else {})
    settings = settings.replace({key: value for key, value in changes.items() if key in settings.as_dict()})
    with tempfile.TemporaryDirectory() as folder:
        if interrupted:
            with contextlib.suppress(_StopError):
                hcsac.train(name, data, folder, settings, (0, 1), progress=False, callbacks=[_Stop()])
        run = hcsac.train(name, data, folder, settings, (0, 1), progress=False, resume=interrupted)
        state = load_file(run.checkpoint)
    networks = tuple(f"agent/{part}" for part in ("actor.", "critic.", "target.", "log_temperature"))
    return {key.removeprefix("agent/"): tensor for key, tensor in state.items() if key.startswith(networks)}


def described(tensors: dict[str, torch.Tensor]) -> dict[str, list]:
    """Of every tensor the digest of its bytes, and mean and mean size for machines that round otherwise."""
    return {
        name: [
            hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()[:16],
            round(tensor.double().mean().item(), 9),
            round(tensor.double().abs().mean().item(), 9),
        ]
        for name, tensor in sorted(tensors.items())
    }


def trainings() -> dict[str, tuple[str, str, bool]]:
    """Its name in the file -> algorithm, preset and whether it is interrupted and resumed."""
    every = {f"{name} {preset}": (name, preset, False) for name, preset in TRAININGS}
    return every | {"hcsac quick, resumed": ("hcsac", "quick", True)}


def main() -> None:
    kept = json.loads(FILE.read_text()) if FILE.exists() else {}
    now = {}
    for label, training in trainings().items():
        now[label] = described(trained(*training))
        before = {name: entry[0] for name, entry in kept.get(label, {}).items()}
        after = {name: entry[0] for name, entry in now[label].items()}
        print(
            f"{label:24} {len(after):3} tensors  {'equal to the bit' if before == after else 'DIFFERENT'}", flush=True
        )
    if "--write" in sys.argv:
        lines = ",\n".join(
            f" {json.dumps(k)}: {{\n" + ",\n".join(f"  {json.dumps(n)}: {json.dumps(v)}" for n, v in e.items()) + "}"
            for k, e in now.items()
        )
        FILE.write_text("{\n" + lines + "}\n")


if __name__ == "__main__":
    main()
