"""What the drawing process answers, line by line, without the process."""

import io
import json

import numpy as np
import pytest

from hcsac.evaluation.render_process import Player
from hcsac.tasks import make_env, pack_task
from tests.evaluation import drawing  # noqa: F401 (its tasks)


def order(task):
    return {"task": pack_task(task), "seed": 4, "width": None, "height": None, "camera": None}


def answers(out):
    out.seek(0)
    said = json.loads(out.readline())
    shape = json.loads(out.readline() or "{}").get("shape")
    image = np.frombuffer(out.read(), np.uint8).reshape(shape) if shape else None
    out.seek(0)
    out.truncate()
    return said, image


def test_observations_arrive_to_the_bit_and_pictures_on_demand():
    out = io.BytesIO()
    player, env = Player(out), make_env("drawn")
    player.obey(order("drawn"))
    said, image = answers(out)
    np.testing.assert_array_equal(np.array(said["observation"], np.float32), env.reset(seed=4)[0])
    assert (said["reward"], said["over"], said["fps"], image.shape) == (0, False, 10, (31, 64, 3))
    for step in range(1, 13):
        action = np.array([0.1, -0.3], np.float32)
        player.obey({"action": action.tolist(), "draw": step % 2 == 0})
        said, image = answers(out)
        observation, reward, _, over, _ = env.step(action)
        np.testing.assert_array_equal(np.array(said["observation"], np.float32), observation)
        assert (said["reward"], said["over"]) == (reward, over)
        assert (image is not None) == (step % 2 == 0)
    assert over
    player.obey(order("drawn-right"))
    assert answers(out)[1].max() == 0
    player.close()


@pytest.mark.parametrize(
    ("task", "says", "expected"),
    [
        ("drawn-float", "the environment draws float64 [4, 4, 3], but a picture is uint8 [H, W, 3].", True),
        ("drawn-raises", "ValueError: no brush", False),
    ],
)
def test_what_goes_wrong_is_said_on_one_line(task, says, expected):
    out = io.BytesIO()
    Player(out).obey(order(task))
    assert json.loads(out.getvalue().splitlines()[-1]) == {"error": says, "expected": expected}
