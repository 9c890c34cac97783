"""A grid: agents x datasets x tasks x seeds x settings that vary, read from a TOML file and laid out as cells."""

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from hcsac.algorithms import ALGORITHMS, preset
from hcsac.data.episode import ALIGNMENTS
from hcsac.data.formats import OpenedDataset
from hcsac.data.refs import name_of
from hcsac.errors import UserError, unknown
from hcsac.experiments.study_run import Cell, require_apart, require_settings
from hcsac.settings import Settings
from hcsac.tasks import get_task

AGENTS = ("bc", "csac", "mtcsac", "hcsac")  # those of the slides' comparison
SINGLE_TASK = ("bc", "csac")  # trained on each task alone; the others on the union

# dataset -> task -> agent -> (mean, std or None) as somebody else reported it.
Published = dict[str, dict[str, dict[str, tuple[float, float | None]]]]


@dataclass(frozen=True)
class Grid:
    """A study before it runs. `experiments/*.toml` are the published ones; their keys are the fields below.

    Raises:
        UserError: a field of the wrong form, an unknown agent, preset, task or setting; the sentence names the nearest.
    """

    name: str
    datasets: dict[str, tuple[str, ...]]  # label -> the datasets of one union
    description: str = ""
    preset: str = "quick"
    agents: tuple[str, ...] = AGENTS
    tasks: tuple[str, ...] = ()  # these tasks of the data only; () for all
    single_task: tuple[str, ...] = SINGLE_TASK
    seeds: tuple[int, ...] = (0,)
    replicas: str = "auto"  # seeds of a cell: together in one process, apart, or as is faster here
    alignment: str = "correct"
    settings: dict[str, Any] = field(default_factory=dict)  # changes to the preset in every cell
    vary: dict[str, list[Any]] = field(default_factory=dict)  # setting -> values: every combination
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> changes, one set at a time
    published: Published = field(default_factory=dict)  # numbers to show beside ours

    def __post_init__(self) -> None:
        for agent in (*self.agents, *self.single_task):
            ALGORITHMS.get(agent)
            preset(self.preset, agent)
        if self.replicas not in ("auto", "together", "apart"):
            raise unknown("choice for replicas", self.replicas, ("auto", "together", "apart"))
        for task in self.tasks:
            get_task(task)
        for what in ("datasets", "agents", "seeds"):
            if not getattr(self, what):
                raise UserError(f"a grid without {what} has nothing to run; name at least one.")
        _require_known(self.published, self.datasets, "dataset under published")
        for name, changes in self.variants.items():
            for agent in changes.get("agents", ()):
                if agent not in self.agents:
                    raise unknown(f"agent of variant {name!r}", agent, self.agents)

    def cells(self, output: Path, together: bool | None = None) -> list[Cell]:
        """Every run of the study, in `output`/dataset/variant/agent/tasks/seed.

        Args:
            together: what `replicas = "auto"` means: whether the seeds of a cell train as replicas of one process. None
                for what is faster here: on a GPU they do nearly for the price of one, on a CPU five cost more than
                five processes.

        Raises:
            UserError: data that are missing, settings that are unknown or exclude each other, two cells with one
                directory, published numbers of a task that is not there.
        """
        if self.replicas != "auto":
            together = self.replicas == "together"
        elif together is None:
            together = torch.cuda.is_available()
        cells = []
        for label, refs in self.datasets.items():
            held = {ref: OpenedDataset(ref).task for ref in refs}
            tasks = self.tasks or tuple(dict.fromkeys(held.values()))
            _require_known(dict.fromkeys(tasks), held.values(), f"task of dataset {label!r}")
            _require_known(self.published.get(label, {}), tasks, f"task of dataset {label!r} under published")
            for variant, changes in self._variants():
                changes = dict(changes)
                alignment, agents = changes.pop("alignment", self.alignment), changes.pop("agents", self.agents)
                if alignment not in ALIGNMENTS:
                    raise unknown("alignment", alignment, ALIGNMENTS)
                for agent in (agent for agent in self.agents if agent in agents):
                    settings = _changed(preset(self.preset, agent), self.settings, "settings")
                    settings = _changed(settings, changes, f"variant {variant!r}")
                    for group in [(task,) for task in tasks] if agent in self.single_task else [tasks]:
                        its_refs = tuple(ref for ref in refs if held[ref] in group)
                        place = output.joinpath(*map(_slug, filter(None, (label, variant, agent, "+".join(group)))))
                        cell = Cell(label, variant, agent, group, its_refs, settings, self.seeds, alignment, place)
                        cells += [cell] if together else _apart(cell)
        require_apart(cells)
        require_settings(cells)
        return cells

    def _variants(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Name and changes of every combination of a variant and of values that vary."""
        named = self.variants or {"": {}}
        for name, changes in named.items():
            for values in itertools.product(*self.vary.values()):
                varied = dict(zip(self.vary, values, strict=True))
                words = [name, *(f"{key}={value}" for key, value in varied.items())]
                yield ",".join(filter(None, words)), changes | varied


def read_grid(path: Path) -> Grid:
    """The grid in a TOML file.

    Raises:
        UserError: no such file, no TOML, an unknown key (the nearest right one is named) or a value of another form.
    """
    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise UserError(f"cannot read the grid {path}: {error.strerror}; give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"the grid {path} is not valid TOML ({error}); mend the line it names.") from error
    try:
        _require_known(content, [entry.name for entry in fields(Grid)], "key")
        if not isinstance(content.get("datasets"), dict):
            raise UserError('it has no table [datasets]; add one, as in medium = ["lab/walk-medium-v0"].')
        return Grid(**{"name": path.stem} | {key: _formed(key, value) for key, value in content.items()})
    except UserError as error:
        raise UserError(f"grid {path}: {error}") from error


def slides_grid(
    preset_name: str,
    namespace: str,
    seeds: Sequence[int],
    agents: Sequence[str] = AGENTS,
    levels: Sequence[str] = ("medium", "medium-replay"),
    tasks: Sequence[str] = ("walker-walk", "walker-run"),
    alignment: str = "correct",
    changes: Mapping[str, Any] | None = None,
) -> Grid:
    """The slides' comparison on the datasets `namespace/TASK-LEVEL-v0`. Raises `UserError` as `Grid` does."""
    for task in tasks:
        get_task(task)
    return Grid(
        name=f"{preset_name} on {namespace}",
        description="The comparison of the method's slides.",
        preset=preset_name,
        datasets={level: tuple(name_of(namespace, task, level) for task in tasks) for level in levels},
        agents=tuple(agents),
        seeds=tuple(seeds),
        alignment=alignment,
        settings=dict(changes or {}),
    )


def _apart(cell: Cell) -> list[Cell]:
    """The cell as one run per seed."""
    return [replace(cell, seeds=(seed,), path=cell.path / f"seed-{seed}") for seed in cell.seeds]


def _slug(text: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^A-Za-z0-9._+=-]+", "-", text).strip("-.") or "-"


def _changed(settings: Settings, changes: Mapping[str, Any], where: str) -> Settings:
    try:
        return settings.replace(changes)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _require_known(given: Mapping[str, Any], known: Any, kind: str) -> None:
    for name in given:
        if name not in known:
            raise unknown(kind, name, known)


def _formed(key: str, value: Any) -> Any:
    """A value of the file in the form its field has; `UserError` where it has another."""
    form = _FORMS[key]
    wrong = UserError(f"key {key} has the wrong form; write {form}.")
    match key:
        case "name" | "description" | "preset" | "replicas" | "alignment":
            valid = isinstance(value, str)
        case "agents" | "tasks" | "single_task":
            valid = _is_list_of(value, str)
            value = tuple(value) if valid else value
        case "seeds":
            valid = _is_list_of(value, int) and len(set(value)) == len(value) and all(0 <= s < 2**32 for s in value)
            value = tuple(value) if valid else value
        case "datasets":
            value = {label: [refs] if isinstance(refs, str) else refs for label, refs in value.items()}
            valid = all(_is_list_of(refs, str) and refs for refs in value.values())
            value = {label: tuple(refs) for label, refs in value.items()} if valid else value
        case "settings":
            valid = isinstance(value, dict)
        case "vary":
            valid = isinstance(value, dict) and all(isinstance(values, list) and values for values in value.values())
        case "variants":
            valid = isinstance(value, dict) and all(isinstance(changes, dict) for changes in value.values())
        case _:
            return _published(value, wrong)
    if not valid:
        raise wrong
    return value


_FORMS = {
    "name": 'name = "a word"', "description": 'description = "a sentence"', "preset": 'preset = "quick"',
    "replicas": 'replicas = "auto", "together" or "apart"', "alignment": 'alignment = "correct"',
    "agents": 'agents = ["bc", "hcsac"]', "tasks": 'tasks = ["walker-walk"]', "single_task": 'single_task = ["bc"]',
    "seeds": "seeds = [0, 1, 2], each once", "datasets": 'medium = ["lab/walk-v0", "lab/run-v0"] under [datasets]',
    "settings": "updates = 10000 under [settings]", "vary": "cql_weight = [1.0, 5.0] under [vary]",
    "variants": 'concat = { embedding = "concat" } under [variants]',
    "published": "bc = [551.5, 125.2] (mean, std) under [published.DATASET.TASK]",
}  # fmt: skip


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) and not isinstance(item, bool) for item in value)


def _published(value: Any, wrong: UserError) -> Published:
    found: Published = {}
    try:
        for dataset, tasks in value.items():
            for task, agents in tasks.items():
                for agent, numbers in agents.items():
                    mean, std = [*numbers, None][:2] if isinstance(numbers, list) else (numbers, None)
                    pair = (float(mean), None if std is None else float(std))
                    found.setdefault(dataset, {}).setdefault(task, {})[agent] = pair
    except (AttributeError, TypeError, ValueError) as error:
        raise wrong from error
    return found
