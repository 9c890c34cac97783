"""Making datasets of a task from nothing: learners learn it online, and their episodes are written as datasets."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hcsac.collection.keep import DATASETS, DECIDED_BY, evenly, mixture_of, slice_of
from hcsac.collection.learner import Learner, read_identity
from hcsac.collection.settings import CollectSettings
from hcsac.data import refs, store
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.files import is_vacant, told
from hcsac.tasks import get_task

_STREAMS = {"medium": 1, "final": 2}  # of a learner's seed; 0 has its training episodes


def collect(
    task: str,
    namespace: str,
    directory: str | Path,
    settings: CollectSettings,
    command: str = "",
    progress: bool = True,
    on_steps: Callable[[int], None] | None = None,
) -> list[str]:
    """Collect and write the datasets `NAMESPACE/TASK-LABEL-v0` of every kind in `settings.keep`.

    - `medium`: the policy when the mean return of its last five training episodes reached `level` (or after `steps`:
      the metadata have the return), frozen, with the exploration noise of training; and `medium-replay`, all training
      episodes until then.
    - `all`: `full-replay`, every training episode up to `steps`.
    - `final`: the policy after the last of them, frozen, with the same noise.
    - `slice`: the training episodes whose returns lie within `returns`.
    - `mixture`: training episodes drawn from the lower, middle and upper third by return.

    Simulator states are stored as float32, which keeps the files small and replays a step to within rounding. Learners
    are kept in `directory`, one below it each, and serve later collections with the same settings of learning. Calling
    again with the same arguments continues an interrupted collection and gives the same datasets as an uninterrupted
    one; datasets that it has written already are left as they are.

    Args:
        on_steps: called with the number of steps that a learner has more, found in its directory or new.

    Returns:
        The names of the datasets.

    Raises:
        UserError: an unknown task, a level that must be given, a dataset name that is taken, or a directory of
            another collection.
    """
    missing, level = unwritten(task, namespace, settings), level_of(task, settings)

    def learners() -> Iterator[Learner]:
        for seed in settings.seeds:
            where = learner_directory(Path(directory), seed)
            with closing(Learner(task, where, settings, seed, progress, on_steps)) as learner:
                yield learner

    if not missing:
        return [*names_of(task, namespace, settings).values()]
    with told(Path(directory)):
        found = _gather(learners(), level, missing, _parts(settings.episodes, settings.learners))
        for label, name in missing.items():
            said = found.metadata(label, settings, level)
            recipe = {"command": command, "collection": _recipe(task, settings, label)}
            store.write(name, task, found.episodes(label, settings), said | recipe)
    return [*names_of(task, namespace, settings).values()]


def names_of(task: str, namespace: str, settings: CollectSettings) -> dict[str, str]:
    """Label -> name of every dataset of a collection."""
    labels = [label for kind in settings.kinds for label in DATASETS[kind]]
    return {label: refs.name_of(namespace, task, label) for label in labels}


def unwritten(task: str, namespace: str, settings: CollectSettings) -> dict[str, str]:
    """Label -> name of the datasets that this very collection has not written yet.

    Raises:
        UserError: a name is bad or taken by another dataset; or as `level_of`.
    """
    level_of(task, settings)
    missing = {}
    for label, name in names_of(task, namespace, settings).items():
        held: dict[str, Any] = {}
        with suppress(UserError):
            held = refs.read_metadata(refs.local_store() / name)
        if held.get("collection") != _recipe(task, settings, label):
            refs.require_free_name(name)
            missing[label] = name
    return missing


def level_of(task: str, settings: CollectSettings) -> float:
    """The return at which `medium` is reached: as given, or half the expert's; infinite where it is not kept.

    Raises:
        UserError: an unknown task, or one whose expert's return is not known.
    """
    expert = get_task(task).expert_return
    if "medium" not in settings.kinds:
        return float("inf")
    if settings.level is not None:
        return settings.level
    if expert is None:
        raise UserError(f"no expert return is known for task {task!r}; give the return to reach with --level.")
    return expert / 2


def learner_directory(directory: Path, seed: int) -> Path:
    """Where the learner of a seed is: below the directory, or in the directory itself, as hcsac 0.1 kept its only one.

    Raises:
        UserError: the directory is something else than that of a collection.
    """
    if (held := read_identity(directory)) is not None and held.get("seed") == seed:
        return directory
    if directory.exists() and not (held or is_vacant(directory) or any(directory.glob("seed-*"))):
        raise UserError(f"{directory} exists and is not a collection; choose another with --output.")
    return directory / f"seed-{seed}"


def _recipe(task: str, settings: CollectSettings, label: str) -> dict[str, Any]:
    """Everything that decides a dataset, ready for JSON: a dataset with the same recipe is the same."""
    chosen = {name: getattr(settings, name) for name in DECIDED_BY[label]}
    if "level" in chosen:
        chosen["level"] = level_of(task, settings)
    learners = {"learners": settings.learners, "steps": settings.steps}
    return {"label": label, **settings.learner(task, settings.seed), **learners, **chosen}


@dataclass
class _Material:
    """What the datasets of a collection are made of, from one learner after the other."""

    policy: dict[str, list[Episode]] = field(default_factory=lambda: {label: [] for label in _STREAMS})  # frozen ones
    until_level: list[Episode] = field(default_factory=list)  # training episodes
    until_end: list[Episode] = field(default_factory=list)
    reached: list[float] = field(default_factory=list)  # by each learner, where a level was to be reached

    def episodes(self, label: str, settings: CollectSettings) -> list[Episode]:
        """The episodes of one dataset."""
        if label in self.policy:
            return self.policy[label]
        if label == "medium-replay":
            return evenly(self.until_level, settings.replay_episodes)
        if label == "slice":
            return slice_of(self.until_end, settings.bounds, settings.episodes)
        if label == "mixture":
            return mixture_of(self.until_end, settings.thirds, settings.episodes, settings.seed)
        return self.until_end

    def metadata(self, label: str, settings: CollectSettings, level: float) -> dict[str, Any]:
        """What is said of one dataset, besides its recipe."""
        medium = label in DATASETS["medium"]
        of_level = {"level": level, "level_reached": float(np.mean(self.reached))} if medium else {}
        return {
            "seed": settings.seed,
            **of_level,
            "steps_seen": sum(map(len, self.until_level if medium else self.until_end)),
            "exploration_noise": settings.noise,
            "kinds": [*settings.kinds],
            "learners": settings.learners,
        }


def _gather(learners: Iterator[Learner], level: float, labels: Collection[str], counts: Sequence[int]) -> _Material:
    """Let every learner learn as far as the datasets need it; `counts` are the episodes to see of its frozen policy."""
    found = _Material()

    def see(label: str, learner: Learner, number: int, count: int) -> None:
        if label in labels:
            found.policy[label] += learner.demonstrate(label, _STREAMS[label], number, count)

    for learner, count in zip(learners, counts, strict=True):
        # First what is made half-way: the policy of then is gone once the learner goes on.
        if any(label in DATASETS["medium"] for label in labels):
            number = learner.learn(level)
            found.until_level += learner.episodes[:number]
            found.reached.append(learner.recent(number))
            see("medium", learner, number, count)
        if any(label not in DATASETS["medium"] for label in labels):
            number = learner.learn()
            found.until_end += learner.episodes[:number]
            see("final", learner, number, count)
    return found


def _parts(total: int, count: int) -> list[int]:
    """`total` in `count` parts as equal as possible, the larger ones first."""
    return [total // count + (number < total % count) for number in range(count)]
