"""Seconds of an update of every algorithm: textbook baseline, ours, and other libraries, in turn in one process."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks import flops, machine, peers, plain
from hcsac.algorithms import make_algorithm, preset, resolve
from hcsac.algorithms.algorithm import generators
from hcsac.data import Dataset
from hcsac.settings import Settings, applicable
from hcsac.sharing.active import ActiveDataset
from hcsac.training.cuda_graph import UPDATES_PER_GRAPH, Updates, cuda_capture
from hcsac.training.memory import keep_freed_memory
from hcsac.types import Spec

S, A, ROWS, EPISODE = 24, 6, 100_000, 1000  # walker's sizes
CPU = torch.device("cpu")


def random_data(tasks: int, rows: int = ROWS) -> Dataset:
    """Random data of walker's sizes; the time of an update does not depend on the values."""
    rng = np.random.default_rng(0)
    episodes = rows // EPISODE
    action = rng.random((rows, A), dtype=np.float32)
    action *= 2  # in place, because temporary arrays would count as memory of the data
    action -= 1
    return Dataset(
        observations=rng.standard_normal((rows + episodes, S), dtype=np.float32),
        action=action,
        reward=rng.random(rows, dtype=np.float32),
        terminated=np.zeros(rows, bool),
        task=np.repeat(np.arange(tasks), rows // tasks),
        physics=None,
        episode_start=np.arange(0, rows + 1, EPISODE),
        episode_return=np.zeros(episodes),
        task_names=tuple(f"task-{i}" for i in range(tasks)),
    )


def slides_settings(algorithm: str, changes: Mapping[str, Any]) -> Settings:
    """The slides' settings with those of `changes` that the algorithm has."""
    settings = preset("slides", algorithm)
    return settings.replace(applicable(type(settings), changes))


def ours(
    agent: str, settings: Settings, data: Dataset, seeds: Sequence[int] = (0,), device: str = "cpu"
) -> Callable[[], Any]:
    """A call that samples a minibatch and makes an update, as the training loop does; on a GPU several in one graph."""
    settings = resolve(agent, settings.replace({"device": device}), data.task_names)
    where = torch.device(settings.device)
    spec = Spec(S, A, data.task_names)
    made = make_algorithm(agent, spec, settings, seeds, compiled=settings.compile == "on")
    active = ActiveDataset(data, made.discount, "keep", generators(seeds, 2, where), where)
    capture = cuda_capture([*made.random.generators, *active.generators]) if where.type == "cuda" else None
    updates = Updates(made, active, capture)
    return lambda: updates.advance(updates.span)


def replicas(counts: Sequence[int], rounds: int) -> dict[str, Any]:
    """Seconds of an HCSAC update at the slides' sizes, by the number of replicas; on a GPU if there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    fast = {"compile": "on", "precision": "auto"}
    calls = {
        str(R): ours("hcsac", preset("slides", "hcsac").replace(fast), random_data(2), range(R), device) for R in counts
    }

    def finished(call: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> None:
            call()
            if device == "cuda":
                torch.cuda.synchronize()

        return run

    timed = {name: finished(call) for name, call in calls.items()}
    for call in timed.values():
        for _ in range(4):  # compiles, and captures on a GPU
            call()
    seconds = machine.interleave(timed, rounds, dict.fromkeys(timed, 3))
    span = UPDATES_PER_GRAPH if device == "cuda" else 1
    return {name: value / span for name, value in seconds.items()}


def textbook(agent: str, settings: Settings, data: Dataset) -> Callable[[], Any]:
    """A call that samples a minibatch and makes a textbook update."""
    kind = plain.PlainBC if agent == "bc" else plain.PlainSAC
    made, active = kind(S, A, data.num_tasks, settings), _active(data, settings)
    return lambda: made.update(active.sample(settings.batch_size))


def _active(data: Dataset, settings: Settings) -> ActiveDataset:
    return ActiveDataset(data, 0.99, "keep", generators([0], 2), CPU)


def measure(sizes: str, rounds: int) -> dict[str, Any]:
    """All implementations at the sizes of a preset; semantics (`next_actions`, entropy) are the slides'."""
    keep_freed_memory()  # as every training does; it speeds up the others, too
    names = ("hidden_layers", "hidden_size", "batch_size", "cql_samples")
    results: dict[str, Any] = {}
    for agent in ("bc", "csac", "hcsac") if sizes == "slides" else ("bc", "hcsac"):  # report: CSAC as large as HCSAC
        sized = {name: getattr(preset(sizes, "hcsac"), name) for name in names}
        settings = slides_settings(agent, sized)
        data = random_data(1 if agent == "csac" else 2)
        variants = {
            "textbook": textbook(agent, settings, data),
            "ours, float32, eager": ours(agent, settings.replace({"compile": "off"}), data),
            "ours, float32": ours(agent, settings.replace({"compile": "on"}), data),
            "ours, bf16": ours(agent, settings.replace({"compile": "on", "precision": "bf16"}), data),
        }
        if agent != "bc":
            sampled = {"compile": "on", "precision": "bf16", "cql_backward": "sampled"}
            variants["ours, bf16, sampled backward"] = ours(agent, settings.replace(sampled), data)
            third = settings.replace({"compile": "on", "next_actions": "online_at_state"})
            variants["ours, float32, the peers' proposals"] = ours(agent, third, data)
        variants |= peers.contenders(agent, settings, _active(data, settings).sample(settings.batch_size))
        repeats = {}
        for name, call in variants.items():
            for _ in range(3):  # compiles, and warms caches
                call()
            repeats[name] = max(1, round(0.5 / machine.timed(call)))
        seconds = machine.interleave(variants, rounds, repeats)
        count = (flops.of_bc if agent == "bc" else flops.of_conservative_sac)(settings, S, A)
        results[agent] = {"flops": count, "seconds": seconds}
    H, rows = sized["hidden_size"], sized["batch_size"] * (1 + 2 * sized["cql_samples"])
    rates = {name: machine.matmul_rate((2, rows, H, H), dtype, 50)
             for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16))}  # fmt: skip
    return {"sizes": sized, "matmul_flops_per_second": rates, "agents": results}


def markdown(result: dict[str, Any]) -> str:
    """Milliseconds, speed relative to the baseline, and fraction of the roofline."""
    lines = []
    sized, rates = result["sizes"], result["matmul_flops_per_second"]
    lines.append(
        f"{sized['hidden_layers']} x {sized['hidden_size']} units, batch {sized['batch_size']}; matrix products of "
        f"[2, {sized['batch_size'] * (1 + 2 * sized['cql_samples'])}, {sized['hidden_size']}] by "
        f"[2, {sized['hidden_size']}, {sized['hidden_size']}] reach {rates['float32'] / 1e9:.0f} GFLOP/s in float32, "
        f"{rates['bf16'] / 1e9:.0f} in bf16."
    )
    for agent, measured in result["agents"].items():
        base = measured["seconds"]["textbook"]
        lines += [
            "",
            f"{agent.upper()}, {measured['flops'] / 1e9:.2f} GFLOP an update:",
            "",
            "| implementation | ms an update | updates/s | speed / textbook | of the roofline |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for name, seconds in measured["seconds"].items():
            rate = rates["bf16" if "bf16" in name else "float32"]
            fraction = f"{measured['flops'] / rate / seconds:.0%}" if name.startswith("ours") else ""
            if "sampled" in name or "peers" in name:
                fraction = ""  # not the operations that were counted
            lines.append(f"| {name} | {seconds * 1e3:.2f} | {1 / seconds:.1f} | {base / seconds:.2f} | {fraction} |")
    return "\n".join(lines)
