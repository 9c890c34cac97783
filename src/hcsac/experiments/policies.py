"""What is compared: runs, policy bundles and the runs of studies, with labels that tell them apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hcsac import files
from hcsac.algorithms import settings_of
from hcsac.errors import UserError
from hcsac.experiments.groups import by
from hcsac.experiments.record import read_record
from hcsac.experiments.report.settings_diff import settings_diff
from hcsac.experiments.report.tables import format_value
from hcsac.experiments.words import plural
from hcsac.policy.bundle import is_bundle, read_metadata
from hcsac.registry import require_plugins
from hcsac.training import RunDirectory

# Settings that change no weights: where to train, what to log, when to evaluate.
_WITHOUT_EFFECT = (
    "device", "compile", "log_interval", "evaluate_interval", "evaluation_episodes", "final_episodes"
)  # fmt: skip
_MOST = 3  # settings that a label names


@dataclass(frozen=True)
class LabelledPolicy:
    """The policy of a run or of a bundle, and what it was trained on."""

    path: Path
    source: Path  # the argument that named it: a study, or the run or bundle itself
    dataset: str  # label of the dataset group
    variant: str  # "" where there is nothing to tell apart
    algorithm: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    behaviour: Mapping[str, float]  # task -> dataset return
    logged: Mapping[str, Sequence[float]]  # task -> the returns of the logged episodes; empty where not known
    settings: Mapping[str, Any]
    fingerprint: str  # of the data
    in_study: bool = False  # its labels are those of the study


def find_policies(paths: Sequence[str | Path]) -> tuple[list[LabelledPolicy], list[str]]:
    """The policies at these paths, and sentences on what was left out or is not finished.

    A path is the directory of a run, a bundle, or the output directory of a study, which stands for its finished runs.
    Runs of a study have the labels of the study. Others have the names of their datasets and, where runs of one
    algorithm on the same data differ in settings, these settings. What would still have one label, as two runs with
    one seed, has the name of its directory.

    Raises:
        UserError: a path is none of these, a study has no finished run, or one needs a plug-in that is not loaded.
    """
    found: list[LabelledPolicy] = []
    notes: list[str] = []
    for path in dict.fromkeys(Path(path) for path in paths):
        if any((path / name).exists() for name in files.STUDIES):
            own = _of_study(path, notes)
        elif RunDirectory(path).started:
            own = [_of_run(path, notes)]
        elif is_bundle(path):
            own = [_of_bundle(path)]
        else:
            raise UserError(
                f"nothing to compare at {path}: {files.what_is(path)}; pass the directory of a run, of a policy bundle "
                "or of a study."
            )
        found += own
    found = list({one.path.resolve(): one for one in reversed(found)}.values())[::-1]  # each once
    return _told_apart(_with_variants(_with_datasets(found))), notes


def _of_study(path: Path, notes: list[str]) -> list[LabelledPolicy]:
    record = read_record(path)
    finished = [run for run in record.runs if RunDirectory(run.path).finished]
    if not finished:
        raise UserError(f"{path}: no run is finished yet; `hcsac study run` resumes them.")
    if missing := len(record.runs) - len(finished):
        notes.append(f"{path}: {missing} of {plural(len(record.runs), 'run')} not finished, and left out.")
    return [
        replace(
            _of_run(run.path, notes), source=path, dataset=run.dataset, variant=run.variant, in_study=True
        )
        for run in finished
    ]  # fmt: skip


def _of_run(path: Path, notes: list[str]) -> LabelledPolicy:
    run = RunDirectory(path)
    identity = run.identity()
    if not run.finished:
        notes.append(f"{path} is not finished: the policy of its last checkpoint is compared.")
    logged = identity.get("behaviour_returns", {})
    return _labelled(path, identity, identity["tasks"], identity["data"], identity["fingerprint"], logged)


def _of_bundle(path: Path) -> LabelledPolicy:
    metadata = read_metadata(path)
    tasks = [task["name"] for task in sorted(metadata["tasks"], key=lambda task: task["index"])]
    data = metadata["data"]
    own = _labelled(path, metadata, tasks, data["names"], data["fingerprint"], {})
    if "distilled" in metadata:  # a clone of its teacher, not of the data
        return replace(own, algorithm=f"{metadata['distilled']['teacher']['agent']} distilled")
    return own


def _labelled(
    path: Path,
    content: Mapping[str, Any],
    tasks: Sequence[str],
    data: Sequence[str],
    fingerprint: str,
    logged: Mapping[str, Sequence[float]],
) -> LabelledPolicy:
    """From `run.json` or `policy.json`."""
    require_plugins(content.get("plugins", ()), f"the policy in {path}")
    # A setting that is younger than the run had its default then.
    settings = settings_of(content["agent"])().as_dict() | content["settings"]
    return LabelledPolicy(
        path=path,
        source=path,
        dataset=", ".join(sorted(data)) or f"data {fingerprint}",
        variant="",
        algorithm=content["agent"],
        tasks=tuple(tasks),
        seeds=tuple(content["seeds"]),
        behaviour=content["behaviour"],
        logged=logged,
        settings={key: value for key, value in settings.items() if key not in _WITHOUT_EFFECT}
        | {"alignment": content["alignment"]},
        fingerprint=fingerprint,
    )


def _with_datasets(found: list[LabelledPolicy]) -> list[LabelledPolicy]:
    """Add the fingerprint to names of datasets that stand for different data."""
    prints = by((one for one in found if not one.in_study), lambda one: one.dataset)
    several = {name for name, own in prints.items() if len({one.fingerprint for one in own}) > 1}
    return [
        replace(one, dataset=f"{one.dataset} [{one.fingerprint}]")
        if not one.in_study and one.dataset in several
        else one
        for one in found
    ]


def _with_variants(found: list[LabelledPolicy]) -> list[LabelledPolicy]:
    """Label runs outside of studies by the settings in which those of one algorithm on the same data differ."""
    variants: dict[Path, str] = {}
    for own in by((one for one in found if not one.in_study), lambda one: (one.dataset, one.algorithm)).values():
        diff = settings_diff([(str(one.path), dict(one.settings)) for one in own])
        for paths, values in diff.rows if diff.names else ():
            words = [f"{name}={format_value(value)}" for name, value in zip(diff.names, values, strict=True)]
            variant = ",".join(words) if len(words) <= _MOST else Path(paths[0]).name
            variants |= dict.fromkeys(map(Path, paths), variant)
    return [replace(one, variant=variants.get(one.path, one.variant)) for one in found]


def _told_apart(found: list[LabelledPolicy]) -> list[LabelledPolicy]:
    """Add where they are from to the labels of those that would be one seed twice, or of different data."""
    names: dict[Path, str] = {}
    for own in by(found, lambda one: (one.dataset, one.variant, one.algorithm)).values():
        if _are_one_cell(own):
            continue
        sources = {one.source for one in own}
        short = len({source.name for source in sources}) == len(sources)
        names |= {one.path: one.source.name if short else str(one.source) for one in own}
    return [replace(one, variant=f"{one.variant} {names.get(one.path, '')}".strip()) for one in found]


def _are_one_cell(own: list[LabelledPolicy]) -> bool:
    """Whether no seed of a task is there twice, and all were trained on the same data of each task."""
    each = [(task, seed) for one in own for task in one.tasks for seed in one.seeds]
    returns = {(task, one.behaviour.get(task)) for one in own for task in one.tasks}
    return len(set(each)) == len(each) and len({task for task, _ in returns}) == len(returns)
