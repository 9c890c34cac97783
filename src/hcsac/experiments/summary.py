"""What a table of returns says: per task, over the tasks, and of the agents against each other."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from hcsac.errors import UserError
from hcsac.evaluation import (
    Estimate,
    Pairwise,
    Profile,
    improvements,
    iqm,
    mean_std,
    normalise,
    pairwise_improvement,
    performance_profile,
    verdict,
)
from hcsac.experiments.returns import behaviour_returns

if TYPE_CHECKING:
    import pyarrow as pa

K = TypeVar("K")
V = TypeVar("V")
_TASK = ["dataset", "variant", "agent", "task"]
_SEED = [*_TASK, "run", "seed"]


class TaskSummary(NamedTuple):
    """One agent on one task. Numbers that are not known are NaN, as is the spread over seeds of a single seed.

    The interval of a single seed's improvement, and so its verdict, knows of episodes only.
    """

    dataset: str
    variant: str
    agent: str
    task: str
    seeds: tuple[int, ...]
    updates: tuple[int, ...]  # at which the seeds' last evaluations were made: more than one where trainings differ
    episodes: int  # of every seed's last evaluation, or as many as all of them have
    mean: float  # of the last policy; std over seeds of their means, min and max over all episodes
    std: float
    min: float
    max: float
    best_mean: float  # of each seed's best evaluation, chosen by its returns
    best_std: float
    gap: float  # best minus last
    score: float  # mean score of the last policy
    iqm: Estimate  # of the seeds' scores
    behaviour: float  # mean return of the logged episodes
    improvement: Estimate  # last minus behaviour
    verdict: str  # `beats its data`, `matches`, `below`, `unknown`


class AgentSummary(NamedTuple):
    """One agent over the tasks of a dataset. Scores are of the tasks that have one; `std` is over matched seeds."""

    dataset: str
    variant: str
    agent: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]  # that have all these tasks, by number
    mean: float  # over tasks of the mean return over seeds
    std: float  # over seeds of their mean return over tasks
    scored: tuple[str, ...]
    score: float
    score_std: float
    iqm: Estimate
    profile: Profile  # share of runs whose score exceeds each threshold


class Comparison(NamedTuple):
    """How likely a run of the row's agent returns more than one of the column's, on a task drawn at random."""

    dataset: str
    agents: tuple[tuple[str, str], ...]  # (variant, agent) of rows and columns
    probability: Pairwise


class Summary(NamedTuple):
    """All of it, in the order of the table."""

    tasks: list[TaskSummary]
    agents: list[AgentSummary]
    comparisons: list[Comparison]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: tuples by the names of their fields, arrays as lists, NaN as None."""
        return _plain(self)


class _Cell(NamedTuple):
    """One agent on one task, seeds ascending."""

    seeds: tuple[int, ...]
    updates: tuple[int, ...]
    returns: np.ndarray  # [R, episodes] of the last evaluation
    best: np.ndarray  # [R]
    behaviour: float
    random: float
    expert: float

    @property
    def scores(self) -> np.ndarray:
        """[R] of the last evaluation; NaN where the task has none."""
        return normalise(self.last, self.random, self.expert)

    @property
    def last(self) -> np.ndarray:
        """Mean returns [R] of the last evaluation; all are NaN if one is, lest a run that broke down be left out."""
        means = self.returns.mean(1)
        return np.full_like(means, np.nan) if np.isnan(means).any() else means


_Cells = dict[tuple[str, ...], _Cell]  # (dataset, variant, agent, task) -> its runs


def summarise(table: "pa.Table", draws: int = 10_000, seed: int = 0) -> Summary:
    """Every statistic of the returns that `collect_returns` made a table of.

    The seeds of a cell (dataset, variant, agent, task) may come from one run or from several, and the tasks of an agent
    from runs of their own or from one of all. Runs without a whole evaluation are left out. Where seeds were evaluated
    on different numbers of episodes, all are judged by the first ones that every seed has: episode e starts from the
    same state everywhere.

    Args:
        draws: of the bootstrap of improvements and interquartile means; profiles and comparisons, which are many and
            not what a verdict hangs on, take a fifth of them.
        seed: of its generator.

    Raises:
        UserError: two runs hold the same seed of one cell, or one cell has data of different behaviour.
    """
    cells = _cells(table)
    tasks, agents = _tasks(cells, table, draws, seed), _agents(cells, draws, seed)
    return Summary(tasks, agents, _compare(cells, draws // 5, seed))


def _tasks(cells: _Cells, table: "pa.Table", draws: int, seed: int) -> list[TaskSummary]:
    logged = behaviour_returns(table)
    behaviour = {key: logged.get((key[0], key[1], key[3]), cell.behaviour) for key, cell in cells.items()}
    improved: dict[tuple[str, ...], Estimate] = {}
    for keys in _groups(cells, lambda key: cells[key].returns.shape).values():
        values = np.stack([cells[key].returns for key in keys])
        found = improvements(values, [behaviour[key] for key in keys], draws, seed)
        improved |= dict(zip(keys, found, strict=True))
    summaries = []
    for key, cell in cells.items():
        dataset, variant, agent, task = key
        scores = cell.scores
        best_mean, best_std = mean_std(cell.best)
        mean, std = mean_std(cell.last)
        summaries.append(
            TaskSummary(
                dataset, variant, agent, task, cell.seeds, cell.updates, cell.returns.shape[1],
                mean, std, float(cell.returns.min()), float(cell.returns.max()),
                best_mean, best_std, best_mean - mean, float(scores.mean()), iqm(scores[:, None], draws, seed),
                float(np.mean(behaviour[key])), improved[key], verdict(improved[key]),
            )
        )  # fmt: skip
    return summaries


def _agents(cells: _Cells, draws: int, seed: int) -> list[AgentSummary]:
    scores = np.concatenate([cell.scores for cell in cells.values()]) if cells else np.zeros(0)
    known = scores[~np.isnan(scores)]
    # 0 to 100, and as far beyond as any run reaches, alike for all agents so that their profiles can be compared.
    ends = min(0.0, np.floor(known.min(initial=0))), max(100.0, np.ceil(known.max(initial=0)))
    thresholds = np.linspace(*ends, 101)
    summaries = []
    for (dataset, variant, agent), keys in _groups(cells, lambda key: key[:3]).items():
        own = [cells[key] for key in keys]
        scored = [not np.isnan(cell.random + cell.expert) for cell in own]
        seeds, returns = _matrix(own, [cell.last for cell in own])
        points = _matrix(own, [cell.scores for cell in own])[1][:, scored]
        if np.isnan(points).all(0).any():  # a task in which a run broke down
            points[:] = np.nan
        whole = ~np.isnan(returns).any(1)
        mean, std = _over_tasks(returns)
        score, score_std = _over_tasks(points)
        tasks = tuple(key[3] for key in keys)
        summaries.append(
            AgentSummary(
                dataset, variant, agent, tasks, tuple(np.array(seeds)[whole].tolist()), mean, std,
                tuple(task for task, has in zip(tasks, scored, strict=True) if has), score, score_std,
                iqm(points, draws, seed), performance_profile(points, thresholds, draws // 5, seed),
            )
        )  # fmt: skip
    return summaries


def _compare(cells: _Cells, draws: int, seed: int) -> list[Comparison]:
    comparisons = []
    for dataset, keys in _groups(cells, lambda key: key[0]).items():
        agents = list(_groups(keys, lambda key: (key[1], key[2])))
        tasks = list(_groups(keys, lambda key: key[3]))
        matrices = []
        for variant, agent in agents:
            own = [cells.get((dataset, variant, agent, task)) for task in tasks]
            seeds = max(len(cell.seeds) for cell in own if cell)
            matrix = np.full((seeds, len(tasks)), np.nan)  # runs are compared within a task: which row, is no matter
            for m, cell in enumerate(own):
                if cell:
                    matrix[: len(cell.seeds), m] = cell.last
            broken = any(cell and np.isnan(cell.last).any() for cell in own)
            matrices.append(np.full_like(matrix, np.nan) if broken else matrix)
        comparisons.append(Comparison(dataset, tuple(agents), pairwise_improvement(matrices, draws, seed)))
    return comparisons


def _cells(table: "pa.Table") -> _Cells:
    """The runs' last returns, sorted into cells."""
    each = table.group_by([*_SEED, "update"], use_threads=False).aggregate([("return", "mean")])
    best = each.group_by(_SEED, use_threads=False).aggregate([("return_mean", "max")])
    best_of = {tuple(row[name] for name in _SEED): row["return_mean_max"] for row in best.to_pylist()}
    references = ["update", "behaviour", "random_return", "expert_return"]
    last = (
        table.filter(table["last"]).group_by([*_SEED, *references], use_threads=False).aggregate([("return", "list")])
    )
    rows = last.to_pylist()
    cells: _Cells = {}
    for key, numbers in _groups(range(len(rows)), lambda i: tuple(rows[i][name] for name in _TASK)).items():
        own = sorted((rows[i] for i in numbers), key=lambda row: row["seed"])
        where = " ".join(filter(None, key))
        for one, other in pairwise(own):
            if one["seed"] == other["seed"]:
                raise UserError(
                    f"{where}: seed {one['seed']} is in two runs, {one['run']} and {other['run']}; label them apart."
                )
            if not np.isclose(_number(one["behaviour"]), _number(other["behaviour"]), equal_nan=True):
                raise UserError(
                    f"{where}: {one['run']} and {other['run']} were trained on different data; label them apart."
                )
        episodes = min(len(row["return_list"]) for row in own)
        cells[key] = _Cell(
            tuple(row["seed"] for row in own),
            tuple(sorted({row["update"] for row in own})),
            np.array([row["return_list"][:episodes] for row in own]),
            np.array([best_of[tuple(row[name] for name in _SEED)] for row in own], float),
            *(_number(own[0][name]) for name in references[1:]),
        )
    return cells


def _matrix(cells: list[_Cell], values: list[np.ndarray]) -> tuple[list[int], np.ndarray]:
    """All seeds of the cells, ascending, and their values [R, M], matched by the seed's number; NaN where one lacks."""
    seeds = sorted({seed for cell in cells for seed in cell.seeds})
    matrix = np.full((len(seeds), len(cells)), np.nan)
    for m, (cell, of_cell) in enumerate(zip(cells, values, strict=True)):
        matrix[[seeds.index(seed) for seed in cell.seeds], m] = of_cell
    return seeds, matrix


def _over_tasks(values: np.ndarray) -> tuple[float, float]:
    """Mean over tasks of the mean over seeds, and the std over the seeds that have all tasks, of values [R, M]."""
    if values.size == 0 or np.isnan(values).all(0).any():
        return float("nan"), float("nan")
    whole = values[~np.isnan(values).any(1)].mean(1)
    return float(np.nanmean(values, 0).mean()), mean_std(whole)[1] if len(whole) else float("nan")


def _groups(values: Iterable[V], key: Callable[[V], K]) -> dict[K, list[V]]:
    """Values of one key together, in the order in which the keys come first."""
    found: dict[K, list[V]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return found


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(field) for name, field in value._asdict().items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and np.isnan(value) else value
