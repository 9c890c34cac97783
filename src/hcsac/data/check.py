"""Is this dataset what it claims to be? Above all: does each action, and each reward, belong to its state?"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from hcsac.data import validate
from hcsac.data.align import Episode
from hcsac.data.minari_store import read_unchecked
from hcsac.data.npz import read_directory
from hcsac.data.offsets import OFFSETS, fit_offsets, replay_offsets
from hcsac.errors import UserError
from hcsac.tasks import can_replay, get_task, task_names

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
# Relative error of a replayed step that other builds of MuJoCo may cause; a wrong action is off by whole units.
REPLAY_TOLERANCE = {"action": 1e-2, "reward": 1e-3}
# How much better one offset must predict than another before it is believed.
FIT_MARGIN = 0.01
# What the best must explain at all: rewards that follow the action alone, say, tell nothing of their place.
FIT_LEAST = 0.05
_MEND = {
    +1: "row t holds the {0} that LED to observation t; move every {0} one row earlier "
    "(`hcsac data import` does so for .npz episodes)",
    -1: "row t holds the {0} that belongs to observation t + 1; move every {0} one row later",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its name, what came of it (passed, failed, skipped), and one sentence of evidence."""

    name: str
    status: str
    evidence: str


@dataclass(frozen=True)
class CheckReport:
    """All findings on one dataset; as text, a table."""

    subject: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed; what was skipped, with its reason, does not count against it."""
        return all(finding.status != FAILED for finding in self.findings)

    def __str__(self) -> str:
        width = max(len(finding.name) for finding in self.findings)
        rows = [f"  {finding.status:<7}  {finding.name:<{width}}  {finding.evidence}" for finding in self.findings]
        return "\n".join([f"{self.subject}: {PASSED if self.passed else FAILED}", *rows])


def check(
    data: str | Path | Sequence[Episode],
    task_name: str | None = None,
    steps: int = 200,
    seed: int = 0,
    use_physics: bool = True,
) -> CheckReport:
    """Look at a dataset (a ref as in `minari_store.read`, a folder of .npz episodes) or at episodes.

    `task_name` is needed where the data do not say it. Alignment is proven by replaying `steps` sampled steps in the
    simulator where physics states are stored (and `use_physics`), else judged by one-step predictors. Faults become
    findings; only what cannot be read at all raises `UserError`.
    """
    subject, task_name, episodes = _open(data, task_name)
    findings = [_every(episodes, *look) for look in _LOOKS]
    if any(finding.status == FAILED for finding in findings):
        later = ("episode boundaries", "alignment of actions", "alignment of rewards")
        findings += [Finding(name, SKIPPED, "mend the faults above first.") for name in later]
    else:
        findings.append(_boundaries(episodes))
        findings += _alignment(episodes, task_name, steps, seed, use_physics)
    return CheckReport(f"{subject} ({task_name})", tuple(findings))


def _open(data: str | Path | Sequence[Episode], task_name: str | None) -> tuple[str, str, Sequence[Episode]]:
    if isinstance(data, str | Path):
        folder = Path(data)
        if folder.is_dir() and (any(folder.glob("*.npz")) or any((folder / "data").glob("*.npz"))):
            if task_name is None:
                raise UserError(f"{folder}: .npz episodes do not say their task; name it.")
            return str(data), get_task(task_name).name, read_directory(folder)
        name, episodes, _ = read_unchecked(str(data), task_name)
        subject = str(data)
    else:
        if task_name is None:
            raise UserError("episodes do not say their task; name it.")
        subject, name, episodes = f"{len(data)} episodes", get_task(task_name).name, list(data)
    if not episodes:
        raise UserError(f"{subject}: no episode to check.")
    return subject, name, episodes


def _shapes(episodes: Sequence[Episode]) -> str:
    first = episodes[0]
    return (
        f"{len(episodes)} episodes, observations of {first.observation.shape[1]}, actions of {first.action.shape[1]}."
    )


def _lengths(episodes: Sequence[Episode]) -> str:
    lengths = [len(episode) for episode in episodes]
    return f"{min(lengths)} to {max(lengths)} steps an episode, every array of an episode as long as its steps."


def _finite(episodes: Sequence[Episode]) -> str:
    return f"no NaN or infinity in {sum(len(episode) for episode in episodes)} steps."


def _bounds(episodes: Sequence[Episode]) -> str:
    return f"the largest action is {max(float(np.abs(e.action).max(initial=0)) for e in episodes):.6f}."


_Look = tuple[str, Callable[[Episode], Iterator[str]], Callable[[Sequence[Episode]], str]]
_LOOKS: tuple[_Look, ...] = (
    ("shapes", validate.shape_faults, _shapes),
    ("equal lengths", validate.length_faults, _lengths),
    ("finite numbers", validate.finiteness_faults, _finite),
    ("action bounds", validate.bound_faults, _bounds),
)


def _every(
    episodes: Sequence[Episode],
    name: str,
    faults_of: Callable[[Episode], Iterator[str]],
    good: Callable[[Sequence[Episode]], str],
) -> Finding:
    faults = [f"episode {number}: {fault}" for number, e in enumerate(episodes) for fault in faults_of(e)]
    if name == "shapes" and not faults:
        try:
            validate.validate_sizes(episodes, [f"episode {number}" for number in range(len(episodes))])
        except UserError as error:
            faults = [str(error)]
    if not faults:
        return Finding(name, PASSED, good(episodes))
    more = f" ({len(faults) - 1} more such faults)" if len(faults) > 1 else ""
    return Finding(name, FAILED, faults[0] + more)


def _boundaries(episodes: Sequence[Episode]) -> Finding:
    name = "episode boundaries"
    for number, episode in enumerate(episodes):
        ends = np.flatnonzero(episode.terminated | episode.truncated)
        if (early := ends[ends < len(episode) - 1]).size:
            what = f"episode {number} ends in step {early[0]} but goes on to step {len(episode) - 1}; split it there."
            return Finding(name, FAILED, what)
        if not ends.size:
            return Finding(name, FAILED, f"episode {number} has no end; mark its last step truncated or terminated.")
    for number, (before, after) in enumerate(pairwise(episodes)):
        if np.array_equal(before.observation[-1], after.observation[0]):
            what = f"episode {number + 1} begins exactly where episode {number} ends; join them, they are one."
            return Finding(name, FAILED, what)
    terminated = sum(bool(episode.terminated.any()) for episode in episodes)
    what = f"only last steps end an episode ({terminated} terminated, {len(episodes) - terminated} truncated)"
    return Finding(name, PASSED, f"{what}, and each next one starts elsewhere.")


def _alignment(episodes: Sequence[Episode], task_name: str, steps: int, seed: int, use_physics: bool) -> list[Finding]:
    stored = use_physics and all(episode.physics is not None for episode in episodes)
    if stored and task_name in task_names() and can_replay(task_name):
        try:
            errors = replay_offsets(episodes, task_name, steps, seed)
        except UserError as error:
            return [Finding("alignment of actions", FAILED, str(error))]
        return [_judge_replay(kind, errors[kind], task_name, steps) for kind in ("action", "reward") if kind in errors]
    scores = fit_offsets(episodes, task_name, seed)
    return [_judge_fit(kind, scores[kind]) for kind in ("action", "reward")]


def _judge_replay(kind: str, errors: np.ndarray, task_name: str, steps: int) -> Finding:
    """`errors` [3]: what 9 in 10 replayed steps stay under, at each offset; a tie goes to offset 0."""
    name, tolerance = f"alignment of {kind}s", REPLAY_TOLERANCE[kind]
    best = _best(-errors)
    listed = _listed(errors, ".1e")
    said = (
        f"{steps} steps replayed in the simulator; error of the {'next observation' if kind == 'action' else 'reward'}"
    )
    if errors[OFFSETS.index(best)] > tolerance:
        cause = (
            "were they logged under another task?"
            if kind == "reward"
            else "the states, the actions or the simulator are others than those logged."
        )
        return Finding(name, FAILED, f"{said} {listed}: {kind}s fit {task_name} at no offset; {cause}")
    if best != 0:
        return Finding(name, FAILED, f"{said} {listed}: the data have offset {best:+d}: {_MEND[best].format(kind)}.")
    return Finding(name, PASSED, f"{said} {listed}.")


def _judge_fit(kind: str, scores: np.ndarray | None) -> Finding:
    """`scores` [3]: how well a fitted one-step predictor does on held-out steps, at each offset (1 is perfect)."""
    name = f"alignment of {kind}s"
    if scores is None:
        return Finding(name, SKIPPED, "too few steps to fit a one-step predictor; store physics states, or log more.")
    said = f"no physics states to replay; held-out score of one-step predictors {_listed(scores, '.3f')}"
    second, first = np.sort(scores)[-2:]
    if first < FIT_LEAST or first - second < FIT_MARGIN:
        return Finding(name, SKIPPED, f"{said}: too little or too close to tell; store physics states.")
    best = _best(scores)
    if best != 0:
        return Finding(name, FAILED, f"{said}: the data have offset {best:+d}: {_MEND[best].format(kind)}.")
    return Finding(name, PASSED, f"{said}.")


def _best(scores: np.ndarray) -> int:
    """The offset with the highest score; a tie goes to 0."""
    top = int(np.argmax(scores))
    return OFFSETS[top] if scores[top] > scores[OFFSETS.index(0)] else 0


def _listed(values: np.ndarray, form: str) -> str:
    return ", ".join(f"{value:{form}} at {_signed(offset)}" for value, offset in zip(values, OFFSETS, strict=True))


def _signed(offset: int) -> str:
    return f"{offset:+d}" if offset else "0"
