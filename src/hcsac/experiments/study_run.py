"""A cell: one run of a study, which owns one directory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hcsac.algorithms import recorded_settings, resolve
from hcsac.errors import UserError
from hcsac.settings import Settings


@dataclass(frozen=True)
class Cell:
    """One run: an agent, on the tasks of one dataset, with one set of settings; its seeds train as replicas."""

    dataset: str  # what the study calls the data, as medium
    variant: str  # what sets its settings apart; "" where nothing varies
    agent: str
    tasks: tuple[str, ...]
    refs: tuple[str, ...]  # the names the data are loaded by
    settings: Settings
    seeds: tuple[int, ...]
    alignment: str
    path: Path

    @property
    def label(self) -> str:
        """How the cell is called on the screen."""
        seeds = f"seed {self.seeds[0]}" if len(self.seeds) == 1 else ""
        return " ".join(filter(None, (self.dataset, self.variant, self.agent, "+".join(self.tasks), seeds)))

    @property
    def group(self) -> tuple[str, str, str]:
        """Dataset, variant and agent: what its seeds and tasks are put together by."""
        return self.dataset, self.variant, self.agent

    @property
    def apart(self) -> bool:
        """Whether it is one seed of several that run apart."""
        return self.path.name == f"seed-{self.seeds[0]}"

    def as_dict(self, root: Path) -> dict[str, Any]:
        """Everything, ready for JSON; the path is given from `root` on."""
        return {
            "path": str(self.path.relative_to(root)),
            "dataset": self.dataset,
            "variant": self.variant,
            "agent": self.agent,
            "tasks": list(self.tasks),
            "data": list(self.refs),
            "seeds": list(self.seeds),
            "alignment": self.alignment,
            "settings": self.settings.as_dict(),
        }

    @classmethod
    def from_dict(cls, held: dict[str, Any], root: Path) -> "Cell":
        """The reverse of `as_dict`."""
        return cls(
            held["dataset"], held["variant"], held["agent"], tuple(held["tasks"]), tuple(held["data"]),
            recorded_settings(held["agent"], held["settings"]), tuple(held["seeds"]), held["alignment"],
            root / held["path"],
        )  # fmt: skip


def require_apart(cells: Sequence[Cell]) -> None:
    """Raise `UserError` for two cells with one directory, or one inside that of another."""
    places: dict[Path, Cell] = {}
    for cell in cells:
        if (other := places.setdefault(cell.path, cell)) is not cell:
            raise UserError(
                f"two cells would share the directory {cell.path}: {other.label!r} and {cell.label!r}; "
                "give their datasets or variants names that differ in more than punctuation."
            )
        for place in cell.path.parents:
            if place in places:
                raise UserError(
                    f"the directory of {cell.label!r} would lie inside that of {places[place].label!r} ({place}); "
                    "rename one of them."
                )


def require_settings(cells: Sequence[Cell]) -> None:
    """Raise `UserError` for a cell whose settings exclude each other."""
    for cell in cells:
        try:
            resolve(cell.agent, cell.settings, cell.tasks)
        except UserError as error:
            raise UserError(f"{cell.label}: {error}") from error
