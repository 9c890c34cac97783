"""The slides' table from finished runs: Markdown for people, CSV for programs."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hcsac.evaluation import mean_std
from hcsac.experiments.cells import Cell
from hcsac.training import RunDirectory, last_returns, learning_curve


class Result(NamedTuple):
    """Returns of one agent on one task of one level, per seed [R]."""

    last: np.ndarray
    best: np.ndarray
    behaviour: float


Results = dict[tuple[str, str, str], Result]  # (level, task, agent)


def collect_results(cells: Sequence[Cell]) -> Results:
    """Mean returns of the last policy, and of the best evaluation of each seed, of every cell."""
    results: Results = {}
    for cell in cells:
        run = RunDirectory(cell.path)
        behaviour = run.identity()["behaviour"]
        for task in cell.tasks:
            returns = learning_curve(run, task)[1]
            last, best = last_returns(run, task).mean(1), returns.max(0)
            if (held := results.get((cell.dataset, task, cell.agent))) is not None:  # its other seeds
                last, best = np.concatenate([held.last, last]), np.concatenate([held.best, best])
            results[cell.dataset, task, cell.agent] = Result(last, best, behaviour[task])
    return results


def markdown(results: Results, which: str = "last") -> str:
    """Rows dataset/task/average, columns behaviour and agents: mean ± sample std over seeds, best agent in bold.

    `which` is `last` (the policy a user keeps) or `best` (the best evaluation of the run, chosen by its returns).
    """
    agents = list(dict.fromkeys(agent for _, _, agent in results))
    lines = [
        "| Dataset | Task | Behaviour | " + " | ".join(agent.upper() for agent in agents) + " |",
        "| --- | --- | ---: |" + " ---: |" * len(agents),
    ]
    for level in dict.fromkeys(level for level, _, _ in results):
        tasks = list(dict.fromkeys(task for place, task, _ in results if place == level))
        rows = {task: [getattr(results[level, task, agent], which) for agent in agents] for task in tasks}
        behaviour = {task: results[level, task, agents[0]].behaviour for task in tasks}
        if len(tasks) > 1:
            rows["average"] = [np.mean([rows[task][a] for task in tasks], axis=0) for a in range(len(agents))]
            behaviour["average"] = float(np.mean(list(behaviour.values())))
        for task, values in rows.items():
            means = [mean_std(value) for value in values]
            top = max(mean for mean, _ in means)
            texts = [f"**{_text(*pair)}**" if pair[0] == top else _text(*pair) for pair in means]
            lines.append(f"| {level} | {task} | {behaviour[task]:.1f} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def write_csv(results: Results, path: Path) -> None:
    """One row per level, task and agent."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "dataset",
                "task",
                "agent",
                "seeds",
                "behaviour",
                "last_mean",
                "last_std",
                "best_of_run_mean",
                "best_of_run_std",
            ]
        )
        for (level, task, agent), result in results.items():
            numbers = [result.behaviour, *mean_std(result.last), *mean_std(result.best)]
            cells = ["" if np.isnan(number) else f"{number:.4f}" for number in numbers]
            writer.writerow([level, task, agent, len(result.last), *cells])


def _text(mean: float, std: float) -> str:
    return f"{mean:.1f}" if np.isnan(std) else f"{mean:.1f} ± {std:.1f}"
