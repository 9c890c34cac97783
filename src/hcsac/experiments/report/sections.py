"""What a report says, in order: sections of texts, tables, charts and clips, before any form is given to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import NamedTuple

import numpy as np

from hcsac.experiments.report import charts, tables
from hcsac.experiments.report.charts import Chart
from hcsac.experiments.report.load import Gathered
from hcsac.experiments.report.settings_diff import duration, settings_apart, streams
from hcsac.experiments.report.styles import Key, Series, series_of
from hcsac.experiments.report.tables import Table
from hcsac.experiments.report.videos import Clip

# Stroke patterns of the legend for the dashes of the charts.
_STROKES = {"solid": "", "dash": "6 3", "dot": "2 3", "dashdot": "7 3 2 3", "longdash": "10 4",
            "longdashdot": "10 3 2 3"}  # fmt: skip
_FEW = 10  # seeds below which a bootstrap interval is too narrow


@dataclass(frozen=True)
class Part:
    """A piece of a section."""

    heading: str = ""
    texts: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    clips: Sequence[Clip] = ()
    folded: str = ""  # what it is hidden behind until it is opened


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
    """All of it."""

    title: str
    description: str
    facts: str
    counts: list[tuple[str, str]]
    warnings: list[str]
    legend: list[Entry]
    sections: list[Section]
    returns: str  # the name of the file of returns
    twin: str
    version: str = field(default_factory=lambda: version("hcsac"))


def compose(gathered: Gathered, clips: Sequence[Clip], without_clips: str, returns: str, twin: str) -> Report:
    """Put together what was gathered.

    Args:
        without_clips: why some or all clips are missing.
        returns: the name of the file that holds every return.
        twin: the name of the Markdown twin.
    """
    record = gathered.record
    series = series_of(one.cell for one in gathered.finished)
    sections = [
        _returns(gathered, series), _aggregates(gathered, series), _curves(gathered, series),
        _flow(gathered, series), _seeds(gathered, series), _time(gathered, series), _settings(gathered),
        _videos(clips, without_clips),
    ]  # fmt: skip
    return Report(
        record.name, record.description, _facts(gathered), _counts(gathered), _warnings(gathered),
        _legend(sections, series), sections, returns, twin,
    )  # fmt: skip


_CLIPS = (
    "The last policy of the first seed of each agent, in the first initial state of the evaluation. One episode shows "
    "how a policy moves; how good it is, the tables say."
)


def _returns(gathered: Gathered, series: dict[Key, Series]) -> Section:
    published, summary = gathered.record.published, gathered.summary
    made = (tables.last_table(summary, series, published), tables.best_table(summary, series),
            tables.verdict_table(summary, series))  # fmt: skip
    return Section("returns", "Returns", [Part(table.title, tables=[table]) for table in made])


def _aggregates(gathered: Gathered, series: dict[Key, Series]) -> Section:
    summary = gathered.summary
    short = tables.aggregate_table(summary, series)
    parts = [Part(short.title, tables=[short])]
    if drawn := charts.intervals(summary, series):
        text = "What is left of all runs without the lowest and the highest quarter; stratified bootstrap, 95 %."
        parts.append(Part("Interquartile mean of scores", [text], charts=drawn))
        text = "How many of the runs (seed and task) score above what the axis says; bands are pointwise, 95 %."
        parts.append(Part("Performance profiles", [text], charts=charts.profiles(summary, series)))
    if len(series) > 1:
        text = "How likely a run of the row's agent returns more than one of the column's, averaged over tasks."
        compared = [tables.improvement_table(one, series) for one in summary.comparisons]
        parts.append(Part("Probability of improvement", [text]))
        parts += [Part(table.title if len(compared) > 1 else "", tables=[table]) for table in compared]
    return Section("aggregates", "Over all tasks", parts)


def _curves(gathered: Gathered, series: dict[Key, Series]) -> Section:
    drawn = charts.learning_curves(gathered.table, series, gathered.record.published)
    text = "Mean return of each evaluation over the seeds, with a band of one sample standard deviation."
    return Section("curves", "Learning curves", [Part(texts=[text], charts=drawn)])


def _flow(gathered: Gathered, series: dict[Key, Series]) -> Section:
    moved = streams(gathered.finished)
    if not moved:
        return Section("flow", "Sharing", [Part(texts=["No run has shared rows between tasks."])])
    rows = "How many rows of the one task the other has borrowed after each sharing: mean and range over seeds."
    paid = (
        "Mean reward of the borrowed rows: filled, as the borrowing task is paid for them; hollow, what they would "
        "have earned there, where a formula tells it. Where the two differ, the task learns from a reward that is not "
        "its own."
    )
    return Section("flow", "Sharing", [
        Part("Rows borrowed", [rows], charts=charts.flows(moved, series)),
        Part("Claimed and true reward", [paid], charts=charts.claims(moved, series)),
    ])  # fmt: skip


def _seeds(gathered: Gathered, series: dict[Key, Series]) -> Section:
    worst = tables.worst_table(gathered.summary, series)
    text = "Last policy: filled, the mean of a seed's episodes; hollow, the worst of them."
    return Section("seeds", "Seeds and worst episodes", [
        Part(texts=[text], charts=charts.seeds(gathered.table, series)), Part(worst.title, tables=[worst]),
    ])  # fmt: skip


def _time(gathered: Gathered, series: dict[Key, Series]) -> Section:
    each = tables.cells_table(gathered)
    return Section("time", "Run time", [
        Part(tables=[tables.time_table(gathered.finished, series)]),
        Part(tables=[each], folded=f"Each of the {len(gathered.states)} cells"),
    ])  # fmt: skip


def _settings(gathered: Gathered) -> Section:
    names = series_of(one.cell for one in gathered.finished)
    settings = [
        (names[one.cell.variant, one.cell.agent].name, {"alignment": one.cell.alignment, **one.identity["settings"]})
        for one in gathered.finished
    ]
    apart = settings_apart(settings)
    differing = tables.settings_table(apart)
    parts = [Part(tables=[differing]) if apart.names else Part(texts=["All cells have the same settings."])]
    common = [[tables.Box(name), tables.Box(tables.say(value))] for name, value in apart.common.items()]
    table = Table("Settings in common", ("Setting", "Value"), [("", common)], words=True)
    parts.append(Part(tables=[table], folded=f"The {len(common)} settings that all cells have in common"))
    return Section("settings", "Settings that differ", parts)


def _videos(clips: Sequence[Clip], without: str) -> Section:
    places = dict.fromkeys(clip.place for clip in clips)
    parts = [Part(texts=[text for text in (_CLIPS if clips else "", without) if text])]
    parts += [Part(place, clips=[clip for clip in clips if clip.place == place]) for place in places]
    return Section("videos", "Videos", parts)


def _facts(gathered: Gathered) -> str:
    first, last = (f"{time:%-d %B %Y}" for time in gathered.when)
    versions = sorted({str(one.identity.get("hcsac", "?")) for one in gathered.finished})
    torch = sorted({str(one.identity.get("torch", "?")).split("+")[0] for one in gathered.finished})
    spent = duration(sum(one.result["seconds"] for one in gathered.finished))
    days = first if first == last else f"{first} to {last}"
    made = f"Trained with hcsac {', '.join(versions)} and PyTorch {', '.join(torch)}"
    return f"{days}. {made}, {spent} of run time in all."


def _counts(gathered: Gathered) -> list[tuple[str, str]]:
    counts, total = gathered.counts, len(gathered.states)
    seeds = {seed for one in gathered.finished for seed in one.cell.seeds}
    found = [(f"of {total} cells finished", str(counts["finished"]))]
    ended = ("failed", "damaged", "unevaluated")
    found += [(state, str(counts[state])) for state in ended if counts[state]]
    if missing := total - counts["finished"] - sum(counts[state] for state in ended):
        found.append(("missing", str(missing)))
    found.append(("seed" + "s" * (len(seeds) > 1), str(len(seeds))))
    return [*found, ("episodes of evaluation", f"{len(gathered.table):,}")]


def _warnings(gathered: Gathered) -> list[str]:
    found = []
    for state in ("failed", "damaged", "unevaluated"):
        held = [(cell, error) for cell, own, error in gathered.states if own == state]
        if held:
            some = "; ".join(cell.label + (f" ({error})" if error else "") for cell, error in held[:5])
            more = f"; and {len(held) - 5} more, see the run times" if len(held) > 5 else ""
            found.append(f"Not in this report, because {state}: {some}{more}.")
    counts = gathered.counts
    if still := [state for state in ("running", "interrupted", "waiting") if counts[state]]:
        words = ", ".join(f"{counts[state]} {state}" for state in still)
        found.append(f"This study is not finished: {words} (each is named under the run times).")
    if damage := gathered.damage:
        found.append("; ".join(damage[:5]) + f"; and {len(damage) - 5} more" * (len(damage) > 5) + ".")
    fewest = min(len(held.seeds) for held in gathered.summary.tasks)
    if fewest == 1:
        found.append("Some agents have a single seed: nothing here tells how another seed of theirs would do.")
    elif fewest < _FEW:
        found.append(
            f"With {fewest} seeds, intervals are narrower than the 95 % they promise, as bootstrap intervals of few "
            "seeds are."
        )
    if any(np.isnan(held.score) for held in gathered.summary.tasks):
        found.append("Some tasks have no random and expert return: they count as returns, not as scores.")
    return found


def _legend(sections: Sequence[Section], series: dict[Key, Series]) -> list[Entry]:
    """Every series, and the reference lines that there are."""
    drawn = {trace["legendgroup"] for section in sections for part in section.parts for chart in part.charts
             for trace in chart.data}  # fmt: skip
    entries = [Entry(one.group, one.name, one.colour, _STROKES[one.dash]) for one in series.values()]
    entries += [Entry(kind, kind, "var(--muted)", _STROKES[dash]) for kind, dash in charts.REFERENCES.items()]
    return [entry for entry in entries if entry.group in drawn]
