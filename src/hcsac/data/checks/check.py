"""All checks of one dataset, one after the other."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from hcsac.data.build import bounds_of_task
from hcsac.data.checks import columns, coverage, rewards, shapes
from hcsac.data.checks.findings import ERROR, Check, Report, make_finding
from hcsac.data.checks.kinematics import jumps
from hcsac.data.checks.order import check_actions, check_rewards
from hcsac.data.checks.repeats import check_repeats
from hcsac.data.checks.replay import Simulated, simulate
from hcsac.data.checks.steps import Steps, choose
from hcsac.data.episode import Episode
from hcsac.data.formats import OpenedDataset
from hcsac.errors import UserError
from hcsac.tasks import ActionBounds, get_task, random_rollout, rewards_of, task_names, why_not_replayed

STEPS = 60_000  # steps replayed at most by default; takes about ten seconds


def check(
    data: str | Path | Sequence[Episode],
    task_name: str | None = None,
    steps: int = STEPS,
    seed: int = 0,
    use_physics: bool = True,
) -> Report:
    """Check a dataset or episodes.

    Args:
        data: the dataset's name or path, as in `hcsac.load`, or episodes.
        task_name: its task, where the data do not name it.
        steps: steps replayed at most, where simulator states are stored.
        seed: of the choice of steps, and of the random policy that columns are compared with.
        use_physics: replay stored simulator states. Without them the alignment of actions and rewards is judged from
            the logged values alone, and rewards are compared with the task's reward function if it has one.

    Raises:
        UserError: the data cannot be read at all; every other problem is a finding.
    """
    if isinstance(data, str | Path):
        opened = OpenedDataset(str(data), task_name)
        limit = opened.time_limit
        return examine(str(data), opened.task, opened.episodes(), steps, seed, use_physics, opened.bounds, limit)
    if task_name is None:
        raise UserError("episodes do not name their task; give it as task_name.")
    if not data:
        raise UserError("there is no episode to check; give one or more.")
    return examine(f"{len(data)} episodes", get_task(task_name).name, data, steps, seed, use_physics)


def examine(
    subject: str,
    task_name: str,
    episodes: Sequence[Episode],
    steps: int = STEPS,
    seed: int = 0,
    physics: bool = True,
    bounds_of: Callable[[int], ActionBounds] | None = None,
    limit: int | None = None,
) -> Report:
    """All checks of some episodes of a task; arguments as in `check`.

    Args:
        bounds_of: number of actions -> their bounds; None for those of the task.
        limit: the time limit that the data record, in steps.
    """
    size = episodes[0].action.shape[1] if episodes[0].action.ndim == 2 else 1
    bounds = bounds_of_task(task_name, size) if bounds_of is None else bounds_of(size)
    checks = shapes.check_arrays(episodes, bounds)
    valid = not any(check.findings for check in checks)
    if valid and task_name in task_names():
        checks.append(shapes.check_sizes(episodes, task_name))
        valid = not checks[-1].findings
    if not valid:
        return Report(
            subject, task_name, (*checks, Check("other checks", "fix the findings above first.", skipped=True))
        )
    simulated = _simulated(episodes, task_name, steps, seed, physics)
    checks.append(shapes.check_boundaries(episodes))
    limit = shapes.limit_of(episodes, task_name, limit)
    checks.append(shapes.check_time_limit(episodes, task_name, limit, simulated is not None and simulated.states_match))
    checks += [] if simulated is None else simulated.checks
    if simulated is None or not simulated.states_match:
        checks += [check_actions(episodes), _jumps(episodes)]
    checks += _rewards(episodes, task_name, steps, seed, simulated)
    reference = _random_episodes(task_name, seed) if task_name in task_names() else None
    checks += [
        check_repeats(episodes),
        columns.check_actions(episodes),
        columns.check_observations(episodes, reference),
    ]
    checks += [
        columns.check_precision(episodes),
        coverage.check_coverage(episodes, bounds),
        coverage.check_returns(episodes, task_name),
    ]
    return Report(subject, task_name, tuple(checks))


def _simulated(
    episodes: Sequence[Episode], task_name: str, steps: int, seed: int, use_physics: bool
) -> Simulated | None:
    stored = use_physics and all(episode.physics is not None for episode in episodes)
    if not stored or task_name not in task_names():
        return None
    reason = why_not_replayed(task_name, episodes[0].physics.shape[1])  # type: ignore[union-attr]
    if reason is not None:
        return Simulated([Check("simulator states", f"not used: {reason}.", skipped=True)], False)
    return simulate(episodes, task_name, steps, seed)


@lru_cache(maxsize=16)
def _random_episodes(task_name: str, seed: int) -> tuple[Episode, ...] | None:
    """Three episodes of random actions in the task's own environment; None where there is no such environment."""
    try:
        return tuple(Episode(**random_rollout(task_name, seed + number)) for number in range(3))
    except UserError:
        return None


def _jumps(episodes: Sequence[Episode]) -> Check:
    """Jumps between observations that no single step can make."""
    name, places = "consecutive steps", jumps(episodes)
    if places is None:
        return Check(name, "too few steps, or too few columns that show the pose, to detect jumps.", skipped=True)
    message = f"{len(places)} steps move farther than the observed velocities explain (a missing step is too small)."
    if not places:
        return Check(name, message)
    where = f"the state jumps, first in episode {places[0][0]}, step {places[0][1]} ({len(places)} such steps)."
    return Check(name, message, (make_finding("episodes-perhaps-merged", where),))


def _own_function(
    episodes: Sequence[Episode], task_name: str, steps: int, seed: int
) -> tuple[Steps, np.ndarray] | None:
    """Rewards [n] of the task's own reward function for at most `steps` steps, if it has one.

    Raises:
        UserError: the function fails or returns an invalid array; that is no problem of the data.
    """
    if task_name not in task_names() or get_task(task_name).reward is None:
        return None
    chosen = choose(episodes, steps, seed)
    next_observation, action = chosen.take(lambda e: e.observation, 1), chosen.take(lambda e: e.action)
    return chosen, rewards_of(task_name, next_observation, action).astype(np.float64)


def _rewards(
    episodes: Sequence[Episode], task_name: str, steps: int, seed: int, simulated: Simulated | None
) -> list[Check]:
    own = _own_function(episodes, task_name, steps, seed)
    if simulated is not None and simulated.replayed is not None:
        chosen, expected = simulated.replayed
        return [rewards.check_rewards(chosen, expected, task_name, f"{len(chosen)} steps replayed in the simulator")]
    misplaced = simulated is not None and any(f.severity == ERROR for c in simulated.checks for f in c.findings)
    if own is not None and not misplaced:
        return [rewards.check_rewards(*own, task_name, f"{len(own[0])} rewards computed from observations")]
    check = check_rewards(episodes)
    more = " Whether they are the task's rewards needs simulator states or a reward function."
    return [replace(check, message=check.message + more)]
