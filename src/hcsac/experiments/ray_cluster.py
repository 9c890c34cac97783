"""Cells on a Ray cluster that is running already: one task a cell, on whichever node has room."""

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
from hcsac.experiments.record import FILE
from hcsac.experiments.scheduler import Ended, updates_done
from hcsac.experiments.storage import Mirror
from hcsac.experiments.study_run import Cell
from hcsac.experiments.worker import outcome
from hcsac.training import RunDirectory

SAID_EVERY = 2  # seconds between two words of a running cell
_HANDED_ON = ("HCSAC_TASKS", "MINARI_DATASETS_PATH", "WANDB_", "MLFLOW_", "TRACKIO_")  # variables that begin so


class RayLauncher:
    """Runs cells as tasks of a Ray cluster.

    A cell whose node dies ends as `lost`. One that kills its own process has failed, as on this machine.

    Args:
        address: `auto` for the cluster that this machine is part of, or HOST:PORT of its head.
        output: the folder of the study. Without a mirror every node must see it under the same path.
        mirror: of `output`, where the study is kept in a storage.
        cpus: cores of a cell, and its threads.
        gpus: GPUs of a cell; 0.5 lets two share one.
        jobs: cells at once, at most (default: as many as the nodes have room for).
        trackers: where the cells' numbers go besides TensorBoard.

    Raises:
        UserError: ray is not installed, there is no such cluster, or no node of it has room for a cell.
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
            raise UserError(f"--gpus-per-cell {gpus:g}: only a GPU that is shared can be a part; give a whole number.")
        self._ray = _connected(address)
        self.output, self.mirror, self.cpus, self.gpus, self.jobs = output, mirror, cpus, gpus, jobs
        self.trackers = tuple(trackers)
        if not self._room():
            self._ray.shutdown()
            raise UserError(
                f"no node of the Ray cluster {address} has {cpus} CPUs and {gpus:g} GPUs for a cell; "
                "choose a smaller --cpus-per-cell or --gpus-per-cell, or add a node."
            )
        self._board = _board(self._ray)
        # Never tried again by Ray itself: `run_cells` counts attempts and losses, and tells the log of each.
        self._work = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_work)
        self._running: dict[Any, Cell] = {}
        self._said: dict[str, tuple[int, str]] = {}

    @property
    def slots(self) -> int:
        """See `Launcher`. Nodes that join or leave the cluster change it."""
        return max(1, min(self._room(), self.jobs or self._room()))

    def start(self, cell: Cell) -> None:
        """See `Launcher`."""
        # Paths from here on are the worker's own; settings travel as plain JSON, as they stand in the study's record.
        held = cell.as_dict(self.output)
        place = str(self.output.resolve()) if self.mirror is None else self.mirror.url
        handed_on = {name: value for name, value in os.environ.items() if name.startswith(_HANDED_ON)}
        if not self.gpus:  # Ray itself would let the cell see all
            handed_on["CUDA_VISIBLE_DEVICES"] = ""
        arguments = (held, place, self.mirror is not None, self.trackers, version("hcsac"), self.cpus, handed_on)
        self._running[self._work.remote(*arguments, self._board)] = cell

    def ended(self, seconds: float) -> list[Ended]:
        """See `Launcher`."""
        from ray.exceptions import GetTimeoutError, NodeDiedError, RayError

        done, _ = self._ray.wait(list(self._running), timeout=seconds)
        with suppress(GetTimeoutError, RayError):  # the bar stands still for a moment then, nothing else
            self._said = self._ray.get(self._board.read.remote(), timeout=10)
        ends = []
        for reference in done:
            cell = self._running.pop(reference)
            node = self._said.get(self._key(cell), (0, ""))[1]
            try:
                error, hopeless = self._ray.get(reference)
                ends.append(Ended(cell, error, hopeless, node=node))
            except NodeDiedError as error:
                ends.append(Ended(cell, str(error), lost=True, node=node))
            except RayError as error:
                ends.append(Ended(cell, f"its process on node {node or '?'} ended: {error}", node=node))
        return ends

    def updates_of(self, cell: Cell) -> int:
        """See `Launcher`."""
        return self._said.get(self._key(cell), (0, ""))[0]

    def close(self) -> None:
        """See `Launcher`."""
        if self._running:
            for reference in self._running:
                self._ray.cancel(reference, force=True)
            # Nothing may still write when the same command is given again.
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=20)
            self._running.clear()
        self._ray.shutdown()

    def _room(self) -> int:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        wanted = {"CPU": float(self.cpus), "GPU": float(self.gpus)}
        fits = [
            [node.get(kind, 0) / count + 1e-9 for kind, count in wanted.items() if count]  # 1 / 0.1 is 10 cells, not 9
            for node in nodes
        ]
        return sum(int(min(counts)) for counts in fits)

    def _key(self, cell: Cell) -> str:
        return cell.path.relative_to(self.output).as_posix()


def gpus_for(cells: Sequence[Cell]) -> int:
    """GPUs that a cell asks for unless told otherwise: one where a cell trains on `cuda`."""
    return int(any(cell.settings.device == "cuda" for cell in cells))


def _connected(address: str | None) -> Any:
    """The module ray, connected to the cluster."""
    try:
        import ray
    except ImportError as error:
        raise UserError("--launcher ray needs Ray, which is not installed; pip install 'hcsac[ray]'.") from error
    if address in (None, "", "local"):
        raise UserError(
            "--launcher ray runs on a cluster that is there already; give --address auto on one of its machines, or "
            "--address HOST:PORT of its head (`ray start --head` starts one)."
        )
    if address != "auto":
        _require_reachable(str(address))
    try:
        # A driver keeps nothing in the object store: the cells' data and results travel by the study's storage.
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"cannot join the Ray cluster at {address} ({str(error).strip().splitlines()[0]}); run this on a machine "
            "that `ray start` made part of it."
        ) from error
    return ray


def _require_reachable(address: str) -> None:
    """Raise `UserError` at once, where Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise UserError(f"--address {address!r} is not auto or HOST:PORT of the cluster's head, as in 10.0.0.1:6379.")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UserError(
            f"nothing answers at {address} ({error}); give the HOST:PORT that `ray start --head` printed."
        ) from error


def _board(ray: Any) -> Any:
    """An actor on the driver's own node that keeps what the running cells say of themselves."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    class Board:  # defined here, so that its process need not import torch
        def __init__(self) -> None:
            self.said: dict[str, tuple[int, str]] = {}

        def say(self, cell: str, updates: int, node: str) -> None:
            self.said[cell] = updates, node

        def read(self) -> dict[str, tuple[int, str]]:
            return self.said

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Board).options(num_cpus=0, scheduling_strategy=here).remote()


def _work(
    held: dict[str, Any], place: str, is_storage: bool, trackers: tuple[str, ...], hcsac: str, threads: int,
    environment: dict[str, str], board: Any,
) -> tuple[str | None, bool]:  # fmt: skip
    """A task: runs the cell `held` of the study in `place`; see `outcome`."""
    import ray

    os.environ.update(environment)
    torch.set_num_threads(threads)
    node = ray.get_runtime_context().get_node_id()
    if version("hcsac") != hcsac:
        return f"node {node} has hcsac {version('hcsac')}, but the driver {hcsac}; install the same on all.", True
    with tempfile.TemporaryDirectory(prefix="hcsac-", ignore_cleanup_errors=True) as scratch:
        root = Path(scratch if is_storage else place)
        if not is_storage and not (root / FILE).exists():
            return f"node {node} does not see {place}; give as --output a folder that all nodes share, or a URL.", True
        cell = Cell.from_dict(held, root)
        mirror = Mirror(place, root).below(cell.path) if is_storage else None
        over = threading.Event()

        def say() -> None:
            while True:
                board.say.remote(held["path"], updates_done(RunDirectory(cell.path)), node)
                if over.wait(SAID_EVERY):
                    return

        thread = threading.Thread(target=say, daemon=True)
        thread.start()
        try:
            return outcome(cell, mirror, trackers)
        finally:
            over.set()
            thread.join()
