"""The sharing history of a run: which transitions one task took from another, over updates.

As a table, a chart, and the history of one transition.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hcsac.errors import UserError, needs
from hcsac.experiments.words import plural
from hcsac.settings import interval_in_updates
from hcsac.training import RunDirectory, TransitionHistory

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")

COLUMNS = (
    "update",
    "from",
    "to",
    "candidates",
    "shared",
    "fraction",
    "threshold",
    "weight",
    "own Q 5/50/95 %",
    "shared Q 5/50/95 %",
    "assigned reward",
    "target-task reward",
)


def sharing_history_table(run: RunDirectory) -> str:
    """A line per sharing step and direction, each number the mean over the run's seeds; `-` where there is none."""
    lines = [COLUMNS, *(_line(update, pair, group) for update, pair, group in _by_step(run))]
    if len(lines) == 1:
        return f"{run.path} has shared no transitions ({_why_not(run.identity())})."
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
    sharing = settings.get("sharing", "none")  # algorithms that share nothing lack the setting
    rule = f"sharing = {sharing!r}"
    if sharing == "none":
        return rule
    if len(identity["tasks"]) == 1:
        return f"{rule}; its data are of one task"
    epoch, interval = math.ceil(identity["rows"] / settings["batch_size"]), settings["share_interval"]
    first = interval_in_updates(interval, epoch, settings.get("updates") or settings["epochs"] * epoch)
    return f"{rule}; the first sharing step comes after {first} updates, share_interval = {interval:g}"


def draw_sharing_history(run: RunDirectory) -> Path | None:
    """Write `sharing.png` into the run: shared transitions over updates, mean and range over seeds, per direction.

    Returns:
        The path, or None where nothing was shared.

    Raises:
        UserError: the file cannot be written.
    """
    with needs("report"):
        import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    counts: dict[tuple[str, str], list[tuple[int, list[int]]]] = {}
    for update, pair, group in _by_step(run):
        counts.setdefault(pair, []).append((update, [record["borrowed"] for record in group]))
    if not counts:
        return None
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for number, (pair, series) in enumerate(counts.items()):
        updates, colour = [update for update, _ in series], COLOURS[number % len(COLOURS)]
        means = [np.mean(values) for _, values in series]
        axes.plot(updates, means, label=" to ".join(pair), color=colour, marker="o", markersize=3)
        lowest, highest = ([bound(values) for _, values in series] for bound in (min, max))
        axes.fill_between(updates, lowest, highest, color=colour, alpha=0.2, linewidth=0)
    identity = run.identity()
    rule = identity["settings"]["sharing"]
    title = f"{rule} ({plural(len(identity['seeds']), 'seed')})"
    axes.set(xlabel="updates", ylabel="shared transitions", title=title)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    path = run.path / "sharing.png"
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); make {run.path} writable.") from error
    finally:
        plt.close(figure)
    return path


def transition_history_text(history: TransitionHistory) -> str:
    """With which tasks a transition was shared, when and why; a line each."""
    lines = [
        f"transition {history.transition}: {history.task}, episode {history.episode}, step {history.step}, "
        f"reward {history.reward:.4g}"
    ]
    if not history.uses:
        lines.append(f"shared with no task in {plural(history.sharing_steps, 'sharing step')}.")
    for use in history.uses:
        reason = "the rule takes every transition"
        if use.value is not None:
            reason = f"Q {use.value:.6g} >= threshold {use.threshold:.6g}"
            if use.weighted:
                reason = f"Q {use.value:.6g}, threshold {use.threshold:.6g}, so weight {use.weight:.4g}"
            elif (
                use.threshold is not None and use.value < use.threshold
            ):  # of a rule with a threshold for every transition
                reason = f"Q {use.value:.6g}; the mean of all thresholds is {use.threshold:.6g}"
        worth = "not recorded" if use.assigned_reward is None else f"{use.assigned_reward:.4g}"
        lines.append(f"update {use.update}, seed {use.seed}: shared with {use.task}, assigned reward {worth}; {reason}")
    return "\n".join(lines)


def _by_step(run: RunDirectory) -> Iterator[tuple[int, tuple[str, str], list[dict[str, Any]]]]:
    """Update, direction and the records of each seed; records of older runs have fewer keys."""
    groups: dict[tuple[int, tuple[str, str]], list[dict[str, Any]]] = {}
    for record in run.lines("sharing.jsonl"):
        groups.setdefault((record["update"], (record["from"], record["to"])), []).append(record)
    for (update, pair), group in sorted(groups.items(), key=lambda item: item[0][0]):
        yield update, pair, group


def _line(update: int, pair: tuple[str, str], group: list[dict[str, Any]]) -> tuple[str, ...]:
    candidates = group[0]["offered"]
    shared = float(np.mean([record["borrowed"] for record in group]))
    threshold, weight, assigned, target = (
        _mean([record.get(name) for record in group])
        for name in ("threshold", "weight", "claimed_reward", "true_reward")
    )
    return (
        str(update),
        *pair,
        str(candidates),
        f"{shared:.0f}",
        f"{100 * shared / candidates:.1f} %",
        _text(threshold, ".2f"),
        _text(weight, ".3f"),
        _quantiles([record.get("own_q") for record in group]),
        _quantiles([record.get("borrowed_q") for record in group]),
        _text(assigned, ".3f"),
        _text(target, ".3f"),
    )


def _quantiles(of_seeds: list[list[float | None] | None]) -> str:
    """The 5, 50 and 95 % quantiles, each the mean over the seeds that have them."""
    known = [five for five in of_seeds if five is not None]
    return " / ".join(_text(_mean([five[k] for five in known]), ".2f") for k in (0, 2, 4))


def _mean(values: list[Any]) -> float | None:
    """Over the seeds that have a number; None where none has."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
