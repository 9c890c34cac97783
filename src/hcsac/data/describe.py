"""What a dataset holds, in numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hcsac.data.episode import Episode
from hcsac.data.store import read

# What Minari keeps for itself, or what is said elsewhere in the description.
_UNTOLD = {"observation_space", "action_space", "env_spec", "task", "total_episodes", "total_steps", "behaviour_return"}


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
    """A readable page on one dataset; `UserError` as in `read`."""
    name, episodes, metadata = read(ref, task)
    told = summarise(episodes)
    lines = [
        f"dataset      {ref}",
        f"task         {name}",
        f"episodes     {told['episodes']} with {told['steps']} steps; "
        f"{told['terminated']} terminated, {told['truncated']} truncated",
        f"sizes        observation {told['observation_size']}, action {told['action_size']}",
        f"return       mean {told['return_mean']:.1f}, std {told['return_std']:.1f}, "
        f"range {told['return_min']:.1f} .. {told['return_max']:.1f}",
        f"physics      {'stored for every observation' if told['physics'] else 'not stored'}",
    ]
    lines += [f"{key:<12} {value}" for key, value in sorted(metadata.items()) if key not in _UNTOLD]
    return "\n".join(lines)
