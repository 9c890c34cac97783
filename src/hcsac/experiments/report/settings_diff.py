"""Settings that differ between runs, and what their sharing moved."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hcsac.experiments.report.load import Finished
from hcsac.experiments.report.styles import Key


class SettingsDiff(NamedTuple):
    """The settings that differ between runs, and those that do not."""

    names: tuple[str, ...]
    rows: list[tuple[list[str], tuple[Any, ...]]]  # labels of the runs that have these values, and the values
    usual: tuple[Any, ...]  # of every name the value that most runs have
    common: dict[str, Any]  # settings that are the same in all runs


class SharingSeries(NamedTuple):
    """What one direction of sharing moved in U sharing steps, over the seeds of one series on one dataset."""

    dataset: str
    key: Key
    source: str
    target: str
    updates: np.ndarray  # [U]
    shared: np.ndarray  # [U] transitions, mean over seeds
    lowest: np.ndarray  # [U] over seeds
    highest: np.ndarray  # [U]
    assigned: np.ndarray  # [U] mean assigned reward of the shared transitions; NaN where none was shared
    target_reward: np.ndarray  # [U] their mean target-task reward; NaN where unknown


def settings_diff(runs: Sequence[tuple[str, dict[str, Any]]]) -> SettingsDiff:
    """Compare the settings of labelled runs; a setting that some of them lack is None there."""
    names = list(dict.fromkeys(name for _, settings in runs for name in settings))
    values = {name: [settings.get(name) for _, settings in runs] for name in names}
    differing = tuple(name for name in names if any(value != values[name][0] for value in values[name]))
    rows: list[tuple[list[str], tuple[Any, ...]]] = []
    for label, settings in runs:
        own = tuple(settings.get(name) for name in differing)
        labels = next((labels for labels, row in rows if row == own), None)
        if labels is None:
            rows.append(([label], own))
        elif label not in labels:
            labels.append(label)
    usual = tuple(max(values[name], key=values[name].count) for name in differing)
    return SettingsDiff(differing, rows, usual, {name: values[name][0] for name in names if name not in differing})


def sharing_series(finished: Sequence[Finished]) -> list[SharingSeries]:
    """What the runs shared, direction by direction."""
    records: dict[tuple[str, Key, str, str], dict[int, list[dict[str, Any]]]] = {}
    for one in finished:
        for record in one.directory.lines("sharing.jsonl"):
            direction = one.run.dataset, one.run.key, record["from"], record["to"]
            records.setdefault(direction, {}).setdefault(record["update"], []).append(record)
    series = []
    for (dataset, key, source, target), by_update in records.items():
        updates = sorted(by_update)
        shared = [[record["borrowed"] for record in by_update[update]] for update in updates]
        assigned, target_reward = (
            np.array([_mean([record.get(name) for record in by_update[update]]) for update in updates])
            for name in ("claimed_reward", "true_reward")
        )
        series.append(
            SharingSeries(
                dataset=dataset,
                key=key,
                source=source,
                target=target,
                updates=np.array(updates),
                shared=np.array([np.mean(counts) for counts in shared]),
                lowest=np.array([min(counts) for counts in shared]),
                highest=np.array([max(counts) for counts in shared]),
                assigned=assigned,
                target_reward=target_reward,
            )
        )
    return series


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
