"""Weights & Biases."""

import os
import uuid
from collections.abc import Mapping

from hcsac.training.run_directory import RunDirectory
from hcsac.training.trackers.base import PROJECT, Tracker, get_id, run_name


class WandB(Tracker):
    """Weights & Biases; its files are in `wandb/` of the run unless WANDB_DIR is set."""

    name = "wandb"

    def open(self, run: RunDirectory, start: int) -> None:
        """Start or resume the run by its id."""
        import wandb

        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=get_id(run, self.name, lambda: uuid.uuid4().hex[:8]),
            resume="allow",
            name=run_name(run),
            dir=os.environ.get("WANDB_DIR", str(run.path)),
            config=run.identity(),
            reinit="create_new",  # does not touch other runs of this process
        )

    def log(self, values: Mapping[str, float], update: int) -> None:
        """One step; W&B accepts no step twice."""
        if update >= self.run.step:  # a resumed run repeats the updates after its checkpoint; these are there already
            self.run.log(dict(values), step=update)

    def finish(self, completed: bool) -> None:
        """Upload the rest; exit code 1 marks the run as failed."""
        self.run.finish(exit_code=0 if completed else 1)
