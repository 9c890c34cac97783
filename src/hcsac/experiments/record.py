"""The record of a study, `study.json` in its output directory: status, report and resumption read it."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hcsac import files
from hcsac.data.formats import OpenedDataset
from hcsac.errors import UserError
from hcsac.experiments.baseline import BASELINE
from hcsac.experiments.files import write_text
from hcsac.experiments.study_run import StudyRun
from hcsac.registry import require_plugins

if TYPE_CHECKING:
    from hcsac.experiments.storage import Mirror
    from hcsac.experiments.study import Published, Study

FORMAT = 1
_PUBLISHED = dict[str, dict[str, dict[str, list[float | None]]]]
_FORM = {
    "format": int, "name": str, "description": str, "published": _PUBLISHED, "cells": list[dict[str, Any]],
    "baseline": str,
}  # fmt: skip


class StudyRecord(NamedTuple):
    """A study that was started in a directory."""

    name: str
    description: str
    published: Published  # see `Study`
    runs: list[StudyRun]
    output: Path  # directory of the study
    plugins: tuple[str, ...] = ()  # the modules that registered algorithms, sharing rules, tasks and formats of it
    baseline: str = BASELINE  # what reports compare with; see `Study`


def record_path(output: Path) -> Path:
    """The file of the record in `output`: `study.json`, or the `grid.json` that an earlier hcsac wrote there."""
    return next((output / name for name in files.STUDIES if (output / name).exists()), output / files.STUDIES[0])


def start_study(study: Study, output: Path, accept_changes: bool = False, mirror: Mirror | None = None) -> StudyRecord:
    """Start the study in `output`, or resume it there.

    Args:
        accept_changes: continue although the study differs from the one that was started here. The directories of runs
            whose settings changed are renamed (to NAME.before-1, ...); those of runs that are gone stay as they are.
        mirror: of `output`, for a study kept in a storage.

    Raises:
        UserError: as `Study.runs`; or another study was started here, with what differs; or files of something else.
    """
    resumed = record_path(output).exists()
    before = read_record(output).runs if resumed else []
    # A study started on a machine with a GPU resumes on one without, and the other way round.
    shared_process = not any(run.separate_seed for run in before) if resumed else None
    runs = study.runs(output, shared_process)
    record = StudyRecord(study.name, study.description, study.published, runs, output, _plugins(runs), study.baseline)
    if resumed:
        _accept_or_refuse(before, record, accept_changes, mirror)
    # Without a record, but with runs of the study, it resumes: each run refuses to become another.
    elif not any((run.path / "run.json").exists() for run in runs):
        _require_empty(output)
    write_record(record)
    if mirror is not None:
        mirror.push(record_path(output).name)
    return record


def read_record(output: Path, complete: bool = True) -> StudyRecord:
    """The study that was started in `output`.

    Args:
        complete: as in `StudyRun.from_dict`.

    Raises:
        UserError: there is none, it needs a plug-in that is not loaded, or its record is damaged or of a newer hcsac.
    """
    path = record_path(output)
    try:
        content = {"baseline": BASELINE, **files.parse_object(path.read_text())}  # that of earlier records
        files.require_form(content, _FORM)
        if content["format"] > FORMAT:
            raise UserError(f"{path} was written by a newer hcsac ({content['hcsac']}); upgrade this one.")
        plugins = tuple(content.get("plugins", ()))
        require_plugins(plugins, f"the study in {output}")
        published = {
            dataset: {task: {name: _pair(*pair) for name, pair in numbers.items()} for task, numbers in tasks.items()}
            for dataset, tasks in content["published"].items()
        }
        runs = [StudyRun.from_dict(run, output, complete) for run in content["cells"]]
        return StudyRecord(
            content["name"], content["description"], published, runs, output, plugins, content["baseline"]
        )
    except OSError as error:
        raise UserError(
            f"no study found in {str(output)!r}; pass the output directory of `hcsac study run`."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({error!r}); delete it and start the study again: its runs stay."
        ) from error


def _pair(mean: float, std: float | None) -> tuple[float, float | None]:
    return float(mean), std


def write_record(record: StudyRecord) -> None:
    """Write the record into the directory of the study. Raises `UserError` where that cannot be written."""
    content = {
        "format": FORMAT,
        "hcsac": version("hcsac"),
        "name": record.name,
        "description": record.description,
        "published": record.published,
        "plugins": list(record.plugins),
        "baseline": record.baseline,
        "cells": [run.as_dict(record.output) for run in record.runs],  # the key of format 1
    }
    write_text(record_path(record.output), json.dumps(content, indent=1) + "\n")


def _plugins(runs: list[StudyRun]) -> tuple[str, ...]:
    """The plug-in modules without which the study cannot be trained or reported."""
    from hcsac.algorithms import plugins_of

    formats = {OpenedDataset(ref).plugin for ref in dict.fromkeys(ref for run in runs for ref in run.refs)}
    found = {module for module in formats if module is not None}
    return tuple(sorted(found.union(*(plugins_of(run.algorithm, run.settings, run.tasks) for run in runs))))


def _require_empty(output: Path) -> None:
    if output.exists() and not files.is_vacant(output):
        raise UserError(f"{output} exists and is not the directory of a study; choose another --output.")


def _accept_or_refuse(before: list[StudyRun], record: StudyRecord, accept: bool, mirror: Mirror | None) -> None:
    """Rename the directories of changed runs, or raise `UserError` for what differs."""
    differing = _differences({str(run.path): run for run in before}, {str(run.path): run for run in record.runs})
    if differing and not accept:
        texts = "; ".join(differing.values()) if len(differing) < 4 else _counted(differing)
        raise UserError(
            f"{record.output} was started as another study: {texts}; choose another --output, or accept this with "
            "--changed."
        )
    for path, text in differing.items():
        if text.startswith("changed") and Path(path).exists():
            target = _rename(Path(path))
            if mirror is not None:
                mirror.move(Path(path), target)


def _differences(before: dict[str, StudyRun], now: dict[str, StudyRun]) -> dict[str, str]:
    """Path -> what differs, in a few words."""
    differing = {path: f"gone: {run.label}" for path, run in before.items() if path not in now}
    differing |= {path: f"new: {run.label}" for path, run in now.items() if path not in before}
    for path in (path for path in now if path in before):
        old, new = _compared(before[path]), _compared(now[path])
        changes = [f"{key} {old[key]!r} became {new[key]!r}" for key in old if old[key] != new[key]]
        if changes:
            differing[path] = f"changed: {now[path].label} ({', '.join(changes)})"
    return differing


def _compared(run: StudyRun) -> dict[str, Any]:
    """What must not change while a study is resumed."""
    identity: dict[str, Any] = {"tasks": run.tasks, "data": run.refs, "seeds": run.seeds}
    return identity | {"alignment": run.alignment} | run.settings.as_dict()


def _counted(differing: dict[str, str]) -> str:
    labels_of: dict[str, list[str]] = {}
    for text in differing.values():
        kind, label = text.split(": ", 1)
        labels_of.setdefault(kind, []).append(label)
    return "; ".join(f"{len(labels)} runs {kind}, as {labels[0]}" for kind, labels in labels_of.items())


def _rename(path: Path) -> Path:
    number = 1
    while (target := path.with_name(f"{path.name}.before-{number}")).exists():
        number += 1
    path.rename(target)
    return target
