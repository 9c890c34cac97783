"""Names that a plug-in can add to, and how plug-ins are found: from outside, never from a file of settings or data."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from inspect import isroutine
from typing import Any, Generic, TypeVar

from hcsac.errors import UserError, unknown

T = TypeVar("T")

VARIABLES = ("HCSAC_PLUGINS", "HCSAC_TASKS")  # modules separated by commas; workers inherit them
GROUP = "hcsac.plugins"  # of entry points

_loaded: set[str] = set()
_loading: list[str] = []  # the plug-in whose import registers now, the innermost last


class Registry(Generic[T]):
    """Items of one kind by name, those of all plug-ins among them.

    Args:
        kind: what an item is called in messages, as "algorithm".
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._items: dict[str, T] = {}
        self._origins: dict[str, str | None] = {}

    def add(self, name: str, item: T, module: str | None = None) -> T:
        """Register `item` under `name`. What registered a name may replace it.

        Args:
            module: where the item is defined; None to ask a class or function itself.

        Raises:
            UserError: another plug-in, or hcsac itself, has registered the name.
        """
        if module is None and (isinstance(item, type) or isroutine(item)):
            module = item.__module__
        origin = _origin(module)
        if name in self._items and self._origins[name] != origin:
            place = self._origins[name] or "hcsac itself"
            raise UserError(f"{self.kind} {name!r} is registered by {place} already; choose another name.")
        self._items[name], self._origins[name] = item, origin
        return item

    def get(self, name: str) -> T:
        """The item of that name.

        Raises:
            UserError: there is none; it says the nearest name.
        """
        load_plugins()
        if name not in self._items:
            raise unknown(self.kind, name, self._items)
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        load_plugins()
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self) -> tuple[str, ...]:
        """All names in the order of registration, the built-in ones first."""
        load_plugins()
        return tuple(self._items)

    def items(self) -> tuple[tuple[str, T], ...]:
        """Names and items, in the same order."""
        load_plugins()
        return tuple(self._items.items())

    def plugin(self, name: str) -> str | None:
        """The plug-in module that registered `name`; None where hcsac itself did."""
        load_plugins()
        return self._origins.get(name)


# The kind that settings name; the other registries live with what they hold.
SHARING_RULES: Registry[Any] = Registry("sharing rule")


def load_plugins() -> None:
    """Import the modules named in HCSAC_PLUGINS and HCSAC_TASKS, and the installed entry points of `hcsac.plugins`.

    Every look into a registry does so first, in whatever process; a module is imported once.

    Raises:
        UserError: a module cannot be imported.
    """
    for variable in VARIABLES:
        for module in _words(variable):
            _load(module, f"{variable} names", partial(importlib.import_module, module))
    for point in _entry_points():
        _load(point.module, f"the installed entry point {point.name!r} names", point.load)


def use_plugins(modules: Sequence[str]) -> None:
    """Load these modules too, here and in every process started from here.

    Raises:
        UserError: a module cannot be imported.
    """
    os.environ[VARIABLES[0]] = ",".join(dict.fromkeys([*_words(VARIABLES[0]), *modules]))
    load_plugins()


def require_plugins(modules: Sequence[str], what: str) -> None:
    """Raise a `UserError` unless the plug-ins that `what` was made with are loaded. It never loads one itself."""
    load_plugins()
    missing = [module for module in modules if module not in sys.modules]
    if missing:
        names = ",".join(missing)
        raise UserError(f"{what} needs the plug-in {names}; give --plugin {names}, or set {VARIABLES[0]}={names}.")


def _words(variable: str) -> list[str]:
    return [word.strip() for word in os.environ.get(variable, "").split(",") if word.strip()]


@cache  # a look through every installed package is slow
def _entry_points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))


def _load(module: str, source: str, load: Callable[[], object]) -> None:
    if module in _loaded and module in sys.modules:
        return
    _loaded.add(module)  # before its import: what it looks up must not import it again
    try:
        with _registering(module):
            load()
    except UserError:
        _loaded.discard(module)
        raise
    except Exception as error:  # whatever a module does at its import may fail
        _loaded.discard(module)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"{source} the module {module!r}, which cannot be imported ({reason}); "
            "fix the name, PYTHONPATH or the module."
        ) from error


@contextmanager
def _registering(module: str) -> Iterator[None]:
    _loading.append(module)
    try:
        yield
    finally:
        _loading.pop()


def _origin(module: str | None) -> str | None:
    """The plug-in that registers a definition of `module` (None: not known); None for hcsac's own definitions.

    It is the same one whether hcsac imports the plug-in or a program has imported it, or a part of it, before.
    """
    if module is not None and module.split(".")[0] == "hcsac":
        return None
    named = {point.module for point in _entry_points()}.union(*map(_words, VARIABLES))
    around = [name for name in named if f"{module}.".startswith(f"{name}.")]
    if around:
        return max(around, key=len)
    return _loading[-1] if _loading else module
