"""One run of a study: a training that owns one directory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hcsac.errors import UserError
from hcsac.files import require_form
from hcsac.settings import Settings, applicable

# The keys of a run in the record of a study, and their types as `fits` understands them.
_FORM = {
    "path": str, "dataset": str, "variant": str, "agent": str, "tasks": list[str], "data": list[str],
    "seeds": list[int], "alignment": str, "settings": dict[str, Any],
}  # fmt: skip

_LONGEST = 2048  # bytes of a path within the study; the system's limit is 4096 with the study's own


@dataclass(frozen=True)
class StudyRun:
    """One training: an algorithm on the tasks of one dataset group, with one set of settings and one or more seeds."""

    dataset: str  # label of the dataset group in the study, as medium
    variant: str  # name of the settings that vary; "" where none do
    algorithm: str
    tasks: tuple[str, ...]
    refs: tuple[str, ...]  # names of the datasets to load
    settings: Settings
    seeds: tuple[int, ...]  # trained as replicas of one process
    alignment: str
    path: Path  # run directory

    @property
    def label(self) -> str:
        """The name of the run in messages and tables."""
        seeds = f"seed {self.seeds[0]}" if len(self.seeds) == 1 else ""
        return " ".join(filter(None, (self.dataset, self.variant, self.algorithm, "+".join(self.tasks), seeds)))

    @property
    def key(self) -> tuple[str, str]:
        """Variant and algorithm: what the runs of one line in a chart have in common."""
        return self.variant, self.algorithm

    @property
    def separate_seed(self) -> bool:
        """Whether it is one of several seeds that train in processes of their own."""
        return self.path.name == f"seed-{self.seeds[0]}"

    def as_dict(self, root: Path) -> dict[str, Any]:
        """All fields, ready for JSON; the path is relative to `root`."""
        return {
            "path": str(self.path.relative_to(root)),
            "dataset": self.dataset,
            "variant": self.variant,
            "agent": self.algorithm,  # the key of format 1
            "tasks": list(self.tasks),
            "data": list(self.refs),
            "seeds": list(self.seeds),
            "alignment": self.alignment,
            "settings": self.settings.as_dict(),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any], root: Path, complete: bool = True) -> "StudyRun":
        """The reverse of `as_dict`. Raises `ValueError` or `UserError` where the content is no such run.

        Args:
            complete: False for the settings that all algorithms have, alone: no algorithm is loaded then, and no torch.
        """
        require_form(content, _FORM)
        if not content["seeds"]:
            raise ValueError("a run has no seed")
        if not Path(root, content["path"]).resolve().is_relative_to(root.resolve()):
            raise ValueError(f"the run {content['path']!r} is outside of the study")
        if len(content["path"].encode()) > _LONGEST or any(
            len(part.encode()) > 255 for part in Path(content["path"]).parts
        ):
            raise ValueError("the path of a run is longer than a file's can be")
        return cls(
            dataset=content["dataset"],
            variant=content["variant"],
            algorithm=content["agent"],
            tasks=tuple(content["tasks"]),
            refs=tuple(content["data"]),
            settings=_settings(content["agent"], content["settings"], complete),
            seeds=tuple(content["seeds"]),
            alignment=content["alignment"],
            path=root / content["path"],
        )


def _settings(algorithm: str, content: dict[str, Any], complete: bool) -> Settings:
    if not complete:
        return Settings().replace(applicable(Settings, content))
    from hcsac.algorithms import recorded_settings

    return recorded_settings(algorithm, content)


def require_separate_directories(runs: Sequence[StudyRun]) -> None:
    """Raise `UserError` for two runs with one directory, or one inside that of another."""
    owners: dict[Path, StudyRun] = {}
    for run in runs:
        if (other := owners.setdefault(run.path, run)) is not run:
            raise UserError(
                f"two runs would share the directory {run.path}: {other.label!r} and {run.label!r}; "
                "give their datasets or variants names that differ in more than punctuation."
            )
        for parent in run.path.parents:
            if parent in owners:
                raise UserError(
                    f"the directory of {run.label!r} would lie inside that of {owners[parent].label!r} ({parent}); "
                    "rename one of them."
                )


def require_compatible_settings(runs: Sequence[StudyRun]) -> None:
    """Raise `UserError` for a run whose settings exclude each other."""
    from hcsac.algorithms import resolve

    for run in runs:
        try:
            resolve(run.algorithm, run.settings, run.tasks)
        except UserError as error:
            raise UserError(f"{run.label}: {error}") from error
