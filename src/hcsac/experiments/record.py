"""The record of a grid that began, `grid.json` in its output: by it a grid is reported, continued, held to its word."""

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from hcsac.errors import UserError
from hcsac.experiments.storage import Mirror
from hcsac.experiments.study import Grid, Published
from hcsac.experiments.study_run import Cell

FORMAT = 1
FILE = "grid.json"


class Record(NamedTuple):
    """What a grid's output says of the grid."""

    name: str
    description: str
    published: Published
    cells: list[Cell]
    output: Path


def begin(grid: Grid, output: Path, accept_changes: bool = False, mirror: Mirror | None = None) -> Record:
    """Claim `output` for the grid, or go on with it.

    Args:
        accept_changes: go on although the grid is another than the one that began here. The directories of cells whose
            settings changed are moved aside (to NAME.before-1, ...), those of cells that are gone are left alone.
        mirror: of `output`, where the study is kept in a storage.

    Raises:
        UserError: as `Grid.cells`; or another grid began here, and what differs is said; or files that are not ours.
    """
    before = read_record(output).cells if (output / FILE).exists() else None
    # What began on a machine with a GPU goes on as it began on one without.
    cells = grid.cells(output, together=None if before is None else not any(cell.apart for cell in before))
    now = Record(grid.name, grid.description, grid.published, cells, output)
    if before is not None:
        differing = _differences({str(cell.path): cell for cell in before}, {str(cell.path): cell for cell in cells})
        if differing and not accept_changes:
            some = "; ".join(differing.values()) if len(differing) < 4 else _counted(differing)
            raise UserError(
                f"{output} began as another grid: {some}; choose another --output, or accept this with --changed."
            )
        for path, what in differing.items():
            if what.startswith("changed") and Path(path).exists():
                place = _move_aside(Path(path))
                if mirror is not None:
                    mirror.move(Path(path), place)
    elif (
        output.exists()
        and not any((cell.path / "run.json").exists() for cell in cells)
        and (not output.is_dir() or any(output.iterdir()))
    ):  # without a record, but with runs of the grid, it goes on: a run by itself refuses to become another
        raise UserError(f"{output} exists and is not a grid; choose another --output.")
    _write(now)
    if mirror is not None:
        mirror.push(FILE)
    return now


def read_record(output: Path) -> Record:
    """The grid that began in `output`.

    Raises:
        UserError: none did, its record is damaged, or it was written by a newer hcsac.
    """
    path = output / FILE
    try:
        held: dict[str, Any] = json.loads(path.read_text())
        if held["format"] > FORMAT:
            raise UserError(f"{path} was written by a newer hcsac ({held['hcsac']}); upgrade this one.")
        published = {
            dataset: {task: {agent: tuple(pair) for agent, pair in agents.items()} for task, agents in tasks.items()}
            for dataset, tasks in held["published"].items()
        }
        cells = [Cell.from_dict(cell, output) for cell in held["cells"]]
        return Record(held["name"], held["description"], published, cells, output)
    except OSError as error:
        raise UserError(f"{output} holds no grid; give the directory that `hcsac grid run` wrote.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error!r}); delete it and start the grid again: its runs stay.") from error


def _write(record: Record) -> None:
    content = {
        "format": FORMAT,
        "hcsac": version("hcsac"),
        "name": record.name,
        "description": record.description,
        "published": record.published,
        "cells": [cell.as_dict(record.output) for cell in record.cells],
    }
    try:
        record.output.mkdir(parents=True, exist_ok=True)
        temporary = record.output / f".{FILE}.tmp"
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        os.replace(temporary, record.output / FILE)
    except OSError as error:
        raise UserError(f"cannot write to {record.output} ({error.strerror}); choose another --output.") from error


def _differences(held: dict[str, Cell], now: dict[str, Cell]) -> dict[str, str]:
    """Path -> what differs, in a few words."""
    found = {path: f"gone: {cell.label}" for path, cell in held.items() if path not in now}
    found |= {path: f"new: {cell.label}" for path, cell in now.items() if path not in held}
    for path in (path for path in now if path in held):
        before, after = _flat(held[path]), _flat(now[path])
        changes = [f"{key} {before[key]!r} became {after[key]!r}" for key in before if before[key] != after[key]]
        if changes:
            found[path] = f"changed: {now[path].label} ({', '.join(changes)})"
    return found


def _flat(cell: Cell) -> dict[str, Any]:
    identity: dict[str, Any] = {"tasks": cell.tasks, "data": cell.refs, "seeds": cell.seeds}
    return identity | {"alignment": cell.alignment} | cell.settings.as_dict()


def _counted(differing: dict[str, str]) -> str:
    kinds: dict[str, list[str]] = {}
    for what in differing.values():
        kinds.setdefault(what.split(":")[0], []).append(what.split(": ", 1)[1])
    return "; ".join(f"{len(labels)} cells {kind}, as {labels[0]}" for kind, labels in kinds.items())


def _move_aside(path: Path) -> Path:
    number = 1
    while (place := path.with_name(f"{path.name}.before-{number}")).exists():
        number += 1
    path.rename(place)
    return place
