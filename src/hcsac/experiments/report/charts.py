"""The charts of a report, as Plotly figures: plain data, whose colours are names that page.css gives their values."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hcsac.evaluation import normalise
from hcsac.experiments.record import Published
from hcsac.experiments.report.settings_diff import Stream
from hcsac.experiments.report.styles import Key, Series, plain
from hcsac.experiments.summary import AgentSummary, Summary

if TYPE_CHECKING:
    import pyarrow as pa

POINTS = 200  # of a line at most: more are no better seen
# What the charts' reference lines are called, and how they are dashed; the legend shows and hides them, too.
REFERENCES = {"behaviour": "dash", "random": "dot", "published": "longdashdot"}
_INK, _MUTED, _GRID, _BACK = "var(--ink)", "var(--muted)", "var(--grid)", "var(--back)"


class Chart(NamedTuple):
    """A figure, and the heading above it."""

    title: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]

    @property
    def figure(self) -> dict[str, Any]:
        """As Plotly takes it."""
        return {"data": self.data, "layout": self.layout}


def learning_curves(table: "pa.Table", series: dict[Key, Series], published: Published) -> list[Chart]:
    """Return over updates for every dataset and task: mean and band of one sample std over the seeds."""
    names = ["dataset", "task", "variant", "agent", "run", "seed", "update", "behaviour", "random_return"]
    curves: dict[tuple[str, str], dict[Key, dict[int, list[float]]]] = {}
    known: dict[tuple[str, str], tuple[float | None, float | None]] = {}
    for row in table.group_by(names, use_threads=False).aggregate([("return", "mean")]).to_pylist():
        where, key = (row["dataset"], row["task"]), (row["variant"], row["agent"])
        known.setdefault(where, (row["behaviour"], row["random_return"]))
        by_update = curves.setdefault(where, {}).setdefault(key, {})
        by_update.setdefault(row["update"], []).append(row["return_mean"])
    charts = []
    for (dataset, task), by_key in curves.items():
        data, longest = [], 0
        for key, one in series.items():
            if key not in by_key:
                continue
            seeds = max(map(len, by_key[key].values()))
            updates = sorted(update for update, values in by_key[key].items() if len(values) == seeds)
            longest = max(longest, *updates)
            updates = thinned(updates)
            values = np.array([by_key[key][update] for update in updates])
            data += _banded(one, updates, values.mean(1), _std(values), f"{seeds} seed{'s' * (seeds > 1)}")
        behaviour, random = known[dataset, task]
        for kind, value in (("behaviour", behaviour), ("random", random)):
            if value is not None:
                data.append(_reference(kind, f"{kind} {value:.1f}", value, longest, _MUTED))
        agents = {one.key[1]: one for one in series.values()}
        for agent, (mean, _) in published.get(dataset, {}).get(task, {}).items():
            # With several variants of an agent no line of ours is the one to be held against.
            own = sum(one.key[1] == agent for one in series.values()) == 1
            colour = agents[agent].colour if own else _MUTED
            data.append(_reference("published", f"{plain(agent.upper())} published {mean:.1f}", mean, longest, colour))
        layout = _layout(360, _axis("updates", rangemode="tozero"), _axis("return", rangemode="tozero"))
        charts.append(Chart(_title(dataset, task), data, layout))
    return charts


def intervals(summary: Summary, series: dict[Key, Series]) -> list[Chart]:
    """Interquartile mean of scores with its interval, for every dataset that has scores."""
    charts = []
    for dataset, agents in _by_dataset(summary, series).items():
        held = [agent for agent in agents if not np.isnan(agent.iqm.value)]
        data = []
        for place, agent in enumerate(held):
            one, (value, low, high) = series[agent.variant, agent.agent], agent.iqm
            ends = "" if np.isnan(low) else f" [{low:.1f}, {high:.1f}]"
            data.append(_trace(
                one, [value], [place], mode="markers", marker=_marker(one, 11),
                error_x=None if np.isnan(low) else {
                    "type": "data", "symmetric": False, "array": _short([high - value]),
                    "arrayminus": _short([value - low]), "thickness": 3, "width": 7, "color": one.colour,
                },
                hovertemplate=f"<b>{one.text}</b><br>IQM {value:.1f}{ends}<extra></extra>",
            ))  # fmt: skip
        if held:
            names = [series[agent.variant, agent.agent].text for agent in held]
            charts.append(Chart(dataset, data, _rows("score", names, "normal")))
    return charts


def profiles(summary: Summary, series: dict[Key, Series]) -> list[Chart]:
    """Share of runs whose score exceeds each threshold, with pointwise bands."""
    charts = []
    for dataset, agents in _by_dataset(summary, series).items():
        data = []
        for agent in agents:
            one, held = series[agent.variant, agent.agent], agent.profile
            if np.isnan(held.share).all():
                continue
            if not np.isnan(held.low).any():
                data.append(_band(one, held.thresholds, held.low, held.high))
            data.append(_trace(
                one, held.thresholds, held.share, mode="lines",
                line={"color": one.colour, "width": 2, "dash": one.dash},
                hovertemplate=f"<b>{one.text}</b><br>%{{y:.0%}} of runs above %{{x:.1f}}<extra></extra>",
            ))  # fmt: skip
        if data:
            layout = _layout(320, _axis("score"), _axis("share of runs above", range=[0, 1.03], tickformat=".0%"))
            charts.append(Chart(dataset, data, layout))
    return charts


def seeds(table: "pa.Table", series: dict[Key, Series]) -> list[Chart]:
    """Every seed a dot: its mean score, or return where the task has no score, and its worst episode, hollow."""
    names = ["dataset", "task", "variant", "agent", "run", "seed", "random_return", "expert_return"]
    last = table.filter(table["last"]).group_by(names, use_threads=False)
    found: dict[tuple[str, str], dict[Key, list[dict[str, Any]]]] = {}
    for row in last.aggregate([("return", "mean"), ("return", "min"), ("return", "count")]).to_pylist():
        by_key = found.setdefault((row["dataset"], row["task"]), {})
        by_key.setdefault((row["variant"], row["agent"]), []).append(row)
    charts = []
    for (dataset, task), by_key in found.items():
        held = [one for key, one in series.items() if key in by_key]
        ends = next(iter(by_key.values()))[0]
        scored = ends["random_return"] is not None and ends["expert_return"] is not None
        data = []
        for place, one in enumerate(held):
            rows = sorted(by_key[one.key], key=lambda row: row["seed"])
            # Seeds lie side by side, so that equal ones are all seen.
            beside = place + (np.linspace(-0.24, 0.24, len(rows)) if len(rows) > 1 else np.zeros(1))
            for column, words, symbol, size in (
                ("return_min", "worst of {} episodes", f"{one.symbol}-open", 6),
                ("return_mean", "mean of {} episodes", one.symbol, 9),
            ):
                values = np.array([row[column] for row in rows], float)
                at = normalise(values, ends["random_return"], ends["expert_return"]) if scored else values
                texts = [
                    f"<b>{one.text}</b>, seed {row['seed']}<br>{words.format(row['return_count'])}: "
                    f"return {value:.1f}" + (f", score {x:.1f}" if scored else "")
                    for row, value, x in zip(rows, values, at, strict=True)
                ]
                data.append(_trace(one, at, beside, mode="markers", marker=_marker(one, size) | {"symbol": symbol},
                                   text=texts, hovertemplate="%{text}<extra></extra>"))  # fmt: skip
        charts.append(Chart(_title(dataset, task), data, _rows("score" if scored else "return",
                                                               [one.text for one in held])))  # fmt: skip
    return charts


def flows(streams: Sequence[Stream], series: dict[Key, Series]) -> list[Chart]:
    """Rows borrowed over updates, a chart for every direction: mean and range over the seeds."""

    def lines(stream: Stream, one: Series, kept: list[int]) -> list[dict[str, Any]]:
        least, most = stream.least[kept], stream.most[kept]
        band = [_band(one, stream.updates[kept], least, most)] if (most > least).any() else []
        template = f"<b>{one.text}</b><br>update %{{x:,}}: %{{y:,.0f}} rows, %{{text}}<extra></extra>"
        texts = [f"{low:,.0f} to {high:,.0f} over seeds" for low, high in zip(least, most, strict=True)]
        line = _trace(one, stream.updates[kept], stream.borrowed[kept], mode="lines+markers", line=_line(one),
                      marker=_marker(one, 5), text=texts, hovertemplate=template)  # fmt: skip
        return [*band, line]

    return _directions(streams, series, "rows borrowed", lines)


def claims(streams: Sequence[Stream], series: dict[Key, Series]) -> list[Chart]:
    """Mean reward of the borrowed rows as they are paid (filled) and as they would have earned (hollow)."""

    def lines(stream: Stream, one: Series, kept: list[int]) -> list[dict[str, Any]]:
        data = []
        for values, word, dash, symbol in (
            (stream.claimed, "paid", "solid", one.symbol), (stream.true, "true", "dot", f"{one.symbol}-open"),
        ):  # fmt: skip
            if not np.isnan(values).all():
                template = f"<b>{one.text}</b><br>update %{{x:,}}: {word} %{{y:.3f}} a step<extra></extra>"
                data.append(_trace(one, stream.updates[kept], values[kept], mode="lines+markers",
                                   line=_line(one) | {"dash": dash}, marker=_marker(one, 6) | {"symbol": symbol},
                                   hovertemplate=template))  # fmt: skip
        return data

    return _directions(streams, series, "reward a step", lines)


def thinned(values: list[int], most: int = POINTS) -> list[int]:
    """At most so many of the values, evenly, with the first and the last."""
    if len(values) <= most:
        return values
    return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]


def _directions(
    streams: Sequence[Stream],
    series: dict[Key, Series],
    label: str,
    lines: Callable[[Stream, Series, list[int]], list[dict[str, Any]]],
) -> list[Chart]:
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for stream in streams:
        kept = thinned(list(range(len(stream.updates))))
        where = found.setdefault((stream.dataset, stream.source, stream.target), [])
        where += lines(stream, series[stream.key], kept)
    return [
        Chart(_title(dataset, f"{source} → {target}"), data,
              _layout(300, _axis("updates", rangemode="tozero"), _axis(label, rangemode="tozero")))
        for (dataset, source, target), data in found.items() if data
    ]  # fmt: skip


def _banded(one: Series, updates: list[int], mean: np.ndarray, std: np.ndarray, words: str) -> list[dict[str, Any]]:
    known = not np.isnan(std).any()
    texts = [f"{m:.1f} ± {s:.1f}" if known else f"{m:.1f}" for m, s in zip(mean, std, strict=True)]
    line = _trace(
        one, updates, mean, mode="lines+markers", line=_line(one), marker=_marker(one, 5), text=texts,
        hovertemplate=f"<b>{one.text}</b><br>update %{{x:,}}: %{{text}} ({words})<extra></extra>",
    )  # fmt: skip
    return [*([_band(one, updates, mean - std, mean + std)] if known else []), line]


def _band(one: Series, x: Sequence[float] | np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, Any]:
    around_x, around_y = [*x, *reversed(x)], [*high, *reversed(low)]
    return _trace(one, around_x, around_y, mode="lines", line={"width": 0, "color": one.colour}, fill="toself",
                  fillcolor=one.colour, opacity=one.shade, hoverinfo="skip")  # fmt: skip


def _reference(kind: str, text: str, value: float, longest: int, colour: str) -> dict[str, Any]:
    """A level; with points along it, so that its name is shown wherever it is pointed at."""
    along = np.linspace(0, longest, 25)
    return {
        "x": _short(along), "y": _short([value] * len(along)), "mode": "lines", "legendgroup": kind,
        "line": {"color": colour, "width": 1.5, "dash": REFERENCES[kind]},
        "hovertemplate": f"{text}<extra></extra>", "type": "scatter", "name": text,
    }  # fmt: skip


def _trace(one: Series, x: Any, y: Any, **more: Any) -> dict[str, Any]:
    given = {name: value for name, value in more.items() if value is not None}
    return {"type": "scatter", "name": one.text, "legendgroup": one.group, "x": _short(x), "y": _short(y), **given}


def _line(one: Series) -> dict[str, Any]:
    return {"color": one.colour, "width": 2, "dash": one.dash}


def _marker(one: Series, size: int) -> dict[str, Any]:
    return {"color": one.colour, "size": size, "symbol": one.symbol}


def _rows(label: str, names: Sequence[str], reach: str = "tozero") -> dict[str, Any]:
    """A layout with a row for each name, the first one on top."""
    count = len(names)
    return _layout(
        90 + 34 * count, _axis(label, rangemode=reach),
        _axis("", tickvals=list(range(count)), ticktext=list(names), range=[count - 0.5, -0.5], showgrid=False,
              zeroline=False),
    )  # fmt: skip


def _layout(height: int, x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    label = {"bgcolor": _BACK, "bordercolor": _MUTED, "font": {"color": _INK, "size": 13}, "align": "left"}
    return {
        "height": height, "xaxis": x, "yaxis": y, "showlegend": False, "hovermode": "closest", "uirevision": "same",
        "margin": {"l": 8, "r": 10, "t": 8, "b": 8}, "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": _MUTED, "activecolor": _INK},
        "font": {"color": _INK, "size": 12, "family": "system-ui, sans-serif"}, "hoverlabel": label,
    }  # fmt: skip


def _axis(title: str, **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": title, "standoff": 8}, "automargin": True, "gridcolor": _GRID, "zerolinecolor": _GRID,
        "linecolor": _GRID, "nticks": 6, **more,
    }  # fmt: skip


def _by_dataset(summary: Summary, series: dict[Key, Series]) -> dict[str, list[AgentSummary]]:
    order = {key: place for place, key in enumerate(series)}
    found: dict[str, list[AgentSummary]] = {}
    for agent in sorted(summary.agents, key=lambda one: order[one.variant, one.agent]):
        found.setdefault(agent.dataset, []).append(agent)
    return {dataset: found[dataset] for dataset in dict.fromkeys(one.dataset for one in summary.agents)}


def _title(dataset: str, what: str) -> str:
    return f"{dataset}: {what}"


def _std(values: np.ndarray) -> np.ndarray:
    """Sample std [U] over seeds of values [U, R]; NaN for one."""
    return values.std(1, ddof=1) if values.shape[1] > 1 else np.full(len(values), np.nan)


def _short(values: Any) -> list[float | None]:
    """Numbers as JSON holds them, no longer than a screen shows."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in map(float, values)]
