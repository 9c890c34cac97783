"""Training curves: return over updates, one picture per dataset and task."""

from collections.abc import Sequence
from pathlib import Path

from hcsac.experiments.cells import Cell
from hcsac.tasks import get_task
from hcsac.training import RunDirectory, learning_curve

# Okabe and Ito's palette, told apart by colour-blind readers too.
COLOURS = {"bc": "#000000", "csac": "#E69F00", "mtcsac": "#0072B2", "hcsac": "#D55E00"}


def draw_curves(cells: Sequence[Cell], directory: Path) -> list[Path]:
    """Write one PNG per dataset and task: mean over seeds, band of one sample std, behaviour and random as lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    paths = []
    for dataset, task in dict.fromkeys((cell.dataset, task) for cell in cells for task in cell.tasks):
        figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
        behaviour = None
        for cell in cells:
            if cell.dataset != dataset or task not in cell.tasks:
                continue
            run = RunDirectory(cell.path)
            updates, returns = learning_curve(run, task)
            behaviour = run.identity()["behaviour"][task]
            mean, colour = returns.mean(1), COLOURS[cell.agent]
            axes.plot(updates, mean, label=cell.agent.upper(), color=colour, marker="o", markersize=3)
            if returns.shape[1] > 1:
                std = returns.std(1, ddof=1)
                axes.fill_between(updates, mean - std, mean + std, color=colour, alpha=0.2, linewidth=0)
        if behaviour is not None:
            axes.axhline(behaviour, linestyle="--", color="grey", label="behaviour")
        if (random := get_task(task).random_return) is not None:
            axes.axhline(random, linestyle=":", color="grey", label="random policy")
        seeds = len(next(cell.seeds for cell in cells))
        axes.set(xlabel="updates", ylabel="return", title=f"{task}, {dataset} ({seeds} seed{'s' if seeds > 1 else ''})")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
        path = directory / f"{dataset}-{task}.png"
        figure.savefig(path, dpi=150)
        plt.close(figure)
        paths.append(path)
    return paths
