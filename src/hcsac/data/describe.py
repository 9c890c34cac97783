"""A dataset in numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hcsac.data.episode import Episode
from hcsac.data.formats import OpenedDataset
from hcsac.data.store import read

# Minari's own metadata, and what the description shows elsewhere.
_LEFT_OUT = {
    "observation_space",
    "action_space",
    "env_spec",
    "task",
    "total_episodes",
    "total_steps",
    "behaviour_return",
}


def summarise(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Counts, sizes and returns (undiscounted, sample std) of some episodes."""
    returns = np.array([episode.episode_return for episode in episodes])
    return {
        "episodes": len(episodes),
        "steps": sum(len(episode) for episode in episodes),
        "observation_size": int(episodes[0].observation.shape[1]),
        "action_size": int(episodes[0].action.shape[1]),
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std(ddof=1)) if len(returns) > 1 else 0.0,
        "return_min": float(returns.min()),
        "return_max": float(returns.max()),
        "terminated": sum(int(episode.terminated.any()) for episode in episodes),
        "truncated": sum(int(episode.truncated.any()) for episode in episodes),
        "physics": all(episode.physics is not None for episode in episodes),
    }


def describe(ref: str, task: str | None = None) -> str:
    """One dataset described in a few lines.

    Raises:
        UserError: as `read`.
    """
    name, episodes, metadata = read(ref, task)
    bounds = OpenedDataset(ref, task).bounds(episodes[0].action.shape[1])
    summary = summarise(episodes)
    lines = [
        f"dataset      {ref}",
        f"task         {name}",
        f"episodes     {summary['episodes']} with {summary['steps']} steps; "
        f"{summary['terminated']} terminated, {summary['truncated']} truncated",
        f"sizes        observation {summary['observation_size']}, action {summary['action_size']} in {bounds}",
        f"return       mean {summary['return_mean']:.1f}, std {summary['return_std']:.1f}, "
        f"range {summary['return_min']:.1f} .. {summary['return_max']:.1f}",
        f"simulator    {'states stored for every observation' if summary['physics'] else 'states not stored'}",
    ]
    lines += [f"{key:<12} {value}" for key, value in sorted(metadata.items()) if key not in _LEFT_OUT]
    return "\n".join(lines)
