"""Trackio."""

import os
import sys
import uuid
from collections.abc import Mapping
from contextlib import redirect_stdout

from hcsac.training.run_directory import RunDirectory
from hcsac.training.trackers.base import PROJECT, Tracker, get_id, run_name


class Trackio(Tracker):
    """Trackio, on this machine (TRACKIO_DIR) or in a Space (TRACKIO_SPACE_ID)."""

    name = "trackio"

    def open(self, run: RunDirectory, start: int) -> None:
        """Start or resume the run by its name."""
        with redirect_stdout(sys.stderr):  # stdout is for results
            import trackio

            self.library = trackio
            self.run = trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", PROJECT),
                name=get_id(run, self.name, lambda: f"{run_name(run)}-{uuid.uuid4().hex[:8]}"),
                config=run.identity(),
                resume="allow",
                embed=False,
            )

    def log(self, values: Mapping[str, float], update: int) -> None:
        """One step."""
        self.run.log(dict(values), step=update)

    def finish(self, completed: bool) -> None:
        """Write the rest."""
        with redirect_stdout(sys.stderr):
            self.library.finish()
