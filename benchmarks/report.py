"""The measured parts as one Markdown page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import updates

HEAD = """# Benchmarks

Made by `python -m benchmarks`, on an otherwise idle machine, from the files in `results/`. Times are medians of
interleaved rounds in one process, so that ratios hold even where a shared machine makes absolute times drift. The
textbook way (`plain.py`) is eager float32 PyTorch with equal semantics; peers that are not installed are left out.
"""


def page(folder: Path) -> str:
    """Every part that was measured."""
    parts = [HEAD]
    for name, (title, body) in SECTIONS.items():
        file = folder / f"{name}.json"
        if file.exists():
            record = json.loads(file.read_text())
            parts.append(f"## {title}\n\n{_machine(record['machine'])}\n\n{body(record['result'])}\n")
    return "\n".join(parts)


def _machine(told: dict[str, Any]) -> str:
    gpu = f", {told['gpu']}" if told["gpu"] else ""
    return (
        f"{told['processor']} ({', '.join(told['instructions'])}), {told['cores']} cores, {told['threads']} threads, "
        f"{told['memory_gib']} GiB{gpu}; Python {told['python']}, PyTorch {told['torch']}."
    )


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _scoring(result: dict[str, Any]) -> str:
    rows = [
        [name, f"{rate['batched']:,.0f}", f"{rate['single']:,.0f}", f"{rate['batched'] / rate['single']:,.0f}"]
        for name, rate in result.items()
    ]
    return _table(["precision", "rows/s, batched", "rows/s, one at a time", "ratio"], rows)


def _sharing(result: dict[str, Any]) -> str:
    rows = [
        [f"{int(count):,}", f"{r['seconds']:.3f}", f"{r['rows_per_second']:,.0f}", f"{r['bytes_per_borrowed_row']:.0f}"]
        for count, r in result.items()
    ]
    return _table(["rows", "s", "rows/s", "bytes a borrowed row"], rows)


def _rates(unit: str) -> Callable[[dict[str, float]], str]:
    return lambda result: _table(
        ["", unit], [[name, f"{value:,.1f}" if value >= 1 else f"{value:.1e}"] for name, value in result.items()]
    )


def _replicas(result: dict[str, float]) -> str:
    one = result["1"]
    rows = [[count, f"{s * 1e3:.2f}", f"{s / one:.2f}", f"{int(count) * one / s:.2f}"] for count, s in result.items()]
    return _table(["replicas", "ms an update of all", "times one", "gain over one after another"], rows)


def _scale(result: dict[str, Any]) -> str:
    rows = [
        [f"{int(count):,}", f"{r['update'] * 1e3:.2f}", f"{r['minibatch'] * 1e6:.0f}", f"{r['arrays'] / 2**20:.0f}",
         f"{r['peak'] / r['arrays']:.2f}"] for count, r in result.items()
    ]  # fmt: skip
    return _table(["rows", "ms an update", "µs a minibatch", "arrays, MiB", "peak memory / arrays"], rows)


SECTIONS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "updates-slides": ("Updates at the slides' sizes", updates.markdown),
    "updates-report": ("Updates at the report's sizes", updates.markdown),
    "replicas": ("Replicas of one run, HCSAC at the slides' sizes", _replicas),
    "scoring": ("Scoring rows under a task's critics", _scoring),
    "sharing": ("One sharing by quantile, scores given", _sharing),
    "rewards": ("The recomputed reward table", _rates("rows/s of one core")),
    "environments": ("Environment steps", _rates("steps/s, or difference")),
    "first-update": ("From the command to the first update", _rates("seconds")),
    "gradient": (
        "Noise of the sampled backward pass, relative to the squared length of the mean gradient",
        lambda result: _table(["", "noise"], [[name, f"{value:.4f}"] for name, value in result.items()]),
    ),
    "scale": ("Update time and memory by rows", _scale),
    "studies": ("A study beside its training", _rates("")),
}
