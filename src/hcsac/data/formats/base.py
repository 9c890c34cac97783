"""What a dataset format is, and the registry of all of them."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.registry import Registry

T = TypeVar("T")
_REQUIRED = {"matches": "matches(self, path) -> bool", "read": "read(self, path) -> Iterator[Episode]"}


class DatasetFormat(Protocol):
    """How the datasets of one kind are recognised and read.

    The first sentence of its docstring describes the format where the known ones are listed. Optional methods:

    - `task(path) -> str | None`: the task that the dataset itself names.
    - `metadata(path) -> dict`: shown by `hcsac data info`.
    - `lengths(path) -> Sequence[int]`: the steps of every episode, where they are known before the episodes are read.
    - `bounds(path) -> ActionBounds | None`: those of the actions, where the dataset says them.
    - `time_limit(path) -> int | None`: the steps after which its environment truncated an episode, where it says so.
    - `unread(path) -> Sequence[str]`: what the dataset has and the format does not read, which an import names.
    - `write(path, episodes, task)`: make a new file or folder, for `hcsac data export`.
    - `rewards_optional`, an attribute: True where logs may have no rewards; `read` gives NaN as every reward then, and
      the task's reward function computes them.

    `read` may have an argument `columns`, for the option `--columns` of an import.
    """

    def matches(self, path: Path) -> bool:
        """Whether the file or folder at `path`, which exists, has this format; called often, so it should be quick."""
        ...

    def read(self, path: Path) -> Iterable[Episode]:
        """The episodes in their order; a generator keeps one in memory at a time. They are validated afterwards."""
        ...


FORMATS: Registry[DatasetFormat] = Registry("dataset format")


def dataset_format(name: str) -> Callable[[T], T]:
    """Register a dataset format: a class that is made without arguments, or an object.

    From then on `hcsac.load`, `hcsac data import`, `check` and `info`, and training read such datasets by their path.

    Args:
        name: how messages call it, as "csv".

    Raises:
        UserError: `matches` or `read` is missing, or another plug-in has registered the name.
    """

    def register(item: T) -> T:
        checked = _checked(name, item)
        FORMATS.add(name, checked, module=type(checked).__module__)
        return item

    return register


def describe_formats() -> str:
    """All formats with the first sentence of their docstrings, in one line."""
    return ", ".join(f"{name} ({text})" if (text := _first_sentence(item)) else name for name, item in FORMATS.items())


def _checked(name: str, item: Any) -> Any:
    if isinstance(item, type):
        try:
            item = item()
        except Exception as error:
            raise UserError(
                f"dataset format {name!r}: {item.__name__}() fails ({error}); let it need no arguments, or register "
                "an object."
            ) from error
    for method, form in _REQUIRED.items():
        if not callable(getattr(item, method, None)):
            raise UserError(f"dataset format {name!r} has no method {method}; add {form}.")
    return item


def _first_sentence(item: object) -> str:
    text = " ".join((inspect.getdoc(item) or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".")
