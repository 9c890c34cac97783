"""MLflow."""

import os
import re
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from hcsac.errors import UserError
from hcsac.training.run_directory import RunDirectory
from hcsac.training.trackers.base import PROJECT, Tracker, get_id, run_name, stored_id


class MLflow(Tracker):
    """A run on the MLflow server, or in the store, that MLFLOW_TRACKING_URI names."""

    name = "mlflow"

    @classmethod
    def require(cls) -> None:
        """Check library and store.

        Raises:
            UserError: the library is not installed, or not the one that a store in a database needs.
        """
        super().require()
        import mlflow

        uri = mlflow.get_tracking_uri()
        if re.match(r"(sqlite|mysql|postgresql|mssql)\b", uri) and find_spec("sqlalchemy") is None:
            raise UserError(
                f"MLflow stores runs in {uri}, which needs two more libraries: pip install sqlalchemy alembic; "
                "or set MLFLOW_TRACKING_URI to a server."
            )

    def open(self, run: RunDirectory, start: int) -> None:
        """Create the run with its parameters, or resume it by its id."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self.client = MlflowClient()
        new = stored_id(run, self.name) is None
        self.id = get_id(run, self.name, lambda: self._create(run_name(run)))
        if not new:
            self.client.update_run(self.id, status="RUNNING")
            return
        params = [Param(allowed_name(name), str(value)) for name, value in flatten(run.identity()).items()]
        for first in range(0, len(params), 100):  # the most that one request may hold
            self.client.log_batch(self.id, params=params[first : first + 100])

    def log(self, values: Mapping[str, float], update: int) -> None:
        """One metric a name."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(allowed_name(name), float(value), now, update) for name, value in values.items()]
        for first in range(0, len(metrics), 1000):  # the most that one request may hold
            self.client.log_batch(self.id, metrics=metrics[first : first + 1000])

    def finish(self, completed: bool) -> None:
        """Set the run's status."""
        self.client.set_terminated(self.id, "FINISHED" if completed else "KILLED")

    def _create(self, name: str) -> str:
        experiment = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if experiment is None:
            project = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            found = self.client.get_experiment_by_name(project)
            experiment = found.experiment_id if found else self.client.create_experiment(project)
        return self.client.create_run(experiment, run_name=name).info.run_id


def allowed_name(name: str) -> str:
    """A name with the characters that MLflow accepts."""
    return re.sub(r"[^\w\-./ ]", "_", name)


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dots between the names."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat
