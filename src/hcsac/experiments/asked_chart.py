"""The curve of a policy that is asked by a number: what it achieves and returns against what it was asked for."""

from pathlib import Path
from typing import Any

import numpy as np

from hcsac.errors import needs
from hcsac.experiments.sharing_history import COLOURS
from hcsac.files import write_atomically
from hcsac.policy.asked import Asked

POLICY, LOGS, UNSEEN = COLOURS[0], "#555555", COLOURS[3]


def draw_asked(found: Asked, path: Path) -> None:
    """Write a PNG: mean over all episodes, band from the 10th to the 90th percentile, and what the logs show.

    Raises:
        UserError: the file cannot be written.
    """
    with needs("report"):
        import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = [("return", found.returns, found.logged, "logged episodes")]
    if found.achieved is not None:
        panels.insert(0, (f"achieved {found.name}", found.achieved, np.array(found.values), "as asked"))
    figure, axes = plt.subplots(1, len(panels), figsize=(5 * len(panels), 3.6), squeeze=False, layout="constrained")
    for axis, (label, of, beside, what) in zip(axes[0], panels, strict=True):
        _draw(axis, found, of, beside, what)
        axis.set(xlabel=f"{found.name} asked for", ylabel=label)
    for spot in axes[0]:
        spot.legend(frameon=False)
    with write_atomically(path) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)


def _draw(axis: Any, found: Asked, of: np.ndarray, beside: np.ndarray, what: str) -> None:
    order = np.argsort(found.values)
    values, all_ = np.array(found.values)[order], of.swapaxes(0, 1).reshape(len(order), -1)[order]
    low, high = np.percentile(all_, (10, 90), axis=1)
    axis.plot(values, beside[order], color=LOGS, linestyle="--", label=what)
    axis.fill_between(values, low, high, color=POLICY, alpha=0.2, linewidth=0, label="10 % to 90 % of episodes")
    axis.plot(values, all_.mean(1), color=POLICY, marker="o", markersize=4, label="the policy, mean")
    if found.unseen.any():
        edges = np.interp(np.arange(len(values) + 1) - 0.5, np.arange(len(values)), values)
        for n, span in enumerate(edges[v : v + 2] for v in np.flatnonzero(found.unseen[order])):
            axis.axvspan(*span, color=UNSEEN, alpha=0.2, linewidth=0, label="hardly in the logs" if n == 0 else None)
    axis.spines[["top", "right"]].set_visible(False)
