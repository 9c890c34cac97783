"""The tables of a report, as data: the page, the Markdown copy and the terminal show the same ones."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hcsac.evaluation import Estimate, mean_std
from hcsac.experiments.metrics import Metric
from hcsac.experiments.report.load import Finished, LoadedStudy
from hcsac.experiments.report.settings_diff import SettingsDiff
from hcsac.experiments.report.styles import Key, Series
from hcsac.experiments.study import Published
from hcsac.experiments.summary import AlgorithmSummary, Comparison, Summary, TaskSummary
from hcsac.experiments.words import plural
from hcsac.training.progress import duration

NONE = "–"  # noqa: RUF001
# Verdict -> sign and mark of its cell; every other verdict is that something is better.
_SIGNS = {"not told apart": ("○", "same"), "below": ("▼", "down"), "unknown": ("?", "unknown")}


class TableCell(NamedTuple):
    """One cell of a table."""

    text: str
    under: tuple[str, ...] = ()  # smaller lines below it
    mark: str = ""  # how it stands out: best, up, same, down, unknown, changed
    tint: float | None = None  # 0 to 1, from one colour over none to the other


class Table(NamedTuple):
    """A table whose rows come in groups; the first cell of a row is its name."""

    title: str
    columns: tuple[str, ...]
    groups: list[tuple[str, list[list[TableCell]]]]
    note: str = ""
    words: bool = False  # whether its cells are words, which are aligned left
    grouped_by: str = "Dataset"  # what the groups of its rows are


_ByKey = dict[tuple[str, str, Key], TaskSummary]  # (dataset, task, key) -> its summary


def last_table(summary: Summary, series: dict[Key, Series], published: Published) -> Table:
    """Mean ± sample standard deviation over seeds of the last policy, and published numbers.

    Published numbers stand below ours; for algorithms that the study has in several variants or not at all they have a
    column of their own.
    """
    ours = [algorithm for _, algorithm in series]
    separate = [name for name in _published_algorithms(published) if ours.count(name) != 1]
    by_key = by_key_of(summary)
    whole = {(one.dataset, one.key): one for one in summary.algorithms}
    groups = []
    for dataset, tasks in tasks_of_each(summary).items():
        numbers = published.get(dataset, {})
        rows = []
        for task in tasks:
            own = {key: by_key[dataset, task, key] for key in series if (dataset, task, key) in by_key}
            row = _last_cells(own, series, separate, numbers, [task])
            rows.append([TableCell(task), _dataset_return(own.values()), *row])
        if len(tasks) > 1:
            keys = [key for key in series if (dataset, key) in whole]
            complete = {key: whole[dataset, key] for key in keys if set(whole[dataset, key].tasks) == set(tasks)}
            mean = np.mean([_first(by_key, dataset, task).dataset_return for task in tasks])
            row = _last_cells(complete, series, separate, numbers, tasks)
            rows.append([TableCell("average"), TableCell(f"{mean:.1f}"), *row])
        groups.append((dataset, rows))
    columns = ("Task", "Dataset return", *(f"{name.upper()} published" for name in separate), *_names(series))
    episodes = episodes_text(summary)
    note = f"Mean ± sample standard deviation over seeds; {episodes} a seed; the best mean of a row is bold."
    return Table("Last policy", columns, groups, note)


def _last_cells(
    own: Mapping[Key, TaskSummary | AlgorithmSummary],
    series: dict[Key, Series],
    separate: Sequence[str],
    published: Mapping[str, Mapping[str, tuple[float, float | None]]],
    tasks: Sequence[str],
) -> list[TableCell]:
    """The cells of a row of `last_table`: published columns, then the series."""
    top = max((one.mean for one in own.values()), default=np.nan)
    cells = [TableCell(_published_text(published, tasks, name)) for name in separate]
    for key in series:
        if key not in own:
            cells.append(TableCell(NONE))
            continue
        text = NONE if key[1] in separate else _published_text(published, tasks, key[1])
        under = () if text == NONE else (f"published {text}",)
        mark = "best" if own[key].mean == top else ""
        cells.append(TableCell(mean_std_text(own[key].mean, own[key].std), under, mark))
    return cells


def _published_text(
    published: Mapping[str, Mapping[str, tuple[float, float | None]]], tasks: Sequence[str], algorithm: str
) -> str:
    """What is published of an algorithm on a task, or the mean over several tasks."""
    pairs = [published.get(task, {}).get(algorithm) for task in tasks]
    known = [pair for pair in pairs if pair is not None]
    if len(known) < len(tasks):
        return NONE
    return mean_std_text(*known[0]) if len(tasks) == 1 else f"{np.mean([mean for mean, _ in known]):.1f}"


def best_table(summary: Summary, series: dict[Key, Series]) -> Table:
    """The best evaluation of each seed, and its difference to the last policy."""

    def cell(one: TaskSummary) -> TableCell:
        return TableCell(mean_std_text(one.best_mean, one.best_std), (f"{one.gap:+.1f}",))

    note = (
        "The best evaluation of each seed, chosen by its returns, which needs the simulator; below it the difference "
        "to the last policy. Evaluations during training may have fewer episodes."
    )
    table = _by_task("Best of run", summary, series, cell, note)
    by_key = by_key_of(summary)
    for (dataset, rows), tasks in zip(table.groups, tasks_of_each(summary).values(), strict=True):
        if len(tasks) > 1:
            average = [TableCell("average")]
            for key in series:
                own = [by_key[dataset, task, key] for task in tasks if (dataset, task, key) in by_key]
                if len(own) < len(tasks):
                    average.append(TableCell(NONE))
                    continue
                best, gap = np.mean([one.best_mean for one in own]), np.mean([one.gap for one in own])
                average.append(TableCell(f"{best:.1f}", (f"{gap:+.1f}",)))
            rows.append(average)
    return table


def worst_table(summary: Summary, series: dict[Key, Series]) -> Table:
    """The extremes of single episodes."""

    def cell(one: TaskSummary) -> TableCell:
        return TableCell(f"{one.min:.1f}", (f"best {one.max:.1f}",))

    return _by_task("Worst episode of the last policy", summary, series, cell, "Over all seeds and episodes.")


def metric_table(metric: Metric, summary: Summary, series: dict[Key, Series]) -> Table:
    """Mean ± sample standard deviation over seeds of a metric of a plug-in."""
    means = {(one.dataset, one.task, one.key): mean_std(one.metrics[metric.name]) for one in summary.tasks}
    choose = max if metric.better == "higher" else min

    def cell(one: TaskSummary) -> TableCell:
        mean, std = means[one.dataset, one.task, one.key]
        row = [means[one.dataset, one.task, key][0] for key in series if (one.dataset, one.task, key) in means]
        best = choose((value for value in row if not np.isnan(value)), default=np.nan)
        return TableCell(mean_std_text(mean, std), (), "best" if mean == best else "")

    note = (
        f"{metric.caption} Mean ± sample standard deviation over seeds, of the last policy; {metric.better} is better."
    )
    return _by_task(f"Metric {metric.name}", summary, series, cell, note)


def aggregate_table(summary: Summary, series: dict[Key, Series]) -> Table:
    """Interquartile mean of scores and the count of verdicts, for every algorithm."""
    by_key, groups = by_key_of(summary), []
    for dataset, tasks in tasks_of_each(summary).items():
        rows = []
        for one in _algorithms_of(summary, dataset, series):
            verdicts = [by_key[dataset, task, one.key].verdict for task in tasks if (dataset, task, one.key) in by_key]
            row = [TableCell(series[one.key].name), TableCell(interval(one.iqm, ".1f"))]
            row.append(TableCell(mean_std_text(one.score, one.score_std)))
            for word in ("beats its data", "not told apart", "below"):
                count, mark = verdicts.count(word), sign_and_mark(word)[1]
                row.append(TableCell(str(count), (), mark) if count else TableCell(NONE))
            rows.append([*row, TableCell(f"{len(one.seeds)} x {len(one.tasks)}")])
        groups.append((dataset, rows))
    verdict_columns = ("▲ beats its data", "○ not told apart", "▼ below")
    columns = ("Algorithm", "IQM of scores [95 %]", "Mean score ± std", *verdict_columns, "Seeds x tasks")
    return Table("Summary", columns, groups, "Score: 0 is a random policy, 100 an expert trained online.")


def improvement_table(comparison: Comparison, series: dict[Key, Series]) -> Table:
    """The probability that the row's algorithm returns more than the column's."""
    keys, probability = comparison.keys, comparison.probability
    rows = []
    for i, key in enumerate(keys):
        row = [TableCell(series[key].name)]
        for j in range(len(keys)):
            if i == j or np.isnan(probability.value[i, j]):
                row.append(TableCell(NONE))
                continue
            value, low, high = float(probability.value[i, j]), probability.low[i, j], probability.high[i, j]
            ends = () if np.isnan(low) else (f"[{low:.2f}, {high:.2f}]",)
            row.append(TableCell(f"{value:.2f}", ends, "", value))
        rows.append(row)
    return Table(comparison.dataset, ("row over column", *(series[key].name for key in keys)), [("", rows)])


def time_table(finished: Sequence[Finished], series: dict[Key, Series]) -> Table:
    """Time of a run and updates per second, by dataset."""
    groups: dict[tuple[str, Key], list[dict[str, Any]]] = {}
    for one in finished:
        groups.setdefault((one.run.dataset, one.run.key), []).append(one.result)
    rows = []
    for dataset in dict.fromkeys(dataset for dataset, _ in groups):
        cells = [_time_cell(groups.get((dataset, key), [])) for key in series]
        rows.append([TableCell(dataset), *cells])
    note = "Mean time of a run with its evaluations, since it was last resumed; updates per second without them."
    return Table("Run time", ("Dataset", *_names(series)), [("", rows)], note)


def _time_cell(results: list[dict[str, Any]]) -> TableCell:
    if not results:
        return TableCell(NONE)
    speeds = [result["updates_per_second"] for result in results]
    low, high = min(speeds), max(speeds)
    speed = f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"
    mean = float(np.mean([result["seconds"] for result in results]))
    return TableCell(duration(mean), (f"{speed} updates/s", plural(len(results), "run")))


def runs_table(loaded: LoadedStudy) -> Table:
    """Every run: its state, length, time and speed."""
    results = {one.run.path: one.result for one in loaded.finished}
    rows = []
    for run, state, error in loaded.states:
        mark = "" if state == "finished" else "down"
        row = [TableCell(run.label), TableCell(state, (error,) if error else (), mark)]
        result = results.get(run.path)
        if result is None:
            row += [TableCell(NONE)] * 4
        else:
            evaluating = duration(result["seconds_evaluating"]) if "seconds_evaluating" in result else NONE
            row += [
                TableCell(f"{result['updates']:,}"),
                TableCell(duration(result["seconds"])),
                TableCell(evaluating),
                TableCell(f"{result['updates_per_second']:.1f}"),
            ]
        rows.append(row)
    return Table("Runs", ("Run", "State", "Updates", "Time", "Evaluating", "Updates/s"), [("", rows)])


def settings_table(diff: SettingsDiff) -> Table:
    """Settings that differ, a row for every set of values; values that most runs do not have are marked."""
    rows = []
    for labels, values in diff.rows:
        cells = [
            TableCell(format_value(value), (), "changed" if value != usual else "")
            for value, usual in zip(values, diff.usual, strict=True)
        ]
        rows.append([TableCell(", ".join(labels)), *cells])
    return Table("Settings that differ", ("Runs", *diff.names), [("", rows)] if diff.names else [], words=True)


def format_value(value: Any) -> str:
    """A setting's value as text."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def sign_and_mark(verdict: str) -> tuple[str, str]:
    """How a verdict is shown."""
    return _SIGNS.get(verdict, ("▲", "up"))


def interval(estimate: Estimate, form: str) -> str:
    """Value and interval; the value alone where the interval is unknown."""
    if np.isnan(estimate.value):
        return NONE
    text = format(estimate.value, form)
    return text if np.isnan(estimate.low) else f"{text} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _by_task(
    title: str, summary: Summary, series: dict[Key, Series], cell: Callable[[TaskSummary], TableCell], note: str
) -> Table:
    """A row for each task, a column for each series."""
    by_key, groups = by_key_of(summary), []
    for dataset, tasks in tasks_of_each(summary).items():
        rows = []
        for task in tasks:
            own = (by_key.get((dataset, task, key)) for key in series)
            rows.append([TableCell(task), *(TableCell(NONE) if one is None else cell(one) for one in own)])
        groups.append((dataset, rows))
    return Table(title, ("Task", *_names(series)), groups, note)


def by_key_of(summary: Summary) -> _ByKey:
    """Every algorithm on every task."""
    return {(one.dataset, one.task, one.key): one for one in summary.tasks}


def tasks_of_each(summary: Summary) -> dict[str, list[str]]:
    """Dataset -> its tasks."""
    tasks_of: dict[str, list[str]] = {}
    for one in summary.tasks:
        tasks = tasks_of.setdefault(one.dataset, [])
        if one.task not in tasks:
            tasks.append(one.task)
    return tasks_of


def _algorithms_of(summary: Summary, dataset: str, series: dict[Key, Series]) -> list[AlgorithmSummary]:
    own = {one.key: one for one in summary.algorithms if one.dataset == dataset}
    return [own[key] for key in series if key in own]


def _first(by_key: _ByKey, dataset: str, task: str) -> TaskSummary:
    return next(one for (place, name, _), one in by_key.items() if (place, name) == (dataset, task))


def _dataset_return(summaries: Iterable[TaskSummary]) -> TableCell:
    """One number, or the range where variants were trained on different data."""
    values = [one.dataset_return for one in summaries]
    text = f"{min(values):.1f}"
    return TableCell(text if f"{max(values):.1f}" == text else f"{text} to {max(values):.1f}")


def _published_algorithms(published: Published) -> list[str]:
    return list(dict.fromkeys(name for tasks in published.values() for numbers in tasks.values() for name in numbers))


def _names(series: dict[Key, Series]) -> tuple[str, ...]:
    return tuple(one.name for one in series.values())


def episodes_text(summary: Summary) -> str:
    """How many a seed has: `20 episodes`, or a range."""
    counts = sorted({one.episodes for one in summary.tasks})
    return plural(counts[0], "episode") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} episodes"


def mean_std_text(mean: float, std: float | None = None) -> str:
    """`1.0 ± 0.2`, or the mean alone."""
    if np.isnan(mean):
        return NONE
    return f"{mean:.1f}" if std is None or np.isnan(std) else f"{mean:.1f} ± {std:.1f}"
