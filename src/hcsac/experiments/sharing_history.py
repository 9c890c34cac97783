"""The flow of a run: which rows went from which task to which, over time, as a table, a picture and one row's story."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hcsac.errors import UserError
from hcsac.training import RowHistory, RunDirectory

# Okabe and Ito's palette, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")

COLUMNS = ("update", "from", "to", "offered", "borrowed", "share", "threshold", "weight",
           "own Q 5/50/95 %", "borrowed Q 5/50/95 %", "claimed", "true")  # fmt: skip


def flow_table(run: RunDirectory) -> str:
    """A line for every sharing and direction, each number the mean over the run's seeds; `-` where there is none."""
    lines = [COLUMNS, *(_line(update, pair, group) for update, pair, group in _groups(run))]
    if len(lines) == 1:
        return f"{run.path} has shared no rows ({_why_not(run.identity())})."
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column in (1, 2) else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _why_not(identity: dict[str, Any]) -> str:
    settings = identity["settings"]
    said = f"sharing = {settings['sharing']!r}"
    if settings["sharing"] == "none":
        return said
    if len(identity["tasks"]) == 1:
        return f"{said}; its data hold one task"
    epochs, updates = settings["share_interval"], math.ceil(identity["rows"] / settings["batch_size"])
    return f"{said}; the first sharing comes after {epochs * updates} updates, share_interval = {epochs} epochs"


def draw_flow(run: RunDirectory) -> Path | None:
    """Write `sharing.png` into the run: rows borrowed over updates, mean and range over the seeds, for every direction.

    None where nothing was shared.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    counts: dict[tuple[str, str], list[tuple[int, list[int]]]] = {}
    for update, pair, group in _groups(run):
        counts.setdefault(pair, []).append((update, [record["borrowed"] for record in group]))
    if not counts:
        return None
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for number, (pair, series) in enumerate(counts.items()):
        updates, colour = [update for update, _ in series], COLOURS[number % len(COLOURS)]
        axes.plot(updates, [np.mean(rows) for _, rows in series], label=" to ".join(pair), color=colour, marker="o",
                  markersize=3)  # fmt: skip
        least, most = ([bound(rows) for _, rows in series] for bound in (min, max))
        axes.fill_between(updates, least, most, color=colour, alpha=0.2, linewidth=0)
    identity = run.identity()
    seeds, rule = len(identity["seeds"]), identity["settings"]["sharing"]
    axes.set(xlabel="updates", ylabel="rows borrowed", title=f"{rule} ({seeds} seed{'s' if seeds > 1 else ''})")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    path = run.path / "sharing.png"
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); make {run.path} writeable.") from error
    finally:
        plt.close(figure)
    return path


def row_story(history: RowHistory) -> str:
    """Who borrowed a row, when and why, as sentences."""
    where = f"row {history.row}: {history.task}, episode {history.episode}, step {history.step}"
    lines = [f"{where}, reward {history.reward:.4g}"]
    if not history.borrowings:
        lines.append(f"no task has borrowed it in {history.sharings} sharing{'s' * (history.sharings != 1)}.")
    for b in history.borrowings:
        reason = "the rule takes every row"
        if b.value is not None:
            reason = f"Q {b.value:.6g} >= threshold {b.threshold:.6g}"
            if b.weighted:
                reason = f"Q {b.value:.6g} against threshold {b.threshold:.6g} weighs {b.weight:.4g}"
        lines.append(f"update {b.update}, seed {b.seed}: borrowed by {b.task}, claiming {b.claimed:.4g}; {reason}")
    return "\n".join(lines)


def _groups(run: RunDirectory) -> Iterator[tuple[int, tuple[str, str], list[dict[str, Any]]]]:
    """The records of each sharing and direction, one per seed; older runs' records say less."""
    groups: dict[tuple[int, tuple[str, str]], list[dict[str, Any]]] = {}
    for record in run.lines("sharing.jsonl"):
        groups.setdefault((record["update"], (record["from"], record["to"])), []).append(record)
    for (update, pair), group in sorted(groups.items(), key=lambda item: item[0][0]):
        yield update, pair, group


def _line(update: int, pair: tuple[str, str], group: list[dict[str, Any]]) -> tuple[str, ...]:
    offered, borrowed = group[0]["offered"], _mean([record["borrowed"] for record in group])
    assert borrowed is not None
    numbers = {name: _mean([record.get(name) for record in group])
               for name in ("threshold", "weight", "claimed_reward", "true_reward")}  # fmt: skip
    return (
        str(update), *pair, str(offered), f"{borrowed:.0f}", f"{100 * borrowed / offered:.1f} %",
        _text(numbers["threshold"], ".2f"), _text(numbers["weight"], ".3f"),
        _spread([record.get("own_q") for record in group]), _spread([record.get("borrowed_q") for record in group]),
        _text(numbers["claimed_reward"], ".3f"), _text(numbers["true_reward"], ".3f"),
    )  # fmt: skip


def _spread(quantiles: list[list[float | None] | None]) -> str:
    held = [five for five in quantiles if five is not None]
    return " / ".join(_text(_mean([five[k] for five in held]), ".2f") for k in (0, 2, 4))


def _mean(values: list[Any]) -> float | None:
    """Over the seeds that have a number; None where none has."""
    held = [value for value in values if value is not None]
    return float(np.mean(held)) if held else None


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
