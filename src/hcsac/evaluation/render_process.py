"""A process that steps and renders one environment: `python -m hcsac.evaluation.render_process`.

MuJoCo chooses its rendering backend from MUJOCO_GL once, when it is imported, and a process that trains or evaluates
has imported it without one. A backend that does not work may also kill its process, which must not be the user's.

Requests are lines of JSON on stdin: `{"task", "seed", "width", "height", "camera"}` starts an episode, `{"action",
"render"}` is a step. The response to each is a line `{"observation", "reward", "done", "fps"}` and, where an image is
requested, a second one, `{"shape"}`, and the bytes. The response to a request that fails is `{"error", "expected"}`.
"""

import json
import os
import sys
from typing import Any, BinaryIO

import gymnasium
import numpy as np

from hcsac.errors import UserError
from hcsac.tasks import make_rendering_env, unpack_task


class RenderServer:
    """Responds to one request after another on `out`."""

    def __init__(self, out: BinaryIO):
        self.out = out
        self.env: gymnasium.Env | None = None

    def handle(self, request: dict[str, Any]) -> None:
        """Respond to a request, with an error where it fails."""
        try:
            if "task" in request:
                self._start(request)
            else:
                self._step(request["action"], request["render"])
        except Exception as error:
            expected, text = isinstance(error, UserError), " ".join(str(error).split())
            self._send({"error": text if expected else f"{type(error).__name__}: {text}", "expected": expected})

    def close(self) -> None:
        """Close the environment."""
        if self.env is not None:
            self.env.close()

    def _start(self, request: dict[str, Any]) -> None:
        if self.env is not None:
            self.env.close()
        self.env = make_rendering_env(
            unpack_task(request["task"]), request["width"], request["height"], request["camera"]
        )
        observation, _ = self.env.reset(seed=request["seed"])
        self._send_step(observation, 0.0, False)
        self._send_image()

    def _step(self, action: list[float], render: bool) -> None:
        assert self.env is not None
        observation, reward, terminated, truncated, _ = self.env.step(np.array(action, np.float32))
        self._send_step(observation, float(reward), bool(terminated or truncated))  # first: the policy acts meanwhile
        if render:
            self._send_image()

    def _send(self, response: dict[str, Any]) -> None:
        self.out.write(json.dumps(response).encode() + b"\n")
        self.out.flush()

    def _send_step(self, observation: np.ndarray, reward: float, done: bool) -> None:
        assert self.env is not None
        values = np.asarray(observation, np.float32).tolist()
        fps = self.env.metadata.get("render_fps")
        self._send({"observation": values, "reward": reward, "done": done, "fps": fps})

    def _send_image(self) -> None:
        assert self.env is not None
        image = np.asarray(self.env.render())
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise UserError(
                f"the environment renders {image.dtype} {list(image.shape)}; its render() must return uint8 [H, W, 3]."
            )
        self._send({"shape": image.shape})
        self.out.write(np.ascontiguousarray(image).data)
        self.out.flush()


def main() -> None:
    """Serve requests until stdin is closed."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not mix with the responses
    server = RenderServer(out)
    for line in sys.stdin.buffer:
        server.handle(json.loads(line))
    server.close()


if __name__ == "__main__":
    main()
