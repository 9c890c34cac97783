"""The charts of a report, as Plotly figures: plain data, whose colours are CSS variables of page.css."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hcsac.evaluation import normalise
from hcsac.experiments.report.settings_diff import SharingSeries
from hcsac.experiments.report.styles import Key, Series, plain
from hcsac.experiments.study import Published
from hcsac.experiments.summary import AlgorithmSummary, Summary
from hcsac.experiments.words import plural
from hcsac.types import Parameter

if TYPE_CHECKING:
    import pyarrow as pa

POINTS = 200  # of a line, at most: more cannot be seen


class Reference(NamedTuple):
    """A reference line, which the legend shows and hides too."""

    name: str
    dash: str


REFERENCES = {
    "dataset": Reference("dataset return", "dash"),
    "random": Reference("random policy", "dot"),
    "published": Reference("published", "longdashdot"),
}
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
            data += _banded(one, updates, values.mean(1), _std(values), plural(seeds, "seed"))
        for group, value in zip(("dataset", "random"), known[dataset, task], strict=True):
            if value is not None:
                data.append(_reference(group, f"{REFERENCES[group].name} {value:.1f}", value, longest, _MUTED))
        for algorithm, (mean, _) in published.get(dataset, {}).get(task, {}).items():
            own = [one for one in series.values() if one.key[1] == algorithm]
            colour = own[0].colour if len(own) == 1 else _MUTED  # several variants: none of them is comparable
            text = f"{plain(algorithm.upper())} published {mean:.1f}"
            data.append(_reference("published", text, mean, longest, colour))
        layout = _layout(360, _axis("updates", rangemode="tozero"), _axis("return", rangemode="tozero"))
        charts.append(Chart(_title(dataset, task), data, layout))
    return charts


def returns_by_number(summary: Summary, series: dict[Key, Series]) -> list[Chart]:
    """Return over the number by which the tasks of a dataset differ, where they do: mean and band over the seeds."""
    charts = []
    for dataset in dict.fromkeys(one.dataset for one in summary.tasks):
        cells = [one for one in summary.tasks if one.dataset == dataset]
        names = list(dict.fromkeys(one.task for one in cells))
        parameter = Parameter.of(names)
        if parameter is None:
            continue
        number = dict(zip(names, parameter.values, strict=True))
        data = []
        for key, one in series.items():
            own = sorted((cell for cell in cells if cell.key == key), key=lambda cell: number[cell.task])
            if own:
                mean, std = np.array([(cell.mean, cell.std) for cell in own]).T
                words = plural(len(own[0].seeds), "seed")
                data += _banded(one, [number[cell.task] for cell in own], mean, std, words, f"{parameter.name} %{{x}}")
        logged = sorted({number[cell.task]: cell.dataset_return for cell in cells}.items())
        data.append({
            "x": _short(x for x, _ in logged), "y": _short(y for _, y in logged), "mode": "lines", "type": "scatter",
            "name": REFERENCES["dataset"].name, "legendgroup": "dataset",
            "line": {"color": _MUTED, "width": 1.5, "dash": REFERENCES["dataset"].dash},
            "hovertemplate": f"{parameter.name} %{{x}}: {REFERENCES['dataset'].name} %{{y:.1f}}<extra></extra>",
        })  # fmt: skip
        layout = _layout(360, _axis(parameter.name), _axis("return", rangemode="tozero"))
        charts.append(Chart(_title(dataset, f"return by {parameter.name}"), data, layout))
    return charts


def intervals(summary: Summary, series: dict[Key, Series]) -> list[Chart]:
    """Interquartile mean of scores with its interval, for every dataset that has scores."""
    charts = []
    for dataset, algorithms in _by_dataset(summary, series).items():
        scored = [algorithm for algorithm in algorithms if not np.isnan(algorithm.iqm.value)]
        data = []
        for place, algorithm in enumerate(scored):
            one, (value, low, high) = series[algorithm.key], algorithm.iqm
            ends = "" if np.isnan(low) else f" [{low:.1f}, {high:.1f}]"
            data.append(_trace(
                one, [value], [place], mode="markers", marker=_marker(one, 11),
                error_x=None if np.isnan(low) else {
                    "type": "data", "symmetric": False, "array": _short([high - value]),
                    "arrayminus": _short([value - low]), "thickness": 3, "width": 7, "color": one.colour,
                },
                hovertemplate=f"<b>{one.text}</b><br>IQM {value:.1f}{ends}<extra></extra>",
            ))  # fmt: skip
        if scored:
            names = [series[algorithm.key].text for algorithm in scored]
            charts.append(Chart(dataset, data, _rows("score", names, "normal")))
    return charts


def profiles(summary: Summary, series: dict[Key, Series]) -> list[Chart]:
    """Share of runs whose score exceeds each threshold, with pointwise bands."""
    charts = []
    for dataset, algorithms in _by_dataset(summary, series).items():
        data = []
        for algorithm in algorithms:
            one, profile = series[algorithm.key], algorithm.profile
            if np.isnan(profile.share).all():
                continue
            if not np.isnan(profile.low).any():
                data.append(_band(one, profile.thresholds, profile.low, profile.high))
            data.append(_trace(
                one, profile.thresholds, profile.share, mode="lines",
                line={"color": one.colour, "width": 2, "dash": one.dash},
                hovertemplate=f"<b>{one.text}</b><br>%{{y:.0%}} of runs above %{{x:.1f}}<extra></extra>",
            ))  # fmt: skip
        if data:
            layout = _layout(320, _axis("score"), _axis("share of runs above", range=[0, 1.03], tickformat=".0%"))
            charts.append(Chart(dataset, data, layout))
    return charts


def seeds(table: "pa.Table", series: dict[Key, Series]) -> list[Chart]:
    """A dot for every seed: its mean score, or return where the task has no score; hollow its worst episode."""
    names = ["dataset", "task", "variant", "agent", "run", "seed", "random_return", "expert_return"]
    last = table.filter(table["last"]).group_by(names, use_threads=False)
    by_place: dict[tuple[str, str], dict[Key, list[dict[str, Any]]]] = {}
    for row in last.aggregate([("return", "mean"), ("return", "min"), ("return", "count")]).to_pylist():
        by_key = by_place.setdefault((row["dataset"], row["task"]), {})
        by_key.setdefault((row["variant"], row["agent"]), []).append(row)
    charts = []
    for (dataset, task), by_key in by_place.items():
        shown = [one for key, one in series.items() if key in by_key]
        ends = next(iter(by_key.values()))[0]
        scored = ends["random_return"] is not None and ends["expert_return"] is not None
        data = []
        for place, one in enumerate(shown):
            rows = sorted(by_key[one.key], key=lambda row: row["seed"])
            # Seeds side by side, so that equal ones do not hide each other.
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
                                                               [one.text for one in shown])))  # fmt: skip
    return charts


def shared_transitions(shared: Sequence[SharingSeries], series: dict[Key, Series]) -> list[Chart]:
    """Shared transitions over updates, a chart for every direction: mean and range over the seeds."""

    def lines(direction: SharingSeries, one: Series, points: list[int]) -> list[dict[str, Any]]:
        updates, lowest, highest = direction.updates[points], direction.lowest[points], direction.highest[points]
        band = [_band(one, updates, lowest, highest)] if (highest > lowest).any() else []
        template = f"<b>{one.text}</b><br>update %{{x:,}}: %{{y:,.0f}} transitions, %{{text}}<extra></extra>"
        texts = [f"{low:,.0f} to {high:,.0f} over seeds" for low, high in zip(lowest, highest, strict=True)]
        line = _trace(one, updates, direction.shared[points], mode="lines+markers", line=_line(one),
                      marker=_marker(one, 5), text=texts, hovertemplate=template)  # fmt: skip
        return [*band, line]

    return _directions(shared, series, "shared transitions", lines)


def shared_rewards(shared: Sequence[SharingSeries], series: dict[Key, Series]) -> list[Chart]:
    """Mean assigned reward (filled) and target-task reward (hollow) of the shared transitions."""

    def lines(direction: SharingSeries, one: Series, points: list[int]) -> list[dict[str, Any]]:
        data = []
        for values, name, dash, symbol in (
            (direction.assigned, "assigned", "solid", one.symbol),
            (direction.target_reward, "target-task", "dot", f"{one.symbol}-open"),
        ):
            if not np.isnan(values).all():
                template = f"<b>{one.text}</b><br>update %{{x:,}}: {name} reward %{{y:.3f}} a step<extra></extra>"
                data.append(_trace(one, direction.updates[points], values[points], mode="lines+markers",
                                   line=_line(one) | {"dash": dash}, marker=_marker(one, 6) | {"symbol": symbol},
                                   hovertemplate=template))  # fmt: skip
        return data

    return _directions(shared, series, "reward a step", lines)


def thinned(values: list[int], most: int = POINTS) -> list[int]:
    """At most `most` of the values, evenly spaced, with the first and the last."""
    if len(values) <= most:
        return values
    return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]


def _directions(
    shared: Sequence[SharingSeries],
    series: dict[Key, Series],
    label: str,
    lines: Callable[[SharingSeries, Series, list[int]], list[dict[str, Any]]],
) -> list[Chart]:
    """A chart for every direction; `lines` makes its traces from the points that are shown."""
    traces: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for direction in shared:
        points = thinned(list(range(len(direction.updates))))
        own = traces.setdefault((direction.dataset, direction.source, direction.target), [])
        own += lines(direction, series[direction.key], points)
    layout = _layout(300, _axis("updates", rangemode="tozero"), _axis(label, rangemode="tozero"))
    return [
        Chart(_title(dataset, f"{source} → {target}"), data, layout)
        for (dataset, source, target), data in traces.items()
        if data
    ]


def _banded(
    one: Series, x: Sequence[float], mean: np.ndarray, std: np.ndarray, words: str, at: str = "update %{x:,}"
) -> list[dict[str, Any]]:
    known = not np.isnan(std).any()
    texts = [f"{m:.1f} ± {s:.1f}" if known else f"{m:.1f}" for m, s in zip(mean, std, strict=True)]
    line = _trace(
        one, x, mean, mode="lines+markers", line=_line(one), marker=_marker(one, 5), text=texts,
        hovertemplate=f"<b>{one.text}</b><br>{at}: %{{text}} ({words})<extra></extra>",
    )  # fmt: skip
    return [*([_band(one, x, mean - std, mean + std)] if known else []), line]


def _band(one: Series, x: Sequence[float] | np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, Any]:
    around_x, around_y = [*x, *reversed(x)], [*high, *reversed(low)]
    return _trace(one, around_x, around_y, mode="lines", line={"width": 0, "color": one.colour}, fill="toself",
                  fillcolor=one.colour, opacity=one.shade, hoverinfo="skip")  # fmt: skip


def _reference(group: str, text: str, value: float, longest: int, colour: str) -> dict[str, Any]:
    """A horizontal line, of many points, so that its name is shown wherever the pointer is."""
    along = np.linspace(0, longest, 25)
    return {
        "x": _short(along), "y": _short([value] * len(along)), "mode": "lines", "legendgroup": group,
        "line": {"color": colour, "width": 1.5, "dash": REFERENCES[group].dash},
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


def _by_dataset(summary: Summary, series: dict[Key, Series]) -> dict[str, list[AlgorithmSummary]]:
    order = {key: place for place, key in enumerate(series)}
    by_dataset: dict[str, list[AlgorithmSummary]] = {}
    for algorithm in sorted(summary.algorithms, key=lambda one: order[one.key]):
        by_dataset.setdefault(algorithm.dataset, []).append(algorithm)
    return {dataset: by_dataset[dataset] for dataset in dict.fromkeys(one.dataset for one in summary.algorithms)}


def _title(dataset: str, what: str) -> str:
    return f"{dataset}: {what}"


def _std(values: np.ndarray) -> np.ndarray:
    """Sample std [U] over seeds of values [U, R]; NaN for one."""
    return values.std(1, ddof=1) if values.shape[1] > 1 else np.full(len(values), np.nan)


def _short(values: Any) -> list[float | None]:
    """Numbers as JSON holds them, no longer than a screen shows."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in map(float, values)]
