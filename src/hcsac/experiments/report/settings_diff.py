"""Small facts of the runs: the settings that set them apart, what their sharing moved, how long they took."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hcsac.experiments.report.load import Finished
from hcsac.experiments.report.styles import Key


class Apart(NamedTuple):
    """The settings that differ between cells."""

    names: tuple[str, ...]
    rows: list[tuple[list[str], tuple[Any, ...]]]  # labels of the cells that have these values, and the values
    usual: tuple[Any, ...]  # of every name the value that most cells have
    common: dict[str, Any]  # what all cells agree on


class Stream(NamedTuple):
    """What one direction of sharing moved over U sharings, over the seeds of one series on one dataset."""

    dataset: str
    key: Key
    source: str
    target: str
    updates: np.ndarray  # [U]
    borrowed: np.ndarray  # [U] mean over seeds
    least: np.ndarray  # [U] over seeds
    most: np.ndarray
    claimed: np.ndarray  # [U] mean reward of the rows as they are paid; NaN where nothing was borrowed
    true: np.ndarray  # [U] mean reward they would have earned; NaN where unknown


def settings_apart(cells: Sequence[tuple[str, dict[str, Any]]]) -> Apart:
    """Which of the settings of labelled cells differ, and which do not; a setting that some lack is None there."""
    names = list(dict.fromkeys(name for _, settings in cells for name in settings))
    values = {name: [settings.get(name) for _, settings in cells] for name in names}
    apart = tuple(name for name in names if any(value != values[name][0] for value in values[name]))
    rows: list[tuple[list[str], tuple[Any, ...]]] = []
    for label, settings in cells:
        own = tuple(settings.get(name) for name in apart)
        for labels, held in rows:
            if held == own:
                if label not in labels:
                    labels.append(label)
                break
        else:
            rows.append(([label], own))
    usual = tuple(max(values[name], key=values[name].count) for name in apart)
    return Apart(apart, rows, usual, {name: values[name][0] for name in names if name not in apart})


def streams(finished: Sequence[Finished]) -> list[Stream]:
    """What the runs that share moved, direction by direction."""
    held: dict[tuple[str, Key, str, str], dict[int, list[dict[str, Any]]]] = {}
    for one in finished:
        for record in one.run.lines("sharing.jsonl"):
            where = one.cell.dataset, (one.cell.variant, one.cell.agent), record["from"], record["to"]
            held.setdefault(where, {}).setdefault(record["update"], []).append(record)
    found = []
    for (dataset, key, source, target), by_update in held.items():
        updates = sorted(by_update)
        borrowed = [[record["borrowed"] for record in by_update[update]] for update in updates]
        claimed, true = (
            [_mean([record.get(name) for record in by_update[update]]) for update in updates]
            for name in ("claimed_reward", "true_reward")
        )
        found.append(
            Stream(
                dataset, key, source, target, np.array(updates),
                np.array([np.mean(rows) for rows in borrowed]), np.array([min(rows) for rows in borrowed]),
                np.array([max(rows) for rows in borrowed]), np.array(claimed), np.array(true),
            )
        )  # fmt: skip
    return found


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
