"""Seconds of an update by the number of actors P, of every algorithm that has several, beside d3rlpy's with one."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks import machine, peers
from benchmarks.updates import A, S, random_data
from hcsac.algorithms import make_algorithm, preset, resolve
from hcsac.algorithms.algorithm import generators
from hcsac.sharing.active import ActiveDataset
from hcsac.types import Spec

# Without what the peer lacks: averaged weights and more normalisation than its own.
ALIKE: dict[str, dict[str, Any]] = {
    "bc": {},
    "td3_bc": {"critic_layer_norm": "none"},
    "iql": {"critic_layer_norm": "none"},
    "rebrac": {},
}
UPDATES = 10_000  # of the run whose updates are timed
CPU = torch.device("cpu")


def update_of(name: str, changes: Mapping[str, Any], at: float = 0.0) -> Callable[[], Any]:
    """A call that samples a minibatch and makes an update, of the stage that a run is in after the part `at` of it."""
    data = random_data(2)
    settings = preset("best", name).replace({"device": "cpu", "compile": "on", "updates": UPDATES, **changes})
    settings = resolve(name, settings, data.task_names)
    made = make_algorithm(name, Spec(S, A, data.task_names), settings, [0], compiled=True)
    active = ActiveDataset(data, made.discount, "keep", generators([0], 2), CPU)

    def update() -> None:
        if made.updates >= UPDATES - 1 or made.updates < at * UPDATES:
            made.updates = round(at * UPDATES)
        made.advance(active.sample(*made.next_draw()))

    return update


def measure(rounds: int) -> dict[str, Any]:
    """Algorithm -> variant -> seconds of an update, and parts of `one_step` -> the same; all of one row in turn."""
    result: dict[str, Any] = {}
    for name, alike in ALIKE.items():
        plain = {"precision": "float32", "policy_average": 0.0, **alike}
        settings = preset("best", name).replace(plain)
        data = random_data(2)
        minibatch = ActiveDataset(data, 0.99, "keep", generators([0], 2), CPU).sample(settings.batch_size)
        variants = {
            "P = 1, float32": update_of(name, plain | {"actors": 1}),
            "P = 1": update_of(name, {"actors": 1}),
            "P = 5": update_of(name, {"actors": 5}),
        }
        result[name] = _timed(variants | peers.contenders(name, settings, minibatch), rounds)
    for part, at in (("critics", 0.0), ("actors", 0.5), ("judges", 0.9)):
        variants = {f"P = {P}": update_of("one_step", {"actors": P}, at) for P in (1, 5)}
        result[f"one_step, {part}"] = _timed(variants, rounds)
    return result


def _timed(variants: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    repeats = {}
    for name, call in variants.items():
        for _ in range(4):  # compiles every stage, and warms caches
            call()
        repeats[name] = 2 * max(1, round(0.25 / machine.timed(call)))  # even: delayed actors move in every second one
    return machine.interleave(variants, rounds, repeats)


def markdown(result: dict[str, Any]) -> str:
    """Milliseconds, and what five actors cost."""
    lines = ["| | P = 1, float32, ms | P = 1, ms | P = 5, ms | P = 5 / P = 1 | another library, eager float32, ms |",
             "| --- | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for name, seconds in result.items():
        own = [f"{seconds[key] * 1e3:.2f}" if key in seconds else "" for key in ("P = 1, float32", "P = 1", "P = 5")]
        other = ", ".join(f"{key}: {value * 1e3:.2f}" for key, value in seconds.items() if not key.startswith("P = "))
        lines.append(f"| {name} | {' | '.join(own)} | {seconds['P = 5'] / seconds['P = 1']:.2f} | {other} |")
    return "\n".join(lines)
