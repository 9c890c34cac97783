"""A TOML file of collections, and the collections that it asks for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hcsac.collection.collect import collect, names_of, unwritten
from hcsac.collection.settings import CollectSettings
from hcsac.errors import UserError, unknown
from hcsac.files import read_toml

NAMESPACE = "collected"  # where none is given
_TABLES = ("defaults", "collections")
_OWN = ("task", "namespace")  # keys of a collection besides its settings
_JOINED = {"keep": ",", "shares": ",", "returns": ":"}  # settings that may be lists


@dataclass(frozen=True)
class Request:
    """One collection of a file: what `collect` is called with."""

    name: str  # of its table
    task: str
    namespace: str
    directory: Path
    settings: CollectSettings

    @property
    def datasets(self) -> list[str]:
        """The names of its datasets."""
        return [*names_of(self.task, self.namespace, self.settings).values()]

    @property
    def steps(self) -> int:
        """The most environment steps of its learners together, without those of an episode begun before the last."""
        return self.settings.steps * self.settings.learners

    def finished(self) -> bool:
        """Whether all of its datasets are written. Raises `UserError` as `collect`, before anything is learned."""
        return not unwritten(self.task, self.namespace, self.settings)

    def run(self, command: str, on_steps: Any = None) -> None:
        """Collect, without a progress bar. Raises `UserError` as `collect`."""
        collect(self.task, self.namespace, self.directory, self.settings, command, progress=False, on_steps=on_steps)


def read_collections(path: Path, output: Path, given: Mapping[str, Any] | None = None) -> list[Request]:
    """The collections of a TOML file, each in a directory of its name below `output`.

    `[collections.NAME]` has the task (default: NAME), the namespace and the settings of one collection; `[defaults]`
    has those of all that do not say otherwise. `keep`, `shares` and `returns` may be lists.

    Args:
        given: settings and namespace that win over the file's.

    Raises:
        UserError: the file is missing or no TOML, a key is unknown (with the nearest known one), a value does not fit,
            or two collections would write one dataset.
    """
    content = read_toml(path)
    try:
        for table in content:
            if table not in _TABLES:
                raise unknown("table", table, _TABLES)
        defaults, tables = (_table(content.get(name, {}), name) for name in _TABLES)
        if not tables:
            raise UserError("it has no collection; add a table as [collections.walker-walk].")
        requests = [
            _request(name, _table(table, f"collections.{name}"), defaults, output, given or {})
            for name, table in tables.items()
        ]
        _require_different(requests)
    except UserError as error:
        raise UserError(f"collections in {path}: {error}") from error
    return requests


def _request(
    name: str, table: Mapping[str, Any], defaults: Mapping[str, Any], output: Path, given: Mapping[str, Any]
) -> Request:
    known = [*_OWN, *(entry.name for entry in fields(CollectSettings))]
    for where, entries in (("[defaults]", defaults), (f"[collections.{name}]", table)):
        for key in entries:
            if key not in known:
                raise UserError(f"{where}: {unknown('key', key, known)}")
    if not re.fullmatch(r"\w[-+.:\w]*", name):
        raise UserError(f"{name!r} cannot name a directory; name the table by letters, digits, -, _, +, : and dots.")
    values = {**defaults, **table, **given}
    own = {"task": values.pop("task", name), "namespace": values.pop("namespace", NAMESPACE)}
    for key, value in own.items():
        if not isinstance(value, str):
            raise UserError(f"[collections.{name}]: {key} = {value!r} is not a name.")
    try:
        settings = CollectSettings(**{key: _joined(key, value) for key, value in values.items()})
    except UserError as error:
        raise UserError(f"[collections.{name}]: {error}") from error
    return Request(name, **own, directory=output / name, settings=settings)


def _table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{name} = {value!r} is not a table; write [{name}] and its keys below.")
    return value


def _joined(key: str, value: Any) -> Any:
    """A list as the text that the option would have."""
    return _JOINED[key].join(map(str, value)) if key in _JOINED and isinstance(value, list) else value


def _require_different(requests: list[Request]) -> None:
    owner: dict[str, str] = {}
    for request in requests:
        for dataset in request.datasets:
            if (other := owner.setdefault(dataset, request.name)) != request.name:
                raise UserError(
                    f"{other} and {request.name} would both write {dataset}; give one of them another namespace."
                )
