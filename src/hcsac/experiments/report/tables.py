"""The tables of a report, as data: the page and its Markdown twin show the same ones."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hcsac.evaluation import Estimate
from hcsac.experiments.record import Published
from hcsac.experiments.report.load import Finished, Gathered
from hcsac.experiments.report.settings_diff import Apart, duration
from hcsac.experiments.report.styles import Key, Series
from hcsac.experiments.summary import AgentSummary, Comparison, Summary, TaskSummary

NONE = "–"  # noqa: RUF001
SIGNS = {"beats its data": "▲", "matches": "≈", "below": "▼", "unknown": "?"}
_MARKS = {"beats its data": "up", "matches": "same", "below": "down", "unknown": "unknown"}


class Box(NamedTuple):
    """One cell of a table."""

    text: str
    under: tuple[str, ...] = ()  # smaller lines below it
    mark: str = ""  # how it stands out: best, up, same, down, unknown, changed
    tint: float | None = None  # 0 to 1, from one colour over none to the other


class Table(NamedTuple):
    """A table whose rows come in groups; a row begins with its name."""

    title: str
    columns: tuple[str, ...]
    groups: list[tuple[str, list[list[Box]]]]
    note: str = ""
    words: bool = False  # whether its cells are words, which begin where their column does


_Cells = dict[tuple[str, str, Key], TaskSummary]


def last_table(summary: Summary, series: dict[Key, Series], published: Published) -> Table:
    """The slides' table: mean ± sample std over seeds of the last policy, and published numbers.

    These stand below ours, or in a column of their own for agents that this grid has in several variants or not at all.
    """
    ours = [agent for _, agent in series]
    apart = [agent for agent in _published_agents(published) if ours.count(agent) != 1]

    def theirs(dataset: str, tasks: Sequence[str], agent: str) -> str:
        pairs = [published.get(dataset, {}).get(task, {}).get(agent) for task in tasks]
        known = [pair for pair in pairs if pair is not None]
        if len(known) < len(tasks):
            return NONE
        return _spread(*known[0]) if len(tasks) == 1 else f"{np.mean([mean for mean, _ in known]):.1f}"

    def boxes(dataset: str, tasks: Sequence[str], held: dict[Key, Any]) -> list[Box]:
        top = max((one.mean for one in held.values()), default=np.nan)
        found = [Box(theirs(dataset, tasks, agent)) for agent in apart]
        for key in series:
            if key not in held:
                found.append(Box(NONE))
                continue
            text = NONE if key[1] in apart else theirs(dataset, tasks, key[1])
            under = () if text == NONE else (f"published {text}",)
            found.append(Box(_spread(held[key].mean, held[key].std), under, "best" if held[key].mean == top else ""))
        return found

    cells = _cells_of(summary)
    whole = {(held.dataset, (held.variant, held.agent)): held for held in summary.agents}
    groups = []
    for dataset, tasks in _tasks_of(summary).items():
        rows = []
        for task in tasks:
            own = {key: cells[dataset, task, key] for key in series if (dataset, task, key) in cells}
            rows.append([Box(task), _behaviour(own.values()), *boxes(dataset, [task], own)])
        if len(tasks) > 1:
            full = {key: whole[dataset, key] for key in series
                    if (dataset, key) in whole and set(whole[dataset, key].tasks) == set(tasks)}  # fmt: skip
            behaviour = np.mean([_first(cells, dataset, task).behaviour for task in tasks])
            rows.append([Box("average"), Box(f"{behaviour:.1f}"), *boxes(dataset, tasks, full)])
        groups.append((dataset, rows))
    note = f"Mean ± sample standard deviation over seeds; {_episodes(summary)} a seed; the best mean of a row is bold."
    columns = ("Task", "Behaviour", *(f"{agent.upper()} published" for agent in apart), *_names(series))
    return Table("Last policy", columns, groups, note)


def best_table(summary: Summary, series: dict[Key, Series]) -> Table:
    """The best evaluation of each seed, and what choosing it adds to the last policy."""

    def box(held: TaskSummary) -> Box:
        return Box(_spread(held.best_mean, held.best_std), (f"{held.gap:+.1f}",))

    note = (
        "The best evaluation of each seed, chosen by looking at its returns, which nobody can without the simulator; "
        "below it what that choice adds to the last policy. Evaluations during training may have fewer episodes."
    )
    table = _by_task("Best of run", summary, series, box, note)
    cells = _cells_of(summary)
    for (dataset, rows), tasks in zip(table.groups, _tasks_of(summary).values(), strict=True):
        if len(tasks) > 1:
            own = {key: [cells[dataset, task, key] for task in tasks if (dataset, task, key) in cells]
                   for key in series}  # fmt: skip
            means = {key: (np.mean([one.best_mean for one in held]), np.mean([one.gap for one in held]))
                     for key, held in own.items() if len(held) == len(tasks)}  # fmt: skip
            texts = {key: (f"{best:.1f}", f"{gap:+.1f}") for key, (best, gap) in means.items()}
            rows.append([Box("average"), *(Box(texts[key][0], texts[key][1:]) if key in texts else Box(NONE)
                                           for key in series)])  # fmt: skip
    return table


def verdict_table(summary: Summary, series: dict[Key, Series]) -> Table:
    """Whether each agent beats the policy that logged its data."""

    def box(held: TaskSummary) -> Box:
        text = f"{SIGNS[held.verdict]} {held.verdict}"
        return Box(text, (interval(held.improvement, "+.1f"),), _MARKS[held.verdict])

    note = (
        "Last policy minus behaviour, with a 95 % bootstrap interval over seeds and, within each, episodes: "
        "`beats its data` where all of it lies above zero, `below` where all lies below, else `matches`."
    )
    return _by_task("Against the data", summary, series, box, note)


def worst_table(summary: Summary, series: dict[Key, Series]) -> Table:
    """The extremes of single episodes."""

    def box(held: TaskSummary) -> Box:
        return Box(f"{held.min:.1f}", (f"best {held.max:.1f}",))

    return _by_task("Worst episode of the last policy", summary, series, box, "Over all seeds and episodes.")


def aggregate_table(summary: Summary, series: dict[Key, Series]) -> Table:
    """Interquartile mean of scores and the count of verdicts, for every agent."""
    cells, groups = _cells_of(summary), []
    for dataset, tasks in _tasks_of(summary).items():
        rows = []
        for held in _agents_of(summary, dataset, series):
            key = held.variant, held.agent
            own = [cells[dataset, task, key].verdict for task in tasks if (dataset, task, key) in cells]
            rows.append([
                Box(series[key].name), Box(interval(held.iqm, ".1f")), Box(_spread(held.score, held.score_std)),
                *(Box(str(own.count(word)) if own.count(word) else NONE, (), _MARKS[word] if word in own else "")
                  for word in ("beats its data", "matches", "below")),
                Box(f"{len(held.seeds)} x {len(held.tasks)}"),
            ])  # fmt: skip
        groups.append((dataset, rows))
    columns = ("Agent", "IQM of scores [95 %]", "Mean score ± std", "▲ beats", "≈ matches", "▼ below", "Seeds x tasks")
    return Table("In short", columns, groups, "Score: 0 is a random policy, 100 an expert trained online.")


def improvement_table(comparison: Comparison, series: dict[Key, Series]) -> Table:
    """How likely the row's agent returns more than the column's."""
    keys, held = comparison.agents, comparison.probability
    rows = []
    for i, key in enumerate(keys):
        row = [Box(series[key].name)]
        for j in range(len(keys)):
            if i == j or np.isnan(held.value[i, j]):
                row.append(Box(NONE))
                continue
            value = float(held.value[i, j])
            ends = () if np.isnan(held.low[i, j]) else (f"[{held.low[i, j]:.2f}, {held.high[i, j]:.2f}]",)
            row.append(Box(f"{value:.2f}", ends, "", value))
        rows.append(row)
    return Table(comparison.dataset, ("row over column", *(series[key].name for key in keys)), [("", rows)])


def time_table(finished: Sequence[Finished], series: dict[Key, Series]) -> Table:
    """Seconds a run and updates a second, by dataset."""
    held: dict[tuple[str, Key], list[Finished]] = {}
    for one in finished:
        held.setdefault((one.cell.dataset, (one.cell.variant, one.cell.agent)), []).append(one)
    rows = []
    for dataset in dict.fromkeys(dataset for dataset, _ in held):
        row = [Box(dataset)]
        for key in series:
            results = [one.result for one in held.get((dataset, key), [])]
            if not results:
                row.append(Box(NONE))
                continue
            speed = [result["updates_per_second"] for result in results]
            ends = f"{min(speed):.1f}" if min(speed) == max(speed) else f"{min(speed):.1f} to {max(speed):.1f}"
            mean = float(np.mean([result["seconds"] for result in results]))
            row.append(Box(duration(mean), (f"{ends} updates/s", f"{len(results)} run{'s' * (len(results) > 1)}")))
        rows.append(row)
    note = (
        "Mean time of a run with its evaluations, counted since it was last resumed; updates per second without them."
    )
    return Table("Run time", ("Dataset", *_names(series)), [("", rows)], note)


def cells_table(gathered: Gathered) -> Table:
    """Every cell: its state, length, time and speed."""
    results = {one.cell.path: one.result for one in gathered.finished}
    rows = []
    for cell, state, error in gathered.states:
        row = [Box(cell.label), Box(state, (error,) if error else (), "" if state == "finished" else "down")]
        if (result := results.get(cell.path)) is None:
            row += [Box(NONE)] * 4
        else:
            row += [
                Box(f"{result['updates']:,}"), Box(duration(result["seconds"])),
                Box(duration(result["seconds_evaluating"])) if "seconds_evaluating" in result else Box(NONE),
                Box(f"{result['updates_per_second']:.1f}"),
            ]  # fmt: skip
        rows.append(row)
    return Table("Cells", ("Cell", "State", "Updates", "Time", "Evaluating", "Updates/s"), [("", rows)])


def settings_table(apart: Apart) -> Table:
    """Settings that differ, a row for every set of values; what most cells do not have stands out."""
    rows = []
    for labels, values in apart.rows:
        boxes = [Box(say(value), (), "changed" if value != usual else "")
                 for value, usual in zip(values, apart.usual, strict=True)]  # fmt: skip
        rows.append([Box(", ".join(labels)), *boxes])
    return Table("Settings that differ", ("Cells", *apart.names), [("", rows)] if apart.names else [], words=True)


def say(value: Any) -> str:
    """A setting's value."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def interval(estimate: Estimate, form: str) -> str:
    """Value and interval; the value alone where the interval is unknown."""
    if np.isnan(estimate.value):
        return NONE
    text = format(estimate.value, form)
    return text if np.isnan(estimate.low) else f"{text} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _by_task(
    title: str, summary: Summary, series: dict[Key, Series], box: Callable[[TaskSummary], Box], note: str
) -> Table:
    """A row for each task, a column for each series."""
    cells, groups = _cells_of(summary), []
    for dataset, tasks in _tasks_of(summary).items():
        rows = []
        for task in tasks:
            own = (cells.get((dataset, task, key)) for key in series)
            rows.append([Box(task), *(Box(NONE) if held is None else box(held) for held in own)])
        groups.append((dataset, rows))
    return Table(title, ("Task", *_names(series)), groups, note)


def _cells_of(summary: Summary) -> _Cells:
    return {(held.dataset, held.task, (held.variant, held.agent)): held for held in summary.tasks}


def _tasks_of(summary: Summary) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for held in summary.tasks:
        tasks = found.setdefault(held.dataset, [])
        if held.task not in tasks:
            tasks.append(held.task)
    return found


def _agents_of(summary: Summary, dataset: str, series: dict[Key, Series]) -> list[AgentSummary]:
    held = {(one.variant, one.agent): one for one in summary.agents if one.dataset == dataset}
    return [held[key] for key in series if key in held]


def _first(cells: _Cells, dataset: str, task: str) -> TaskSummary:
    return next(held for (place, name, _), held in cells.items() if (place, name) == (dataset, task))


def _behaviour(held: Iterable[TaskSummary]) -> Box:
    """One number, or the range where variants were trained on data of different behaviour."""
    values = [one.behaviour for one in held]
    text = f"{min(values):.1f}"
    return Box(text if f"{max(values):.1f}" == text else f"{text} to {max(values):.1f}")


def _published_agents(published: Published) -> list[str]:
    return list(dict.fromkeys(agent for tasks in published.values() for agents in tasks.values() for agent in agents))


def _names(series: dict[Key, Series]) -> tuple[str, ...]:
    return tuple(one.name for one in series.values())


def _episodes(summary: Summary) -> str:
    counts = sorted({held.episodes for held in summary.tasks})
    return f"{counts[0]} episodes" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} episodes"


def _spread(mean: float, std: float | None) -> str:
    if np.isnan(mean):
        return NONE
    return f"{mean:.1f}" if std is None or np.isnan(std) else f"{mean:.1f} ± {std:.1f}"
