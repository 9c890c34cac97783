"""Is this dataset what it claims to be? One examination, look after look, each saying what it saw."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hcsac.data.checks import columns, coverage, rewards, shapes
from hcsac.data.checks.findings import ERROR, Look, Report, found
from hcsac.data.checks.kinematics import jumps
from hcsac.data.checks.offsets import fit_offsets, judge_fit, random_episodes
from hcsac.data.checks.repeats import repeats
from hcsac.data.checks.replay import Simulated, simulate
from hcsac.data.checks.steps import Steps, choose
from hcsac.data.episode import Episode
from hcsac.data.formats import open_data
from hcsac.errors import UserError
from hcsac.tasks import can_replay, get_task, rewards_of, task_names

STEPS = 60_000  # replayed at most, unless told otherwise; ten seconds' work


def check(
    data: str | Path | Sequence[Episode],
    task_name: str | None = None,
    steps: int = STEPS,
    seed: int = 0,
    use_physics: bool = True,
) -> Report:
    """Examine a dataset (its name or path, as in `hcsac.load`) or episodes.

    `task_name` is needed where the data do not say it. Where physics states are stored (and `use_physics`), at most
    `steps` steps are replayed in the simulator; elsewhere the place of actions and rewards is judged by one-step
    predictors, and their numbers by the task's own reward function if it has one. Faults become findings; only what
    cannot be read at all raises `UserError`.
    """
    if isinstance(data, str | Path):
        return examine(str(data), *open_data(data, task_name), steps, seed, use_physics)
    if task_name is None:
        raise UserError("episodes do not name their task; give it as task_name.")
    if not data:
        raise UserError("there is no episode to check; give one or more.")
    return examine(f"{len(data)} episodes", get_task(task_name).name, data, steps, seed, use_physics)


def examine(
    subject: str, task_name: str, episodes: Sequence[Episode], steps: int = STEPS, seed: int = 0, physics: bool = True
) -> Report:
    """All looks at some episodes of a task; arguments as in `check`."""
    looks = shapes.form(episodes)
    sound = not any(look.findings for look in looks)
    if sound and task_name in task_names():
        looks.append(shapes.robot(episodes, task_name))
        sound = not looks[-1].findings
    if not sound:
        return Report(subject, task_name, (*looks, Look("all else", "mend the faults above first.", skipped=True)))
    world = _simulated(episodes, task_name, steps, seed, physics)
    looks.append(shapes.boundaries(episodes))
    looks.append(shapes.clock(episodes, task_name, world is not None and world.believed))
    looks += [] if world is None else world.looks
    if world is None or not world.believed:
        looks += [_without_physics(episodes, task_name, seed), _jumps(episodes)]
    looks += _rewards(episodes, task_name, steps, seed, world)
    reference = random_episodes(task_name, seed) if task_name in task_names() else None
    looks += [repeats(episodes), columns.actions(episodes), columns.observations(episodes, reference)]
    looks += [columns.precision(episodes), coverage.coverage(episodes), coverage.returns(episodes, task_name)]
    return Report(subject, task_name, tuple(looks))


def _simulated(
    episodes: Sequence[Episode], task_name: str, steps: int, seed: int, use_physics: bool
) -> Simulated | None:
    stored = use_physics and all(episode.physics is not None for episode in episodes)
    if not stored or task_name not in task_names() or not can_replay(task_name):
        return None
    return simulate(episodes, task_name, steps, seed)


def _without_physics(episodes: Sequence[Episode], task_name: str, seed: int) -> Look:
    return judge_fit("action", fit_offsets(episodes, task_name, seed)["action"])


def _jumps(episodes: Sequence[Episode]) -> Look:
    """Steps that observations alone show to be none."""
    name, far = "steps in a row", jumps(episodes)
    if far is None:
        return Look(name, "too few steps, or too little of a pose in the observations, to see jumps.", skipped=True)
    places = [(number, int(t)) for number, each in enumerate(far) for t in np.flatnonzero(each)]
    said = f"{len(places)} steps go farther than the observed velocities carry; a missing step cannot be seen so."
    if not places:
        return Look(name, said)
    where = f"the state jumps, first in episode {places[0][0]}, step {places[0][1]} ({len(places)} such steps)."
    return Look(name, said, (found("joined episodes", where),))


def _own_function(
    episodes: Sequence[Episode], task_name: str, steps: int, seed: int
) -> tuple[Steps, np.ndarray] | None:
    """What the task's own reward function pays for at most `steps` steps, [n], if it has one.

    A function that fails, or returns nonsense, raises `UserError`: no look at the data can mend it.
    """
    if task_name not in task_names() or get_task(task_name).reward is None:
        return None
    chosen = choose(episodes, steps, seed)
    seen, action = chosen.take(lambda e: e.observation, 1), chosen.take(lambda e: e.action)
    return chosen, rewards_of(task_name, seen, action).astype(np.float64)


def _rewards(episodes: Sequence[Episode], task_name: str, steps: int, seed: int, world: Simulated | None) -> list[Look]:
    own = _own_function(episodes, task_name, steps, seed)
    if world is not None and world.replayed is not None:
        chosen, paid = world.replayed
        return [rewards.judge(chosen, paid, task_name, f"{len(chosen)} steps replayed in the simulator")]
    misplaced = world is not None and any(f.severity == ERROR for look in world.looks for f in look.findings)
    if own is not None and not misplaced:
        return [rewards.judge(*own, task_name, f"{len(own[0])} rewards computed from observations")]
    look = judge_fit("reward", fit_offsets(episodes, task_name, seed)["reward"])
    more = " Without physics states or a reward function it cannot be told whether they are the task's own."
    return [Look(look.name, look.said + more, look.findings, look.skipped, look.numbers)]
