"""Episodes rendered to images, without a display."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from hcsac.errors import UserError
from hcsac.tasks import pack_task

TIMEOUT = 120  # seconds that a backend has for its first image
NO_BACKEND = ("", "off", "disable", "disabled", "false", "0")  # values of MUJOCO_GL that mean none


class RenderUnavailable(UserError):
    """No rendering backend works on this machine."""


@dataclass(frozen=True)
class View:
    """Size of the images in pixels, and camera (number or name); None is the environment's own choice."""

    width: int | None = None
    height: int | None = None
    camera: int | str | None = None


@dataclass(frozen=True)
class Frame:
    """An image uint8 [H, W, 3], the number of steps before it, and the undiscounted return up to it."""

    image: np.ndarray
    step: int
    total: float


class RenderProcess:
    """The process that steps and renders (see `hcsac.evaluation.render_process`), with MUJOCO_GL = `backend`."""

    def __init__(self, backend: str):
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hcsac.evaluation.render_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env=_environment(backend),
        )  # fmt: skip

    def send(self, **request: Any) -> None:
        """Send a request; its errors are in the response."""
        assert self._process.stdin is not None
        with suppress(OSError):  # the process is gone: `receive` raises that
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """The next response.

        Raises:
            UserError: the request failed with one.
            RuntimeError: it failed with another error, or the process died.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise RuntimeError(self._exit_message())
        response = json.loads(line)
        if "error" in response:
            raise (UserError if response["expected"] else RuntimeError)(response["error"])
        return response

    def receive_image(self) -> np.ndarray:
        """The image that follows a response, uint8 [H, W, 3]; errors as `receive`."""
        assert self._process.stdout is not None
        image = np.empty(self.receive()["shape"], np.uint8)
        if self._process.stdout.readinto(image.reshape(-1)) != image.size:  # type: ignore[attr-defined]
            raise RuntimeError(self._exit_message())
        return image

    def kill_after(self, seconds: float) -> threading.Timer:
        """A running timer that kills the process unless it is cancelled in time."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        return timer

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            with suppress(OSError):  # a request that was not read
                pipe.close()  # type: ignore[union-attr]

    def _exit_message(self) -> str:
        status = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"the render process exited with status {status}" + (f", {lines[-1].strip()}" if lines else "")


def backends() -> list[str]:
    """Rendering backends in the order in which they are tried: the user's own MUJOCO_GL, EGL, OSMesa."""
    own = os.environ.get("MUJOCO_GL", "").lower().strip()
    return list(dict.fromkeys([*([] if own in NO_BACKEND else [own]), "egl", "osmesa"]))


def probe(backend: str) -> str | None:
    """Render one MuJoCo image in a process with this backend: None if that works, else what went wrong."""
    process = RenderProcess(backend)
    timer = process.kill_after(TIMEOUT)
    try:
        process.send(task=pack_task("walker-stand"), seed=0, **asdict(View()))
        process.receive()
        return None if process.receive_image().any() else "the image is black"
    except (UserError, RuntimeError) as error:
        return str(error)
    finally:
        timer.cancel()
        process.close()


def find_backend() -> str:
    """The first of `backends` that works; searched for once, then cached.

    Raises:
        RenderUnavailable: none does; the message says why and what to install.
    """
    backend, reasons = _search(tuple(backends()))
    if backend is None:
        raise RenderUnavailable(
            f"no rendering backend works on this machine ({reasons}); install EGL or OSMesa (Debian, Ubuntu: "
            "`apt-get install libegl1` or `apt-get install libosmesa6`), or set MUJOCO_GL to a backend that works."
        )
    return backend


@cache
def _search(names: tuple[str, ...]) -> tuple[str | None, str]:
    reasons = []
    for backend in names:
        error = probe(backend)
        if error is None:
            return backend, ""
        reasons.append(f"{backend}: {error}")
    return None, "; ".join(reasons)


class Rollout:
    """One episode of a task, from the initial state of `seed`, stepped and rendered in another process.

    `act` maps an observation [S] to an action [A]. Call `close` after use.

    Raises, here or when the first frame is read:
        RenderUnavailable: the environment needs a rendering backend, and none works on this machine.
        UserError: the environment cannot be rendered, or not with this `view`.
    """

    def __init__(self, task: str, act: Callable[[np.ndarray], np.ndarray], seed: int, view: View | None = None):
        self.task, self._act = task, act
        packed = pack_task(task)
        self._unavailable: RenderUnavailable | None = None
        try:
            backend = find_backend()
        except RenderUnavailable as error:  # environments that render without OpenGL need none
            backend, self._unavailable = "disabled", error
        self._process = RenderProcess(backend)
        self._process.send(task=packed, seed=seed, **asdict(view or View()))

    @cached_property
    def _first(self) -> tuple[dict[str, Any], np.ndarray]:
        """Received when it is needed, so that several rollouts start at once."""
        try:
            return self._process.receive(), self._process.receive_image()
        except (UserError, RuntimeError) as error:
            raise self._unavailable or self._error(error) from error

    @property
    def fps(self) -> float:
        """Steps of the environment per second of simulated time; 30 where its metadata has no `render_fps`."""
        return self._first[0]["fps"] or 30

    def frames(self, count: int | None = None, every: int = 1) -> Iterator[Frame]:
        """The first `count` frames, or all until the episode ends, of every `every`-th step; can be read once."""
        try:
            response, image = self._first
            step, total, rendered = 0, 0.0, 0
            while True:
                render = step % every == 0
                rendered += render
                last = response["done"] or rendered == count
                if not last:
                    action = self._act(np.array(response["observation"], np.float32))
                    self._process.send(action=np.asarray(action).tolist(), render=(step + 1) % every == 0)
                if render:
                    yield Frame(self._process.receive_image() if step else image, step, total)
                if last:
                    return
                response = self._process.receive()
                step, total = step + 1, total + response["reward"]
        except RuntimeError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def _error(self, error: Exception) -> UserError:
        return error if isinstance(error, UserError) else UserError(f"task {self.task!r} cannot be rendered: {error}")


def _environment(backend: str) -> dict[str, str]:
    """The environment variables of the process."""
    variables = {**os.environ, "MUJOCO_GL": backend}
    variables.pop("PYOPENGL_PLATFORM", None)  # of another backend
    variables["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return variables
