"""What a worker does with a cell, wherever it runs."""

import traceback
from collections.abc import Sequence

from hcsac.data.store import load as load_dataset
from hcsac.errors import UserError
from hcsac.experiments.storage import Mirror, MirrorRun
from hcsac.experiments.study_run import Cell
from hcsac.training import train


def run_cell(cell: Cell, mirror: Mirror | None = None, trackers: Sequence[str] = ()) -> None:
    """Train a cell to its end, from its last checkpoint if there is one.

    Args:
        mirror: of the cell's directory, where the study is kept in a storage: what is there is fetched before, and
            every checkpoint is stored as it is made.
        trackers: where its numbers go besides TensorBoard.
    """
    if mirror is not None:
        mirror.pull()
    dataset = load_dataset(list(cell.refs), alignment=cell.alignment)
    train(
        cell.agent, dataset, cell.path, cell.settings, cell.seeds, resume=True, progress=False, trackers=trackers,
        callbacks=[] if mirror is None else [MirrorRun(mirror)],
    )  # fmt: skip


def outcome(cell: Cell, mirror: Mirror | None = None, trackers: Sequence[str] = ()) -> tuple[str | None, bool]:
    """Run a cell; its error, or None, and whether another attempt would fail as well."""
    try:
        if mirror is None:
            run_cell(cell, trackers=trackers)
        else:
            with mirror.speaking_of_it():
                run_cell(cell, mirror, trackers)
        return None, False
    except UserError as error:
        return str(error), True
    except Exception:
        return traceback.format_exc(), False
