"""TensorBoard: event files in `tensorboard/` of the run."""

import json
from collections.abc import Mapping

from hcsac import files
from hcsac.training.run_directory import RunDirectory
from hcsac.training.trackers.base import Tracker


class TensorBoard(Tracker):
    """Event files in `tensorboard/` of the run; every run has them."""

    name = "tensorboard"

    def open(self, run: RunDirectory, start: int) -> None:
        """Drop the updates of an interrupted attempt; store the run's configuration as text."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import, so only when a run starts

        self.writer = SummaryWriter(str(run.path / files.TENSORBOARD), purge_step=start + 1)
        if start == 0:
            text = json.dumps(run.identity(), indent=2)
            self.writer.add_text("run", f"```json\n{text}\n```")

    def log(self, values: Mapping[str, float], update: int) -> None:
        """One scalar a name."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, update)

    def flush(self) -> None:
        """Write the event file."""
        self.writer.flush()

    def finish(self, completed: bool) -> None:
        """Write and close the event file."""
        self.writer.close()
