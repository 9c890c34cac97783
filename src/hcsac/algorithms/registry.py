"""The algorithms by name, and the decorator by which a file adds one, inside hcsac or outside."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

from hcsac.algorithms.algorithm import Algorithm
from hcsac.errors import UserError
from hcsac.registry import Registry
from hcsac.settings import Settings, require_unique_names

ALGORITHMS: Registry[type[Algorithm]] = Registry("algorithm")

A = TypeVar("A", bound=type[Algorithm])


def algorithm(name: str) -> Callable[[A], A]:
    """Register a subclass of `Algorithm` under `name`, as `hcsac train NAME` calls it.

    The first line of its docstring is its sentence in `hcsac train --help`.

    Raises:
        UserError: the name is taken, something that every algorithm gives is missing, or a setting has the name of
            another algorithm's.
    """

    def register(kind: A) -> A:
        where = f"algorithm {name!r} ({kind.__module__}.{kind.__qualname__})"
        if not issubclass(kind, Algorithm):
            raise UserError(f"{where} does not inherit from hcsac.Algorithm; make it a subclass.")
        missing = [word for word in ("build", "update") if getattr(kind, word) is getattr(Algorithm, word)]
        if not hasattr(kind, "Actor"):
            missing.append("Actor")
        if missing:
            raise UserError(f"{where} lacks {', '.join(missing)}; define what hcsac.Algorithm asks for.")
        if not issubclass(kind.settings_type, Settings):
            raise UserError(f"{where}: its settings_type does not inherit from hcsac.Settings; make it a subclass.")
        require_unique_names(kind.settings_type)
        ALGORITHMS.add(name, kind)
        kind.name = name
        return kind

    return register


def sentence(kind: type[Algorithm]) -> str:
    """The first line of its docstring, and the paper it is from."""
    first = (inspect.getdoc(kind) or "").split("\n")[0].rstrip(".")
    return f"{first} ({kind.paper})." if kind.paper else f"{first}."
