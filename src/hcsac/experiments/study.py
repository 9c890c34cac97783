"""A study: algorithms x datasets x seeds x settings that vary, read from a TOML file, and the runs it consists of."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import torch

from hcsac.algorithms import ALGORITHMS, changed, preset
from hcsac.data.episode import ALIGNMENTS
from hcsac.data.formats import OpenedDataset
from hcsac.data.refs import name_of
from hcsac.errors import UserError, unknown
from hcsac.experiments.baseline import BASELINE, cell_name
from hcsac.experiments.forms import converted
from hcsac.experiments.study_run import StudyRun, require_compatible_settings, require_separate_directories
from hcsac.files import read_toml
from hcsac.settings import Settings, applicable
from hcsac.tasks import get_task

SLIDES = ("bc", "csac", "mtcsac", "hcsac")  # the algorithms of the slides' comparison
SINGLE_TASK = ("bc", "csac")  # trained on each task alone; the others on all tasks of the group
REPLICAS = ("auto", "together", "apart")
_OLD_KEY, _KEY = "agents", "algorithms"  # two TOML keys for one field
_TWO_KEYS = f"the keys {_KEY} and {_OLD_KEY} mean the same; give one of them."

# dataset group -> task -> algorithm -> (mean, std or None), as reported elsewhere.
Published = dict[str, dict[str, dict[str, tuple[float, float | None]]]]

_EXAMPLES = {
    "name": 'name = "a word"',
    "description": 'description = "a sentence"',
    "preset": 'preset = "quick"',
    "replicas": 'replicas = "auto", "together" or "apart"',
    "alignment": 'alignment = "correct"',
    "baseline": 'baseline = "base", an algorithm or a variant',
    "algorithms": 'algorithms = ["bc", "hcsac"]',
    "tasks": 'tasks = ["walker-walk"]',
    "single_task": 'single_task = ["bc"]',
    "seeds": "seeds = [0, 1, 2], each once",
    "datasets": 'medium = ["lab/walk-v0", "lab/run-v0"] under [datasets]',
    "settings": "updates = 10000 under [settings]",
    "vary": "cql_weight = [1.0, 5.0] under [vary]",
    "variants": 'concat = { embedding = "concat" } under [variants]',
    "published": "bc = [551.5, 125.2] (mean, std) under [published.DATASET.TASK]",
}


@dataclass(frozen=True)
class Study:
    """What to train and compare; each field is a key of the TOML file. `experiments/*.toml` are the published studies.

    Raises:
        UserError: an unknown algorithm, preset, task or setting, with the nearest known name; or nothing to run.
    """

    name: str
    datasets: dict[str, tuple[str, ...]]  # label -> the datasets that are trained on together
    description: str = ""
    preset: str = "quick"
    algorithms: tuple[str, ...] = SLIDES
    tasks: tuple[str, ...] = ()  # these tasks, of the data or new ones; () for all of the data
    single_task: tuple[str, ...] = SINGLE_TASK  # algorithms that are trained on each task alone
    seeds: tuple[int, ...] = (0,)
    replicas: str = "auto"  # seeds: together in one process, apart in one each, or as is faster here
    alignment: str = "correct"
    settings: dict[str, Any] = field(default_factory=dict)  # changes to the preset in every run
    vary: dict[str, list[Any]] = field(default_factory=dict)  # setting -> values: every combination
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> changes, one set at a time
    published: Published = field(default_factory=dict)  # numbers to show beside the results
    baseline: str = BASELINE  # an algorithm, a variant or "ALGORITHM VARIANT" that reports compare with

    def __post_init__(self) -> None:
        for name in self.single_task:
            ALGORITHMS.get(name)
        for name in self.algorithms:
            preset(self.preset, name)
        if self.replicas not in REPLICAS:
            raise unknown("choice for replicas", self.replicas, REPLICAS)
        for task in self.tasks:
            get_task(task)
        for key in ("datasets", "algorithms", "seeds"):
            if not getattr(self, key):
                raise UserError(f"a study without {key} has nothing to run; name at least one.")
        if len(set(self.seeds)) < len(self.seeds) or not all(0 <= seed < 2**32 for seed in self.seeds):
            raise _wrong_form("seeds")
        for key, entries in (("datasets", self.datasets), ("vary", self.vary)):
            if not all(entries.values()):
                raise _wrong_form(key)
        for key, values in self.vary.items():
            if any(value in values[:n] for n, value in enumerate(values)):
                raise UserError(f"vary: {key} lists a value twice; give each once.")
        _require_known(self.published, self.datasets, "dataset under published")
        if self.baseline != BASELINE and not self.vary:
            both = (cell_name(variant, name) for name in self.algorithms for variant in self.variants)
            _require_known([self.baseline], [*self.algorithms, *self.variants, *both], "baseline")
        for name, changes in self.variants.items():
            if _KEY in changes and _OLD_KEY in changes:
                raise UserError(f"variant {name!r}: {_TWO_KEYS}")
            for algorithm in _algorithms_of(changes, ()):
                if algorithm not in self.algorithms:
                    raise unknown(f"algorithm of variant {name!r}", algorithm, self.algorithms)

    def runs(self, output: Path, shared_process: bool | None = None) -> list[StudyRun]:
        """All runs of the study, in `output`/dataset/variant/algorithm/tasks/seed.

        Args:
            shared_process: what `replicas = "auto"` means: whether the seeds train as replicas of one process. None for
                what is faster here: on a GPU five replicas take hardly longer than one, on a CPU longer than five
                processes.

        Raises:
            UserError: data are missing, settings are unknown or exclude each other, two runs have one directory, or
                numbers are published of a task that is not in the data.
        """
        if self.replicas != "auto":
            shared_process = self.replicas == "together"
        elif shared_process is None:
            shared_process = torch.cuda.is_available()
        self._require_settings()
        configurations = list(_in_turn({name: list(self._configurations(name)) for name in self.algorithms}))
        runs: list[StudyRun] = []
        for label, refs in self.datasets.items():
            task_of = {ref: OpenedDataset(ref).task for ref in refs}
            tasks = self.tasks or tuple(dict.fromkeys(task_of.values()))
            _require_known(self.published.get(label, {}), tasks, f"task of dataset {label!r} under published")
            for algorithm, (variant, alignment, settings) in configurations:
                for group in [(task,) for task in tasks] if algorithm in self.single_task else [tasks]:
                    new = set(group) - set(task_of.values())  # they learn from the logs of all
                    of_group = tuple(ref for ref in refs if new or task_of[ref] in group)
                    path = output.joinpath(*map(_slug, filter(None, (label, variant, algorithm, "+".join(group)))))
                    runs.append(
                        StudyRun(label, variant, algorithm, group, of_group, settings, self.seeds, alignment, path)
                    )
        if not shared_process:
            runs = [one for run in runs for one in _separate(run)]
        require_separate_directories(runs)
        require_compatible_settings(runs)
        return runs

    def _configurations(self, algorithm: str) -> Iterator[tuple[str, str, Settings]]:
        """Variant, alignment and settings of every different configuration of an algorithm.

        A name counts for the algorithms that have the setting. A variant whose settings an algorithm lacks gives it no
        second configuration.
        """
        base = _changed(algorithm, preset(self.preset, algorithm), self.settings, "settings")
        seen = set()
        for name, changes in (self.variants or {"": {}}).items():
            if algorithm not in _algorithms_of(changes, self.algorithms):
                continue
            flat = {key: value for key, value in changes.items() if key not in (_KEY, _OLD_KEY, "alignment")}
            alignment = changes.get("alignment", self.alignment)
            if alignment not in ALIGNMENTS:
                raise unknown("alignment", alignment, ALIGNMENTS)
            lacks = len(applicable(type(base), flat)) < len(flat)
            vary = applicable(type(base), self.vary)
            for values in itertools.product(*vary.values()):
                varied = dict(zip(vary, values, strict=True))
                variant = ",".join(filter(None, [name, *(f"{key}={value}" for key, value in varied.items())]))
                settings = _changed(algorithm, base, flat | varied, f"variant {variant!r}")
                if lacks and (alignment, settings) in seen:
                    continue
                seen.add((alignment, settings))
                yield variant, alignment, settings

    def _require_settings(self) -> None:
        """Raise a `UserError` for a name that is a setting of none of the algorithms it is meant for."""
        places = [("settings", self.settings, self.algorithms), ("vary", self.vary, self.algorithms)]
        for name, changes in self.variants.items():
            flat = {key: value for key, value in changes.items() if key not in (_KEY, _OLD_KEY, "alignment")}
            places.append((f"variant {name!r}", flat, tuple(_algorithms_of(changes, self.algorithms))))
        for place, changes, algorithms in places:
            known = [key for algorithm in algorithms for key in preset(self.preset, algorithm).as_dict()]
            for key, value in changes.items():
                if isinstance(value, Mapping) and key not in algorithms:
                    raise UserError(f"{place}: {unknown('algorithm', key, algorithms)}")
                if not isinstance(value, Mapping) and key not in known:
                    raise UserError(f"{place}: {unknown('setting', key, known)}")


def read_study(path: Path) -> Study:
    """The study in a TOML file.

    Raises:
        UserError: the file is missing or no TOML, a key is unknown (with the nearest known one), a value has the wrong
            form, or as `Study`.
    """
    content = read_toml(path)
    try:
        if _OLD_KEY in content:
            if _KEY in content:
                raise UserError(_TWO_KEYS)
            content[_KEY] = content.pop(_OLD_KEY)
        _require_known(content, [*(entry.name for entry in fields(Study)), _OLD_KEY], "key")
        if not isinstance(content.get("datasets"), dict):
            raise UserError('it has no table [datasets]; add one, as in medium = ["lab/walk-medium-v0"].')
        return Study(**{"name": path.stem} | {key: _value(key, value) for key, value in content.items()})
    except UserError as error:
        raise UserError(f"study {path}: {error}") from error


def slides_study(
    preset_name: str,
    namespace: str,
    seeds: Sequence[int],
    algorithms: Sequence[str] = SLIDES,
    levels: Sequence[str] = ("medium", "medium-replay"),
    tasks: Sequence[str] = ("walker-walk", "walker-run"),
    alignment: str = "correct",
    changes: Mapping[str, Any] | None = None,
) -> Study:
    """The slides' comparison on the datasets `namespace/TASK-LEVEL-v0`. Raises `UserError` as `Study` does."""
    for task in tasks:
        get_task(task)
    return Study(
        name=f"{preset_name} on {namespace}",
        description="The comparison of the method's slides.",
        preset=preset_name,
        datasets={level: tuple(name_of(namespace, task, level) for task in tasks) for level in levels},
        algorithms=tuple(algorithms),
        seeds=tuple(seeds),
        alignment=alignment,
        settings=dict(changes or {}),
    )


def _in_turn(lists: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, Any]]:
    """Key and element: the first of every list, then the second of every list, and so on."""
    for n in range(max(map(len, lists.values()), default=0)):
        yield from ((key, entries[n]) for key, entries in lists.items() if n < len(entries))


def _separate(run: StudyRun) -> list[StudyRun]:
    """One run per seed."""
    return [replace(run, seeds=(seed,), path=run.path / f"seed-{seed}") for seed in run.seeds]


def _slug(text: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^A-Za-z0-9._+=-]+", "-", text).strip("-.") or "-"


def _algorithms_of(changes: Mapping[str, Any], default: Sequence[str]) -> Sequence[str]:
    """The algorithms that a variant is limited to; `default` for no limit."""
    return changes.get(_KEY, changes.get(_OLD_KEY, default))


def _changed(algorithm: str, settings: Settings, changes: Mapping[str, Any], where: str) -> Settings:
    """The settings with those of the changes that the algorithm has; a table of its name is for it alone."""
    flat = {key: value for key, value in changes.items() if not isinstance(value, Mapping)}
    try:
        return changed(algorithm, settings, applicable(type(settings), flat) | dict(changes.get(algorithm, {})))
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _require_known(names: Iterable[str], known: Iterable[str], kind: str) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)


def _value(key: str, value: Any) -> Any:
    """A value of the file with the type of its field."""
    if key == "datasets":
        value = {label: [refs] if isinstance(refs, str) else refs for label, refs in value.items()}
    try:
        return converted(value, get_type_hints(Study)[key])
    except ValueError as error:
        raise _wrong_form(key) from error


def _wrong_form(key: str) -> UserError:
    return UserError(f"key {key} has the wrong form; write {_EXAMPLES[key]}.")
