"""Runs of a study on a Ray cluster that was started before: one task per run, on any node with free resources."""

import logging
import os
import socket
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from hcsac.errors import UserError
from hcsac.experiments.record import record_path
from hcsac.experiments.scheduler import RunResult
from hcsac.experiments.storage import Mirror
from hcsac.experiments.study_run import StudyRun
from hcsac.experiments.worker import execute
from hcsac.training import RunDirectory, updates_done

REPORT_INTERVAL = 2  # seconds between two progress reports of a run
# Environment variables with these prefixes are passed to the tasks.
_PASSED_ON = ("HCSAC_PLUGINS", "HCSAC_TASKS", "MINARI_DATASETS_PATH", "WANDB_", "MLFLOW_", "TRACKIO_")


class RayLauncher:
    """Executes runs as tasks of a Ray cluster.

    A run whose node goes away ends as `lost`. A run whose process is killed has failed, as on this machine.

    Args:
        address: `auto` for the cluster that this machine is a node of, or HOST:PORT of the head node.
        output: the directory of the study. Without a mirror every node must see it under the same path.
        mirror: of `output`, for a study kept in a storage.
        cpus: cores of each run, and its threads.
        gpus: GPUs of each run; 0.5 lets two runs share one.
        jobs: runs at once, at most (default: as many as the nodes have room for).
        trackers: trackers of the runs besides TensorBoard.

    Raises:
        UserError: Ray is not installed, there is no such cluster, or no node has the resources of a run.
    """

    def __init__(
        self,
        address: str | None,
        output: Path,
        mirror: Mirror | None = None,
        cpus: int = 1,
        gpus: float = 0,
        jobs: int | None = None,
        trackers: Sequence[str] = (),
    ):
        if gpus > 1 and gpus % 1:
            raise UserError(f"--gpus-per-run {gpus:g}: only fractions below 1 can share a GPU; give a whole number.")
        self._ray = _connected(address)
        self.output, self.mirror, self.cpus, self.gpus, self.jobs = output, mirror, cpus, gpus, jobs
        self.trackers = tuple(trackers)
        if not self._capacity():
            self._ray.shutdown()
            raise UserError(
                f"no node of the Ray cluster {address} has {cpus} CPUs and {gpus:g} GPUs for a run; "
                "choose a smaller --cpus-per-run or --gpus-per-run, or add a node."
            )
        self._monitor = _monitor(self._ray)
        # Ray itself never retries: `run_all` counts attempts and losses and writes each to the log.
        self._work = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_work)
        self._running: dict[Any, StudyRun] = {}
        self._progress: dict[str, tuple[int, str]] = {}

    @property
    def slots(self) -> int:
        """See `Launcher`. It changes as nodes join or leave the cluster."""
        return max(1, min(self._capacity(), self.jobs or self._capacity()))

    def start(self, run: StudyRun) -> None:
        """See `Launcher`."""
        # Each worker has its own root directory; settings travel as JSON, as they stand in the study's record.
        content = run.as_dict(self.output)
        root = str(self.output.resolve()) if self.mirror is None else self.mirror.url
        environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
        if not self.gpus:  # Ray would make all GPUs visible to the task
            environment["CUDA_VISIBLE_DEVICES"] = ""
        arguments = (content, root, self.mirror is not None, self.trackers, version("hcsac"), self.cpus, environment)
        self._running[self._work.remote(*arguments, self._monitor)] = run

    def results(self, seconds: float) -> list[RunResult]:
        """See `Launcher`."""
        from ray.exceptions import GetTimeoutError, NodeDiedError, RayError

        ready, _ = self._ray.wait(list(self._running), timeout=seconds)
        with suppress(GetTimeoutError, RayError):  # only the progress bar lags behind then
            self._progress = self._ray.get(self._monitor.read.remote(), timeout=10)
        results = []
        for reference in ready:
            run = self._running.pop(reference)
            node = self._progress.get(self._key(run), (0, ""))[1]
            try:
                error, permanent = self._ray.get(reference)
                results.append(RunResult(run, error, permanent, node=node))
            except NodeDiedError as error:
                results.append(RunResult(run, str(error), lost=True, node=node))
            except RayError as error:
                message = f"worker process on node {node or '?'} ended: {error}"
                results.append(RunResult(run, message, node=node))
        return results

    def updates_of(self, run: StudyRun) -> int:
        """See `Launcher`."""
        return self._progress.get(self._key(run), (0, ""))[0]

    def close(self) -> None:
        """See `Launcher`."""
        if self._running:
            for reference in self._running:
                self._ray.cancel(reference, force=True)
            # No task may still write when the same command is given again.
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=20)
            self._running.clear()
        self._ray.shutdown()

    def _capacity(self) -> int:
        """How many runs fit on the nodes at once."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        needed = {"CPU": float(self.cpus), "GPU": float(self.gpus)}
        fits = [
            [node.get(kind, 0) / count + 1e-9 for kind, count in needed.items() if count]  # 1 / 0.1 is 10 runs, not 9
            for node in nodes
        ]
        return sum(int(min(counts)) for counts in fits)

    def _key(self, run: StudyRun) -> str:
        return run.path.relative_to(self.output).as_posix()


def gpus_for(runs: Sequence[StudyRun]) -> int:
    """Default number of GPUs per run: 1 if a run has `device = "cuda"`, else 0."""
    return int(any(run.settings.device == "cuda" for run in runs))


def _connected(address: str | None) -> Any:
    """The module ray, connected to the cluster."""
    try:
        import ray
    except ImportError as error:
        raise UserError("--launcher ray needs Ray, which is not installed; pip install 'hcsac[ray]'.") from error
    if address in (None, "", "local"):
        raise UserError(
            "--launcher ray needs a running cluster; give --address auto on one of its nodes, or --address HOST:PORT "
            "of its head node (`ray start --head` starts one)."
        )
    if address != "auto":
        _require_reachable(str(address))
    try:
        # The driver uses no object store: data and results of the runs travel by the study's storage.
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"cannot connect to the Ray cluster at {address} ({str(error).strip().splitlines()[0]}); run this on a "
            "machine that `ray start` made a node of it."
        ) from error
    return ray


def _require_reachable(address: str) -> None:
    """Raise `UserError` at once, where Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise UserError(f"--address {address!r} is not auto or HOST:PORT of the head node, as in 10.0.0.1:6379.")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UserError(
            f"nothing answers at {address} ({error}); give the HOST:PORT that `ray start --head` printed."
        ) from error


def _monitor(ray: Any) -> Any:
    """An actor on the driver's own node that collects the progress of the tasks."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    class Monitor:  # defined here, so that its process need not import torch
        def __init__(self) -> None:
            self.progress: dict[str, tuple[int, str]] = {}

        def report(self, run: str, updates: int, node: str) -> None:
            self.progress[run] = updates, node

        def read(self) -> dict[str, tuple[int, str]]:
            return self.progress

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Monitor).options(num_cpus=0, scheduling_strategy=here).remote()


def _work(
    content: dict[str, Any],
    root_or_url: str,
    is_storage: bool,
    trackers: tuple[str, ...],
    hcsac: str,
    threads: int,
    environment: dict[str, str],
    monitor: Any,
) -> tuple[str | None, bool]:
    """A task: executes the run `content` of a study; see `worker.execute`."""
    import ray

    os.environ.update(environment)
    torch.set_num_threads(threads)
    node = ray.get_runtime_context().get_node_id()
    if version("hcsac") != hcsac:
        message = f"node {node} has hcsac {version('hcsac')}, but the driver {hcsac}; install the same on all."
        return message, True
    with tempfile.TemporaryDirectory(prefix="hcsac-", ignore_cleanup_errors=True) as scratch:
        root = Path(scratch if is_storage else root_or_url)
        if not is_storage and not record_path(root).exists():
            message = f"node {node} does not see {root}; give as --output a directory that all nodes share, or a URL."
            return message, True
        run = StudyRun.from_dict(content, root)
        mirror = Mirror(root_or_url, root).below(run.path) if is_storage else None
        stopped = threading.Event()

        def report() -> None:
            while True:
                monitor.report.remote(content["path"], updates_done(RunDirectory(run.path)), node)
                if stopped.wait(REPORT_INTERVAL):
                    return

        thread = threading.Thread(target=report, daemon=True)
        thread.start()
        try:
            return execute(run, mirror, trackers)
        finally:
            stopped.set()
            thread.join()
