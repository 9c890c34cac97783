"""What a worker process does with a run, wherever it is started."""

import traceback
from collections.abc import Sequence
from contextlib import nullcontext

from hcsac.data.store import load as load_dataset
from hcsac.errors import UserError
from hcsac.experiments.storage import Mirror, MirrorRun
from hcsac.experiments.study_run import StudyRun
from hcsac.training import train


def train_run(run: StudyRun, mirror: Mirror | None = None, trackers: Sequence[str] = ()) -> None:
    """Train a run to completion, from its last checkpoint if there is one.

    Args:
        mirror: of the run's directory, for a study kept in a storage: the stored files are fetched before, and every
            checkpoint is stored as it is made.
        trackers: trackers of the run besides TensorBoard.
    """
    if mirror is not None:
        mirror.pull()
    dataset = load_dataset(run.refs, run.alignment, run.tasks)
    train(
        run.algorithm, dataset, run.path, run.settings, run.seeds, resume=True, progress=False, trackers=trackers,
        callbacks=[] if mirror is None else [MirrorRun(mirror)],
    )  # fmt: skip


def execute(run: StudyRun, mirror: Mirror | None = None, trackers: Sequence[str] = ()) -> tuple[str | None, bool]:
    """Train a run; return its error, or None, and whether another attempt would fail as well."""
    try:
        with nullcontext() if mirror is None else mirror.errors_naming_url():
            train_run(run, mirror, trackers)
        return None, False
    except UserError as error:
        return str(error), True
    except Exception:
        return traceback.format_exc(), False
