"""How much of the space of states and actions the data cover, and their returns."""

from collections.abc import Sequence

import numpy as np

from hcsac.data.checks.findings import Check, Finding, make_finding
from hcsac.data.checks.pieces import moments, pieces
from hcsac.data.episode import Episode
from hcsac.tasks import ActionBounds, get_task, task_names

_PARTS = 20  # equal parts of an action's range
_VISITED = 1e-3  # share of the steps that makes a part visited
_ABOVE = 1.2  # times the expert's return
_BAR = 40  # characters of the longest bar


def check_coverage(episodes: Sequence[Episode], bounds: ActionBounds) -> Check:
    """The share of the actions' range that is visited, and along how many directions the observations spread."""
    counts = np.sum([_counts(bounds.inside(part)) for part in pieces(episodes, lambda e: e.action)], axis=0)
    visited = (counts >= max(1, _VISITED * counts[0].sum())).mean(axis=1)
    shares = _principal_shares(episodes)
    needed = int(np.searchsorted(np.cumsum(shares), 0.95) + 1) if shares.sum() else 0
    effective = float(1 / np.sum(shares**2)) if shares.sum() else 0.0
    message = (
        f"the actions visit {visited.mean():.0%} of their range ({visited.min():.0%} in the narrowest), and the "
        f"observations spread along {effective:.1f} of {len(shares)} directions ({needed} have 95 % of the variance)."
    )
    numbers = {
        "action_range_visited": visited.tolist(),
        "principal_shares": shares.tolist(),
        "effective_directions": effective,
        "directions_for_95_percent": needed,
    }
    return Check("coverage", message, numbers=numbers)


def _counts(action: np.ndarray) -> np.ndarray:
    """How many of some actions [n, A] in [-1, 1] are in each part of their range, [A, parts]."""
    parts = np.clip(((action + 1) / 2 * _PARTS).astype(int), 0, _PARTS - 1)
    return np.stack([np.bincount(column, minlength=_PARTS) for column in parts.T])


def _principal_shares(episodes: Sequence[Episode]) -> np.ndarray:
    """Shares [S] of the variance of the standardised observations along their principal directions, descending."""
    covariance = moments(episodes)[1]
    spread = np.sqrt(np.diag(covariance))
    unit = np.where(spread > 0, spread, 1)
    variances = np.linalg.eigvalsh(covariance / np.outer(unit, unit))[::-1].clip(min=0)
    return np.asarray(variances / max(variances.sum(), 1e-300))


def check_returns(episodes: Sequence[Episode], task_name: str) -> Check:
    """The distribution of the episodes' returns, with a histogram as text."""
    values = np.array([episode.episode_return for episode in episodes])
    task = get_task(task_name) if task_name in task_names() else None
    findings: list[Finding] = []
    first = episodes[0].reward[0]
    if all((episode.reward == first).all() for episode in episodes):
        findings.append(make_finding("constant-rewards", f"every reward is {first:.6g}."))
    expert = None if task is None else task.expert_return
    if expert is not None and values.max() > _ABOVE * expert > 0:
        best = int(np.argmax(values))
        what = f"episode {best} returns {values[best]:.1f}, the expert {expert:.1f}."
        findings.append(make_finding("returns-above-expert", what))
    counts, edges = np.histogram(values, bins=min(10, max(1, len(values))))
    spread = values.std(ddof=1) if len(values) > 1 else 0.0
    message = f"mean {values.mean():.1f}, std {spread:.1f}, range {values.min():.1f} to {values.max():.1f}"
    if task is not None and task.random_return is not None:
        message += f"; random actions return {task.random_return:.1f}"
    numbers = {
        "mean": float(values.mean()),
        "std": float(spread),
        "returns": values.tolist(),
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
    }
    return Check("returns", f"{message}.\n{_histogram(counts, edges)}", tuple(findings), numbers=numbers)


def _histogram(counts: np.ndarray, edges: np.ndarray) -> str:
    longest = max(int(counts.max()), 1)
    return "\n".join(
        f"{low:9.1f} to {high:9.1f} {count:5d}  {'#' * round(_BAR * count / longest)}".rstrip()
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    )
