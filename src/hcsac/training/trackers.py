"""Where the numbers of a run go: TensorBoard always, and the experiment trackers that were asked for.

`trackers.json` in the run's directory keeps under which name each tracker knows the run, so that a continued run is
continued there too.
"""

import json
import os
import re
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from hcsac.errors import UserError, unknown
from hcsac.training.run_directory import RunDirectory

PROJECT = "hcsac"  # where a tool's own environment variables name no other
KEPT = "trackers.json"


class Tracker(Protocol):
    """Something that keeps scalars by name and update."""

    def scalars(self, values: Mapping[str, float], update: int) -> None:
        """Keep these values of this update."""

    def flush(self) -> None:
        """Write to disk what is kept so far, where this tracker keeps files of ours."""

    def close(self, finished: bool) -> None:
        """Write out what is left; `finished` where the run reached its end."""


class TensorBoard:
    """Event files in `tensorboard/` of the run."""

    def __init__(self, run: RunDirectory, start: int):
        from torch.utils.tensorboard import SummaryWriter  # slow to import, so only when a run begins

        self.writer = SummaryWriter(str(run.path / "tensorboard"), purge_step=start + 1)
        if start == 0:
            text = json.dumps(run.identity(), indent=2)
            self.writer.add_text("run", f"```json\n{text}\n```")

    def scalars(self, values: Mapping[str, float], update: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, update)

    def flush(self) -> None:
        self.writer.flush()

    def close(self, finished: bool) -> None:
        self.writer.close()


class WandB:
    """Weights & Biases; its files lie in `wandb/` of the run unless WANDB_DIR says otherwise."""

    def __init__(self, run: RunDirectory, start: int):
        import wandb

        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=_key(run, "wandb", lambda: uuid.uuid4().hex[:8]),
            resume="allow",
            name=_name(run),
            dir=os.environ.get("WANDB_DIR", str(run.path)),
            config=run.identity(),
            reinit="create_new",  # leaves alone what the caller tracks beside it
        )

    def scalars(self, values: Mapping[str, float], update: int) -> None:
        if update >= self.run.step:  # a continued run repeats the updates after its checkpoint; these are there already
            self.run.log(dict(values), step=update)

    def flush(self) -> None:
        pass

    def close(self, finished: bool) -> None:
        self.run.finish(exit_code=0 if finished else 1)


class MLflow:
    """An MLflow run on the server, or in the store, that MLFLOW_TRACKING_URI names."""

    def __init__(self, run: RunDirectory, start: int):
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self.client = MlflowClient()
        new = "mlflow" not in _kept(run)
        self.key = _key(run, "mlflow", lambda: self._create(_name(run)))
        if not new:
            self.client.update_run(self.key, status="RUNNING")
            return
        params = [Param(_allowed(name), str(value)) for name, value in _flat(run.identity()).items()]
        for first in range(0, len(params), 100):  # the most that one request may hold
            self.client.log_batch(self.key, params=params[first : first + 100])

    def _create(self, name: str) -> str:
        experiment = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if experiment is None:
            project = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            found = self.client.get_experiment_by_name(project)
            experiment = found.experiment_id if found else self.client.create_experiment(project)
        return self.client.create_run(experiment, run_name=name).info.run_id

    def scalars(self, values: Mapping[str, float], update: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_allowed(name), float(value), now, update) for name, value in values.items()]
        for first in range(0, len(metrics), 1000):  # the most that one request may hold
            self.client.log_batch(self.key, metrics=metrics[first : first + 1000])

    def flush(self) -> None:
        pass

    def close(self, finished: bool) -> None:
        self.client.set_terminated(self.key, "FINISHED" if finished else "KILLED")


class Trackio:
    """Trackio, on this machine (TRACKIO_DIR) or a Space (TRACKIO_SPACE_ID)."""

    def __init__(self, run: RunDirectory, start: int):
        with redirect_stdout(sys.stderr):  # stdout is for results
            import trackio

            self.tool = trackio
            self.run = trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", PROJECT),
                name=_key(run, "trackio", lambda: f"{_name(run)}-{uuid.uuid4().hex[:8]}"),  # resumed by its name
                config=run.identity(),
                resume="allow",
                embed=False,
            )

    def scalars(self, values: Mapping[str, float], update: int) -> None:
        self.run.log(dict(values), step=update)

    def flush(self) -> None:
        pass

    def close(self, finished: bool) -> None:
        with redirect_stdout(sys.stderr):
            self.tool.finish()


TRACKERS: dict[str, Callable[[RunDirectory, int], Tracker]] = {
    "tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow, "trackio": Trackio,
}  # fmt: skip


class Trackers:
    """Several trackers as one. One that fails is told of, once, and the others go on without it."""

    def __init__(self, opened: dict[str, Tracker]):
        self.opened = opened

    def scalars(self, values: Mapping[str, float], update: int) -> None:
        """Give every tracker these values of this update."""
        self._each(lambda tracker: tracker.scalars(values, update))

    def flush(self) -> None:
        """Write to disk what is kept so far."""
        self._each(lambda tracker: tracker.flush())

    def close(self, finished: bool) -> None:
        """Close them all; `finished` where the run reached its end."""
        self._each(lambda tracker: tracker.close(finished))
        self.opened = {}

    def _each(self, do: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.opened.items()):
            try:
                do(tracker)
            except Exception as error:  # whatever a network or a full disk may raise: training is worth more
                del self.opened[name]
                warnings.warn(f"{name} failed ({_reason(error)}); training goes on without it.", stacklevel=3)


def require_trackers(names: Sequence[str]) -> None:
    """Find out before anything is written whether these trackers can be opened.

    Raises:
        UserError: an unknown name, or a library that is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
        spec = find_spec(name)
        if spec is None or spec.origin is None:  # without an origin: a mere folder of that name, as wandb/ often is
            raise UserError(f"tracker {name!r} needs its library: pip install 'hcsac[track]'")
    if "mlflow" in names:
        _require_store()


def _require_store() -> None:
    import mlflow

    uri = mlflow.get_tracking_uri()
    if re.match(r"(sqlite|mysql|postgresql|mssql)\b", uri) and find_spec("sqlalchemy") is None:
        raise UserError(
            f"MLflow keeps runs in {uri}, which needs a library more: pip install sqlalchemy alembic; "
            "or set MLFLOW_TRACKING_URI to a server."
        )


def open_trackers(names: Sequence[str], run: RunDirectory, start: int) -> Trackers:
    """TensorBoard and these trackers, each told what the run is (`run.json`).

    Args:
        start: updates done before; later ones that a tracker holds are from an interrupted attempt.

    Raises:
        UserError: one of them cannot start.
    """
    trackers = Trackers({})
    for name in dict.fromkeys(("tensorboard", *names)):
        try:
            trackers.opened[name] = TRACKERS[name](run, start)
        except Exception as error:
            trackers.close(finished=False)
            raise UserError(
                f"cannot start {name} ({_reason(error)}); mend that or leave it out, and continue with --resume."
            ) from error
    return trackers


def _kept(run: RunDirectory) -> dict[str, Any]:
    return run.read_json(KEPT) if (run.path / KEPT).exists() else {}


def _key(run: RunDirectory, tracker: str, make: Callable[[], str]) -> str:
    """Under what the tracker knows this run: as kept, or made and kept now."""
    kept = _kept(run)
    if tracker not in kept:
        kept[tracker] = make()
        run.write_json(KEPT, kept)
    return kept[tracker]


def _name(run: RunDirectory) -> str:
    """Its path from here on, without `runs`: seed-0 alone would not tell the cells of a study apart."""
    path = run.path.resolve()
    parts = path.relative_to(Path.cwd()).parts if path.is_relative_to(Path.cwd()) else path.parts[-1:]
    return "/".join(parts[1:] if parts[0] == "runs" and len(parts) > 1 else parts)


def _allowed(name: str) -> str:
    """A name as MLflow takes it."""
    return re.sub(r"[^\w\-./ ]", "_", name)


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
