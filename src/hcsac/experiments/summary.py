"""Statistics of a table of returns: per task, over the tasks, and of the algorithms against each other."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hcsac.evaluation import (
    Estimate,
    Pairwise,
    Profile,
    improvements,
    iqm,
    mean_std,
    pairwise_improvement,
    performance_profile,
    verdict,
)
from hcsac.experiments.baseline import BASELINE, Versus, against_baseline
from hcsac.experiments.groups import Cell, Group, Groups, by, grouped
from hcsac.experiments.returns import dataset_returns

if TYPE_CHECKING:
    import pyarrow as pa


class TaskSummary(NamedTuple):
    """One algorithm on one task. Unknown numbers are NaN, as is the standard deviation over a single seed.

    The interval of a single seed's improvement, and so its verdict, covers the spread over episodes only.
    """

    dataset: str
    variant: str
    algorithm: str
    task: str
    seeds: tuple[int, ...]
    updates: tuple[int, ...]  # of the seeds' last evaluations: more than one where trainings differ in length
    episodes: int  # of every seed's last evaluation, or as many as all of them have
    mean: float  # of the last policy; std over seeds of their means, min and max over all episodes
    std: float
    min: float
    max: float
    median: float  # of all episodes of all seeds
    failed: float  # share of failed episodes, mean over seeds (see `failed_share`)
    best_mean: float  # of each seed's best evaluation, chosen by its returns
    best_std: float
    gap: float  # best minus last
    score: float  # mean score of the last policy
    iqm: Estimate  # of the seeds' scores
    dataset_return: float  # mean return of the logged episodes
    improvement: Estimate  # last policy minus dataset return
    verdict: str  # `beats its data`, `not told apart`, `below`, `unknown`
    versus: Versus | None  # last policy minus its baseline; None where it has none
    metrics: dict[str, np.ndarray]  # every registered metric of the last policy, [R] in the order of `seeds`

    @property
    def key(self) -> tuple[str, str]:
        """Variant and algorithm."""
        return self.variant, self.algorithm


class AlgorithmSummary(NamedTuple):
    """One algorithm over the tasks of a dataset. Scores are of the tasks that have one; `std` is over matched seeds."""

    dataset: str
    variant: str
    algorithm: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]  # that have all these tasks
    mean: float  # over tasks, of the mean return over seeds
    std: float  # over seeds, of their mean return over tasks
    scored: tuple[str, ...]  # tasks that have a score
    score: float
    score_std: float
    iqm: Estimate
    profile: Profile  # share of runs whose score exceeds each threshold

    @property
    def key(self) -> tuple[str, str]:
        """Variant and algorithm."""
        return self.variant, self.algorithm


class Comparison(NamedTuple):
    """The probability that a run of the row's algorithm returns more than one of the column's, on a random task."""

    dataset: str
    keys: tuple[tuple[str, str], ...]  # (variant, algorithm) of rows and columns
    probability: Pairwise


class Summary(NamedTuple):
    """All statistics, in the order of the table."""

    tasks: list[TaskSummary]
    algorithms: list[AlgorithmSummary]
    comparisons: list[Comparison]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: tuples by the names of their fields, arrays as lists, NaN as None."""
        return _plain(self)


def summarise(table: "pa.Table", draws: int = 10_000, seed: int = 0, baseline: str = BASELINE) -> Summary:
    """All statistics of a table that `collect_returns` made.

    The seeds of an algorithm on a task may come from one run or from several, and its tasks from single-task runs or
    from one run on all. Runs without a complete evaluation are left out. Where seeds were evaluated on different
    numbers of episodes, the first ones that every seed has are used: episode e has the same initial state everywhere.

    Args:
        draws: bootstrap samples for improvements and interquartile means; profiles and comparisons, which are many and
            decide no verdict, take a fifth of them.
        seed: of the random generator of the bootstrap.
        baseline: what each algorithm is compared with: an algorithm, a variant, or `ALGORITHM VARIANT`. Where no cell
            on the same data has this name, or several have, there is no such comparison.

    Raises:
        UserError: two runs of one algorithm on one task have the same seed, or data with different returns.
    """
    groups = grouped(table)
    return Summary(
        _summarise_tasks(groups, table, draws, seed, baseline),
        _summarise_algorithms(groups, draws, seed),
        _compare(groups, draws // 5, seed),
    )


def _summarise_tasks(groups: Groups, table: "pa.Table", draws: int, seed: int, baseline: str) -> list[TaskSummary]:
    logged = dataset_returns(table)
    references = {key: logged.get((key[0], key[1], key[3]), group.dataset_return) for key, group in groups.items()}
    improved: dict[Cell, Estimate] = {}
    for keys in by(groups, lambda key: groups[key].returns.shape).values():
        values = np.stack([groups[key].returns for key in keys])
        estimates = improvements(values, [references[key] for key in keys], draws, seed)
        improved |= dict(zip(keys, estimates, strict=True))
    versus = against_baseline(groups, baseline, draws, seed)
    summaries = []
    for key, group in groups.items():
        dataset, variant, algorithm, task = key
        scores = group.scores
        mean, std = mean_std(group.last)
        best_mean, best_std = mean_std(group.best)
        summaries.append(
            TaskSummary(
                dataset=dataset,
                variant=variant,
                algorithm=algorithm,
                task=task,
                seeds=group.seeds,
                updates=group.updates,
                episodes=group.returns.shape[1],
                mean=mean,
                std=std,
                min=float(group.metrics["worst_episode"].min()),
                max=float(group.metrics["best_episode"].max()),
                median=float(np.median(group.returns)),
                failed=float(group.metrics["failed_share"].mean()),
                best_mean=best_mean,
                best_std=best_std,
                gap=best_mean - mean,
                score=float(scores.mean()),
                iqm=iqm(scores[:, None], draws, seed),
                dataset_return=float(np.mean(references[key])),
                improvement=improved[key],
                verdict=verdict(improved[key]),
                versus=versus.get(key),
                metrics=group.metrics,
            )
        )
    return summaries


def _summarise_algorithms(groups: Groups, draws: int, seed: int) -> list[AlgorithmSummary]:
    scores = np.concatenate([group.scores for group in groups.values()]) if groups else np.zeros(0)
    known = scores[~np.isnan(scores)]
    # 0 to 100, and beyond as far as any run reaches; the same for all, so that their profiles can be compared.
    ends = min(0.0, np.floor(known.min(initial=0))), max(100.0, np.ceil(known.max(initial=0)))
    thresholds = np.linspace(*ends, 101)
    summaries = []
    for (dataset, variant, algorithm), keys in by(groups, lambda key: key[:3]).items():
        own = [groups[key] for key in keys]
        has_score = [group.has_score for group in own]
        seeds, returns = _matrix(own, [group.last for group in own])
        points = _matrix(own, [group.scores for group in own])[1][:, has_score]
        if np.isnan(points).all(0).any():  # a task on which a run diverged
            points[:] = np.nan
        complete = ~np.isnan(returns).any(1)
        mean, std = _over_tasks(returns)
        score, score_std = _over_tasks(points)
        tasks = tuple(key[3] for key in keys)
        summaries.append(
            AlgorithmSummary(
                dataset=dataset,
                variant=variant,
                algorithm=algorithm,
                tasks=tasks,
                seeds=tuple(np.array(seeds)[complete].tolist()),
                mean=mean,
                std=std,
                scored=tuple(task for task, has in zip(tasks, has_score, strict=True) if has),
                score=score,
                score_std=score_std,
                iqm=iqm(points, draws, seed),
                profile=performance_profile(points, thresholds, draws // 5, seed),
            )
        )
    return summaries


def _compare(groups: Groups, draws: int, seed: int) -> list[Comparison]:
    comparisons = []
    for dataset, keys in by(groups, lambda key: key[0]).items():
        compared = list(by(keys, lambda key: (key[1], key[2])))
        tasks = list(by(keys, lambda key: key[3]))
        matrices = []
        for variant, algorithm in compared:
            own = [groups.get((dataset, variant, algorithm, task)) for task in tasks]
            seeds = max(len(group.seeds) for group in own if group)
            # Runs are compared within a task, so rows of different tasks need not be the same seed.
            matrix = np.full((seeds, len(tasks)), np.nan)
            for m, group in enumerate(own):
                if group:
                    matrix[: len(group.seeds), m] = group.last
            diverged = any(group and np.isnan(group.last).any() for group in own)
            matrices.append(np.full_like(matrix, np.nan) if diverged else matrix)
        comparisons.append(Comparison(dataset, tuple(compared), pairwise_improvement(matrices, draws, seed)))
    return comparisons


def _matrix(groups: list[Group], values: list[np.ndarray]) -> tuple[list[int], np.ndarray]:
    """All seeds of the groups, ascending, and their values [R, M], matched by seed; NaN where a group lacks a seed."""
    seeds = sorted({seed for group in groups for seed in group.seeds})
    matrix = np.full((len(seeds), len(groups)), np.nan)
    for m, (group, column) in enumerate(zip(groups, values, strict=True)):
        matrix[[seeds.index(seed) for seed in group.seeds], m] = column
    return seeds, matrix


def _over_tasks(values: np.ndarray) -> tuple[float, float]:
    """Mean over tasks of the mean over seeds, and the std over the seeds that have all tasks, of values [R, M]."""
    if values.size == 0 or np.isnan(values).all(0).any():
        return float("nan"), float("nan")
    complete = values[~np.isnan(values).any(1)].mean(1)
    return float(np.nanmean(values, 0).mean()), mean_std(complete)[1] if len(complete) else float("nan")


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(field) for name, field in value._asdict().items()}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and np.isnan(value) else value
