"""The content of a report, in order: sections of texts, tables, charts and clips, independent of the output format."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import NamedTuple

import numpy as np

from hcsac.experiments.metrics import extra_metrics
from hcsac.experiments.report import charts, tables
from hcsac.experiments.report.cells import cells_table
from hcsac.experiments.report.charts import Chart
from hcsac.experiments.report.load import LoadedStudy
from hcsac.experiments.report.settings_diff import settings_diff, sharing_series
from hcsac.experiments.report.styles import Key, Series, series_of
from hcsac.experiments.report.tables import Table, TableCell
from hcsac.experiments.report.videos import Clip
from hcsac.experiments.words import few_seeds, plural
from hcsac.training.progress import duration

# Stroke patterns of the legend for the dashes of the charts.
_STROKES = {
    "solid": "",
    "dash": "6 3",
    "dot": "2 3",
    "dashdot": "7 3 2 3",
    "longdash": "10 4",
    "longdashdot": "10 3 2 3",
}
_SHOWN = 5  # entries of a warning; the rest is counted


@dataclass(frozen=True)
class Part:
    """A piece of a section."""

    heading: str = ""
    texts: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    clips: Sequence[Clip] = ()
    folded: str = ""  # label of a closed fold that contains it


class Section(NamedTuple):
    """A chapter of the report."""

    anchor: str
    title: str
    parts: list[Part]


class Entry(NamedTuple):
    """A line of the legend."""

    group: str
    name: str
    colour: str
    dashes: str


@dataclass(frozen=True)
class Report:
    """The content of a report."""

    title: str
    description: str
    facts: str
    counts: list[tuple[str, str]]
    warnings: list[str]
    legend: list[Entry]
    sections: list[Section]
    returns: str  # name of the file of returns
    markdown: str  # name of the Markdown copy
    version: str = field(default_factory=lambda: version("hcsac"))


def build_report(loaded: LoadedStudy, clips: Sequence[Clip], without_clips: str, returns: str, markdown: str) -> Report:
    """The content of the report of a study.

    Args:
        without_clips: why some or all clips are missing.
        returns: name of the file that has every return.
        markdown: name of the Markdown copy.
    """
    record = loaded.record
    series = series_of(one.run for one in loaded.finished)
    sections = [
        _returns_section(loaded, series),
        _aggregate_section(loaded, series),
        _curve_section(loaded, series),
        _sharing_section(loaded, series),
        _seed_section(loaded, series),
        _time_section(loaded, series),
        _settings_section(loaded),
        _video_section(clips, without_clips),
    ]
    return Report(
        title=record.name,
        description=record.description,
        facts=_facts(loaded),
        counts=_counts(loaded),
        warnings=_warnings(loaded),
        legend=_legend(sections, series),
        sections=sections,
        returns=returns,
        markdown=markdown,
    )


def _returns_section(loaded: LoadedStudy, series: dict[Key, Series]) -> Section:
    summary = loaded.summary
    shown = [
        tables.last_table(summary, series, loaded.record.published),
        tables.best_table(summary, series),
        cells_table(summary, {key: one.name for key, one in series.items()}),
        *(tables.metric_table(metric, summary, series) for metric in extra_metrics().values()),
    ]
    parts = [Part(table.title, tables=[table]) for table in shown]
    if by_number := charts.returns_by_number(summary, series):
        text = (
            "Last policy. Mean return over the number by which the tasks differ, with a band of one sample standard "
            "deviation over the seeds."
        )
        parts.append(Part("Returns by number", [text], charts=by_number))
    return Section("returns", "Returns", parts)


def _aggregate_section(loaded: LoadedStudy, series: dict[Key, Series]) -> Section:
    summary = loaded.summary
    table = tables.aggregate_table(summary, series)
    parts = [Part(table.title, tables=[table])]
    if drawn := charts.intervals(summary, series):
        text = "Mean of the middle half of all runs (seed and task); stratified bootstrap, 95 %."
        parts.append(Part("Interquartile mean of scores", [text], charts=drawn))
        text = "Share of the runs (seed and task) that score above the value on the axis; bands are pointwise, 95 %."
        parts.append(Part("Performance profiles", [text], charts=charts.profiles(summary, series)))
    if len(series) > 1:
        text = "Probability that a run of the row returns more than a run of the column, averaged over tasks."
        compared = [tables.improvement_table(one, series) for one in summary.comparisons]
        parts.append(Part("Probability of improvement", [text]))
        parts += [Part(table.title if len(compared) > 1 else "", tables=[table]) for table in compared]
    return Section("aggregates", "Over all tasks", parts)


def _curve_section(loaded: LoadedStudy, series: dict[Key, Series]) -> Section:
    drawn = charts.learning_curves(loaded.table, series, loaded.record.published)
    text = "Mean return of each evaluation over the seeds, with a band of one sample standard deviation."
    return Section("curves", "Learning curves", [Part(texts=[text], charts=drawn)])


def _sharing_section(loaded: LoadedStudy, series: dict[Key, Series]) -> Section:
    shared = sharing_series(loaded.finished)
    if not shared:
        return Section("sharing", "Sharing", [Part(texts=["No run has shared transitions between tasks."])])
    counts = "Transitions of one task that another one trains on after each sharing step: mean and range over seeds."
    rewards = (
        "Mean reward of the shared transitions. Filled: the assigned reward, which training uses. Hollow: the "
        "target-task reward, where a reward function computes it. Where they differ, the task is trained on a reward "
        "that is not its own."
    )
    return Section(
        "sharing",
        "Sharing",
        [
            Part("Shared transitions", [counts], charts=charts.shared_transitions(shared, series)),
            Part("Assigned and target-task reward", [rewards], charts=charts.shared_rewards(shared, series)),
        ],
    )


def _seed_section(loaded: LoadedStudy, series: dict[Key, Series]) -> Section:
    worst = tables.worst_table(loaded.summary, series)
    text = "Last policy. Filled: mean over the episodes of a seed; hollow: its worst episode."
    drawn = charts.seeds(loaded.table, series)
    parts = [Part(texts=[text], charts=drawn), Part(worst.title, tables=[worst])]
    return Section("seeds", "Seeds and worst episodes", parts)


def _time_section(loaded: LoadedStudy, series: dict[Key, Series]) -> Section:
    each = Part(tables=[tables.runs_table(loaded)], folded=f"Each of the {plural(len(loaded.states), 'run')}")
    return Section("time", "Run time", [Part(tables=[tables.time_table(loaded.finished, series)]), each])


def _settings_section(loaded: LoadedStudy) -> Section:
    names = series_of(one.run for one in loaded.finished)
    settings = [
        (names[one.run.key].name, {"alignment": one.run.alignment, **one.identity["settings"]})
        for one in loaded.finished
    ]
    diff = settings_diff(settings)
    if diff.names:
        parts = [Part(tables=[tables.settings_table(diff)])]
    else:
        parts = [Part(texts=["All runs have the same settings."])]
    common = [[TableCell(name), TableCell(tables.format_value(value))] for name, value in diff.common.items()]
    table = Table("Settings in common", ("Setting", "Value"), [("", common)], words=True)
    parts.append(Part(tables=[table], folded=f"The {plural(len(common), 'setting')} that all runs have in common"))
    return Section("settings", "Settings that differ", parts)


def _video_section(clips: Sequence[Clip], without_clips: str) -> Section:
    texts = [without_clips] if without_clips else []
    if clips:
        texts.insert(
            0,
            "The last policy of the first seed of each algorithm, from the first initial state of the evaluation: one "
            "episode each. The tables show how good the policies are.",
        )
    parts = [Part(texts=texts)]
    for heading in dict.fromkeys(clip.heading for clip in clips):
        parts.append(Part(heading, clips=[clip for clip in clips if clip.heading == heading]))
    return Section("videos", "Videos", parts)


def _facts(loaded: LoadedStudy) -> str:
    first, last = (f"{time:%-d %B %Y}" for time in loaded.times)
    hcsac = sorted({str(one.identity.get("hcsac", "?")) for one in loaded.finished})
    torch = sorted({str(one.identity.get("torch", "?")).split("+")[0] for one in loaded.finished})
    total = duration(sum(one.result["seconds"] for one in loaded.finished))
    days = first if first == last else f"{first} to {last}"
    return f"{days}. Trained with hcsac {', '.join(hcsac)} and PyTorch {', '.join(torch)}, total run time {total}."


def _counts(loaded: LoadedStudy) -> list[tuple[str, str]]:
    """What is counted, and how many there are."""
    counts, total = loaded.counts, len(loaded.states)
    seeds = {seed for one in loaded.finished for seed in one.run.seeds}
    entries = [(f"of {plural(total, 'run')} finished", str(counts["finished"]))]
    stopped = ("failed", "corrupt", "unevaluated")
    entries += [(state, str(counts[state])) for state in stopped if counts[state]]
    if missing := total - counts["finished"] - sum(counts[state] for state in stopped):
        entries.append(("missing", str(missing)))
    entries.append(("seed" if len(seeds) == 1 else "seeds", str(len(seeds))))
    return [*entries, ("evaluation episodes", f"{len(loaded.table):,}")]


def _warnings(loaded: LoadedStudy) -> list[str]:
    warnings = []
    for state in ("failed", "corrupt", "unevaluated"):
        runs = [f"{run.label} ({error})" if error else run.label for run, own, error in loaded.states if own == state]
        if runs:
            warnings.append(f"Not in this report, because {state}: {_some(runs)}.")
    counts = loaded.counts
    if unfinished := [state for state in ("running", "interrupted", "waiting") if counts[state]]:
        words = ", ".join(f"{counts[state]} {state}" for state in unfinished)
        warnings.append(f"This study is not finished: {words} (see Run time for each).")
    if corruption := loaded.corruption:
        warnings.append(f"{_some(corruption)}.")
    if text := few_seeds(min(len(one.seeds) for one in loaded.summary.tasks)):
        warnings.append(text)
    if any(np.isnan(one.score) for one in loaded.summary.tasks):
        warnings.append("Some tasks have no random and expert return, so they have returns but no score.")
    return warnings


def _some(texts: Sequence[str]) -> str:
    """The first ones, and how many more there are."""
    shown = "; ".join(texts[:_SHOWN])
    return shown if len(texts) <= _SHOWN else f"{shown}; and {len(texts) - _SHOWN} more"


def _legend(sections: Sequence[Section], series: dict[Key, Series]) -> list[Entry]:
    """The series and the reference lines that the charts show."""
    drawn = {
        trace["legendgroup"]
        for section in sections
        for part in section.parts
        for chart in part.charts
        for trace in chart.data
    }
    entries = [Entry(one.group, one.name, one.colour, _STROKES[one.dash]) for one in series.values()]
    entries += [
        Entry(group, reference.name, "var(--muted)", _STROKES[reference.dash])
        for group, reference in charts.REFERENCES.items()
    ]
    return [entry for entry in entries if entry.group in drawn]
