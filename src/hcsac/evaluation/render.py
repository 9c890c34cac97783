"""Episodes as pictures, drawn without a screen."""

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

PATIENCE = 120  # seconds that a way of drawing has for its first picture
NO_DRAWING = ("", "off", "disable", "disabled", "false", "0")  # words for MUJOCO_GL that mean none


class RenderUnavailable(UserError):
    """Nothing on this machine draws without a screen."""


@dataclass(frozen=True)
class View:
    """What the pictures show: size in pixels and camera (number or name); None is the environment's own choice."""

    width: int | None = None
    height: int | None = None
    camera: int | str | None = None


@dataclass(frozen=True)
class Frame:
    """A picture uint8 [H, W, 3], after how many steps, and the undiscounted return up to then."""

    image: np.ndarray
    step: int
    total: float


class Stage:
    """The process that plays and draws (see `hcsac.evaluation.render_process`), with MUJOCO_GL = `backend`."""

    def __init__(self, backend: str):
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hcsac.evaluation.render_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._noise, env=_environment(backend),
        )  # fmt: skip

    def send(self, **order: Any) -> None:
        """An order; whether it can be done is in the answer."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it is gone, and `answer` says so
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next line; `UserError` where it tells of one, RuntimeError for another error or a process that died."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise RuntimeError(self._end())
        told = json.loads(line)
        if "error" in told:
            raise (UserError if told["expected"] else RuntimeError)(told["error"])
        return told

    def picture(self) -> np.ndarray:
        """The picture that follows an answer, uint8 [H, W, 3]."""
        assert self._process.stdout is not None
        image = np.empty(self.answer()["shape"], np.uint8)
        if self._process.stdout.readinto(image.reshape(-1)) != image.size:  # type: ignore[attr-defined]
            raise RuntimeError(self._end())
        return image

    def within(self, seconds: float) -> threading.Timer:
        """A running clock that ends the process unless it is cancelled in time."""
        clock = threading.Timer(seconds, self._process.kill)
        clock.daemon = True
        clock.start()
        return clock

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._noise):
            with suppress(OSError):  # an order that nobody reads any more
                pipe.close()  # type: ignore[union-attr]

    def _end(self) -> str:
        status = self._process.wait()
        self._noise.seek(0)
        said = self._noise.read().decode(errors="replace").strip().splitlines()
        return f"its process ended with status {status}" + (f", {said[-1].strip()}" if said else "")


def candidates() -> list[str]:
    """Ways of drawing, the first one first: the user's own MUJOCO_GL, EGL, OSMesa."""
    own = os.environ.get("MUJOCO_GL", "").lower().strip()
    return list(dict.fromkeys([*([] if own in NO_DRAWING else [own]), "egl", "osmesa"]))


def probe(backend: str) -> str | None:
    """Draw a picture by MuJoCo in a process of its own: None if it comes, else what went wrong."""
    stage = Stage(backend)
    clock = stage.within(PATIENCE)
    try:
        stage.send(task=pack_task("walker-stand"), seed=0, **asdict(View()))
        stage.answer()
        return None if stage.picture().any() else "its picture is black"
    except (UserError, RuntimeError) as error:
        return str(error)
    finally:
        clock.cancel()
        stage.close()


def find_backend() -> str:
    """The first of `candidates` that draws; found once, then remembered.

    Raises:
        RenderUnavailable: none does; the sentence says why and what to install.
    """
    backend, reasons = _search(tuple(candidates()))
    if backend is None:
        raise RenderUnavailable(
            f"nothing on this machine draws without a screen ({reasons}); install EGL or OSMesa (Debian, Ubuntu: "
            "`apt-get install libegl1` or `apt-get install libosmesa6`), or set MUJOCO_GL to a way that works."
        )
    return backend


@cache
def _search(backends: tuple[str, ...]) -> tuple[str | None, str]:
    reasons = []
    for backend in backends:
        wrong = probe(backend)
        if wrong is None:
            return backend, ""
        reasons.append(f"{backend}: {wrong}")
    return None, "; ".join(reasons)


class Rollout:
    """One episode of a task, from the initial state of `seed`, drawn in another process while it is played.

    `act` tells the action [A] at an observation [S]. To be closed after use.

    Raises, here or when the first picture is asked for:
        RenderUnavailable: the environment cannot be drawn, and nothing on this machine draws without a screen.
        UserError: it cannot be drawn, or not as `view` asks.
    """

    def __init__(self, task: str, act: Callable[[np.ndarray], np.ndarray], seed: int, view: View | None = None):
        self.task, self._act = task, act
        packed = pack_task(task)
        self._missing: RenderUnavailable | None = None
        try:
            backend = find_backend()
        except RenderUnavailable as error:  # which no environment that draws without OpenGL minds
            backend, self._missing = "disabled", error
        self._stage = Stage(backend)
        self._stage.send(task=packed, seed=seed, **asdict(view or View()))

    @cached_property
    def _first(self) -> tuple[dict[str, Any], np.ndarray]:
        """Waited for when it is needed, so that several rollouts begin at once."""
        try:
            return self._stage.answer(), self._stage.picture()
        except (UserError, RuntimeError) as error:
            raise self._missing or self._told(error) from error

    @property
    def fps(self) -> float:
        """How many steps of the environment make a second; 30 where it does not say."""
        return self._first[0]["fps"] or 30

    def frames(self, count: int | None = None, every: int = 1) -> Iterator[Frame]:
        """The first `count` pictures, or those until the episode ends, of every `every`-th step; once only."""
        try:
            now, image = self._first
            step, total, shown = 0, 0.0, 0
            while True:
                drawn = step % every == 0
                shown += drawn
                last = now["over"] or shown == count
                if not last:
                    action = self._act(np.array(now["observation"], np.float32))
                    self._stage.send(action=np.asarray(action).tolist(), draw=(step + 1) % every == 0)
                if drawn:
                    yield Frame(self._stage.picture() if step else image, step, total)
                if last:
                    return
                now = self._stage.answer()
                step, total = step + 1, total + now["reward"]
        except RuntimeError as error:
            raise self._told(error) from error

    def close(self) -> None:
        """End the process."""
        self._stage.close()

    def _told(self, error: Exception) -> UserError:
        return error if isinstance(error, UserError) else UserError(f"task {self.task!r} cannot be drawn: {error}")


def _environment(backend: str) -> dict[str, str]:
    told = {**os.environ, "MUJOCO_GL": backend}
    told.pop("PYOPENGL_PLATFORM", None)  # left by another way of drawing
    told["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return told
