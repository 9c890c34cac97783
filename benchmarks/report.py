"""All measured parts as one Markdown page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import actors, updates

HEAD = """# Benchmarks

Written by `python -m benchmarks` from the files in `results/`; measured on an otherwise idle machine. Times are medians
of rounds in which all implementations run in turn in one process, so that ratios are stable where times are not. The
baseline, "textbook" (`plain.py`), is eager float32 PyTorch with the same semantics. d3rlpy and TorchRL are omitted if
they are not installed.
"""


def page(folder: Path) -> str:
    """The page of all parts with a file in `folder`."""
    parts = [HEAD]
    for name, (title, body) in SECTIONS.items():
        file = folder / f"{name}.json"
        if file.exists():
            record = json.loads(file.read_text())
            made_by = f"`python -m benchmarks {name}`"
            parts.append(f"## {title}\n\n{made_by}; {_machine(record['machine'])}\n\n{body(record['result'])}\n")
    return "\n".join(parts)


def _machine(record: dict[str, Any]) -> str:
    gpu = f", {record['gpu']}" if record["gpu"] else ""
    return (
        f"{record['processor']} ({', '.join(record['instructions'])}), {record['cores']} cores, "
        f"{record['threads']} threads, {record['memory_gib']} GiB{gpu}; "
        f"Python {record['python']}, PyTorch {record['torch']}."
    )


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _scoring(result: dict[str, Any]) -> str:
    rows = [
        [name, f"{rate['batched']:,.0f}", f"{rate['single']:,.0f}", f"{rate['batched'] / rate['single']:,.0f}"]
        for name, rate in result.items()
    ]
    return _table(["precision", "values/s, batched", "values/s, one at a time", "ratio"], rows)


def _sharing(result: dict[str, Any]) -> str:
    rows = [
        [f"{int(count):,}", f"{r['seconds']:.3f}", f"{r['rows_per_second']:,.0f}", f"{r['bytes_per_borrowed_row']:.0f}"]
        for count, r in result.items()
    ]
    return _table(["transitions", "s", "transitions/s", "bytes a shared transition"], rows)


def _rates(unit: str) -> Callable[[dict[str, float]], str]:
    return lambda result: _table(
        ["", unit], [[name, f"{value:,.1f}" if value >= 1 else f"{value:.1e}"] for name, value in result.items()]
    )


def _replicas(result: dict[str, float]) -> str:
    one = result["1"]
    rows = [[count, f"{s * 1e3:.2f}", f"{s / one:.2f}", f"{int(count) * one / s:.2f}"] for count, s in result.items()]
    return _table(["replicas", "ms an update of all", "time / one replica", "speedup over one after another"], rows)


def _scale(result: dict[str, Any]) -> str:
    rows = [
        [f"{int(count):,}", f"{r['update'] * 1e3:.2f}", f"{r['minibatch'] * 1e6:.0f}", f"{r['arrays'] / 2**20:.0f}",
         f"{r['peak'] / r['arrays']:.2f}"] for count, r in result.items()
    ]  # fmt: skip
    return _table(["transitions", "ms an update", "µs a minibatch", "arrays, MiB", "peak memory / arrays"], rows)


def _many_tasks(result: dict[str, Any]) -> str:
    rows = [
        [*(f"{int(size):,}" for size in name.split()), f"{r['pairs']:,}", f"{r['rewards']:.1f}", f"{r['sharing']:.2f}",
         f"{r['minibatch'] * 1e3:.2f}", f"{r['memory'] / 2**20:,.0f}", f"{r['checkpoint'] / 1e3:,.0f}"]
        for name, r in result.items()
    ]  # fmt: skip
    head = ["tasks", "transitions", "shared", "s, rewards", "s, sharing", "ms a minibatch", "MiB beyond the data",
            "kB in a checkpoint"]  # fmt: skip
    return _table(head, rows)


def _check(result: dict[str, Any]) -> str:
    rows = [
        [f"{int(count):,}", f"{r['seconds']:.0f}", f"{int(count) / r['seconds']:,.0f}", f"{r['data'] / 2**20:,.0f}",
         f"{r['peak'] / 2**20:,.0f}"] for count, r in result.items()
    ]  # fmt: skip
    return _table(["steps", "processor s", "steps/s", "data, MiB", "peak memory beside the data, MiB"], rows)


def _import(result: dict[str, float]) -> str:
    first = [[name, f"{result[name]:,.0f}"] for name in ("h5py reads the flat file", "import")]
    names = [name.removeprefix("compress, ") for name in result if name.startswith("compress, ")]
    rows = [
        [
            name,
            f"{result[f'compress, {name}']:,.0f}",
            f"{result[f'read, {name}']:,.0f}",
            f"{result[f'size, {name}']:.2f}",
        ]
        for name in names
    ]
    second = _table(["compression of the Minari file", "steps/s, rewriting", "steps/s, reading", "size / none"], rows)
    return f"{_table(['', 'steps/s of one core'], first)}\n\n{second}"


SECTIONS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "updates-slides": ("Updates at the slides' sizes", updates.markdown),
    "updates-report": ("Updates at the report's sizes", updates.markdown),
    "actors": ("Updates with P actors, preset best, two tasks, compiled", actors.markdown),
    "replicas": ("Replicas of one run, HCSAC at the slides' sizes", _replicas),
    "scoring": ("Values of transitions, Q of one task's critics", _scoring),
    "sharing": ("One sharing step by quantile, without computing values", _sharing),
    "rewards": ("The recomputed reward table", _rates("transitions/s of one core")),
    "environments": ("Environment steps", _rates("steps/s, or difference")),
    "first-update": ("From the command to the first update", _rates("seconds")),
    "gradient": (
        "Variance of the sampled backward pass, relative to the squared length of the mean gradient",
        lambda result: _table(["", "variance"], [[name, f"{value:.4f}"] for name, value in result.items()]),
    ),
    "scale": ("Time of an update and memory, by the number of transitions", _scale),
    "many-tasks": (
        "All transitions shared between all tasks, exact rewards (as drawn where a table takes more than half a GiB)",
        _many_tasks,
    ),
    "check": (
        "`hcsac data check` of 24 observations and 6 actions, without simulator states, on a busy machine",
        _check,
    ),
    "import": ("`hcsac data import` of 100,000 steps from flat HDF5, gzip 1 by default, on a busy machine", _import),
    "studies": ("Studies, without training", _rates("")),
}
