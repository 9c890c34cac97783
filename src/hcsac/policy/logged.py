"""The data that a policy was trained on, found again, and which of their episodes it has not seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hcsac.data import Dataset, load
from hcsac.data.held_out import mark_episodes
from hcsac.errors import UserError
from hcsac.files import RUN, fits
from hcsac.policy.bundle import is_bundle, read_metadata
from hcsac.policy.state import corrupt
from hcsac.registry import require_plugins
from hcsac.training import RunDirectory
from hcsac.training.checkpoint import FIX


class Logged(NamedTuple):
    """Logged episodes of the tasks of a policy."""

    dataset: Dataset
    unseen: np.ndarray  # [episodes] bool, whether the policy was not trained on it

    @property
    def trained(self) -> Dataset:
        """The episodes that it was trained on."""
        return self.dataset.take_episodes(np.flatnonzero(~self.unseen)) if self.unseen.any() else self.dataset


def logged_data(path: Path, refs: Sequence[str] = ()) -> Logged:
    """The data of the run or bundle at `path`, or those that are named instead.

    Named ones are the policy's own where their fingerprint is. Else it has seen none of their episodes, unless it was
    trained on a dataset of the same name: then it counts as having seen all.

    Raises:
        UserError: the data have no name, cannot be loaded, or are no longer those that it was trained on.
    """
    record, data = _recorded(path)
    names: Sequence[str] = data["names"]
    if not refs and not names:
        raise UserError(f"the data of {path} were made in Python and have no name; name some with --data.")
    try:
        dataset = load(list(refs or names), record.get("alignment", "correct"), record["tasks"])
    except UserError as error:
        require_plugins(record.get("plugins", ()), f"the run in {path}")
        if refs:
            raise
        reason = str(error).rstrip(".")
        raise UserError(f"the data of {path} cannot be loaded: {reason}; or name them with --data.") from error
    held_out = data.get("held_out", {})
    if _is_trained_on(dataset, held_out, data["fingerprint"]):
        return Logged(dataset, mark_episodes(dataset, held_out))
    if not refs:
        raise UserError(
            f"the data of {path} are not those that it was trained on any more (their fingerprint is another one); "
            "restore them, or name other data with --data."
        )
    return Logged(dataset, np.full(len(dataset.episode_return), not set(refs) & set(names)))


def _is_trained_on(dataset: Dataset, held_out: Mapping[str, Sequence[int]], fingerprint: str) -> bool:
    """Whether the episodes that are not held out have that fingerprint."""
    try:
        unseen = mark_episodes(dataset, held_out)
    except UserError:
        return False
    return Logged(dataset, unseen).trained.fingerprint() == fingerprint


def _recorded(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """`run.json` or `policy.json`, with the names of the tasks in both, and what it says about the data."""
    if is_bundle(path):
        record = read_metadata(path)
        tasks = [entry["name"] for entry in sorted(record["tasks"], key=lambda entry: entry["index"])]
        return {**record, "tasks": tasks}, record["data"]
    record = RunDirectory(path).identity()
    with corrupt(path / RUN, FIX):
        data = {"names": record["data"], "fingerprint": record["fingerprint"], "held_out": record.get("held_out", {})}
        if not fits(data["held_out"], dict[str, list[int]]):
            raise ValueError("held_out is no list of episodes for each task")
    return record, data
