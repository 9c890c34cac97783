"""A process of its own in which one environment plays and draws itself: `python -m hcsac.evaluation.render_process`.

MuJoCo chooses its way of drawing from MUJOCO_GL, once, when it is imported; a process that trains or evaluates has
imported it for no drawing at all. A way that does not work may also kill the process, which then is not the user's.

It reads lines of JSON from stdin: `{"task", "seed", "width", "height", "camera"}` begins an episode, `{"action",
"draw"}` is a step. It answers each with a line, `{"observation", "reward", "over", "fps"}`, and, where a picture is
wanted, with a second one, `{"shape"}`, and the bytes. `{"error", "expected"}` is the answer to what cannot be done.
"""

import json
import os
import sys
from typing import Any, BinaryIO

import gymnasium
import numpy as np

from hcsac.errors import UserError
from hcsac.tasks import make_rendering_env, unpack_task


class Player:
    """Answers one line after another."""

    def __init__(self, out: BinaryIO):
        self.out = out
        self.env: gymnasium.Env | None = None

    def obey(self, order: dict[str, Any]) -> None:
        """Answer an order, or say why it cannot be done."""
        try:
            self._begin(order) if "task" in order else self._step(order["action"], order["draw"])
        except Exception as error:
            expected, text = isinstance(error, UserError), " ".join(str(error).split())
            self._say({"error": text if expected else f"{type(error).__name__}: {text}", "expected": expected})

    def close(self) -> None:
        """Free the environment."""
        if self.env is not None:
            self.env.close()

    def _begin(self, order: dict[str, Any]) -> None:
        if self.env is not None:
            self.env.close()
        self.env = make_rendering_env(unpack_task(order["task"]), order["width"], order["height"], order["camera"])
        observation, _ = self.env.reset(seed=order["seed"])
        self._tell(observation, 0.0, False)
        self._draw()

    def _step(self, action: list[float], draw: bool) -> None:
        assert self.env is not None
        observation, reward, terminated, truncated, _ = self.env.step(np.array(action, np.float32))
        self._tell(observation, float(reward), bool(terminated or truncated))  # what to do next, while this is drawn
        if draw:
            self._draw()

    def _say(self, line: dict[str, Any]) -> None:
        self.out.write(json.dumps(line).encode() + b"\n")
        self.out.flush()

    def _tell(self, observation: np.ndarray, reward: float, over: bool) -> None:
        assert self.env is not None
        fps = self.env.metadata.get("render_fps")
        told = np.asarray(observation, np.float32).tolist()
        self._say({"observation": told, "reward": reward, "over": over, "fps": fps})

    def _draw(self) -> None:
        assert self.env is not None
        picture = np.asarray(self.env.render())
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise UserError(
                f"the environment draws {picture.dtype} {list(picture.shape)}, but a picture is uint8 [H, W, 3]."
            )
        self._say({"shape": picture.shape})
        self.out.write(np.ascontiguousarray(picture).data)
        self.out.flush()


def main() -> None:
    """Play until nobody asks any more."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    player = Player(out)
    for line in sys.stdin.buffer:
        player.obey(json.loads(line))
    player.close()


if __name__ == "__main__":
    main()
