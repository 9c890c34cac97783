"""The responses of the render process, without the process."""

import io
import json

import numpy as np
import pytest

from hcsac.evaluation.render_process import RenderServer
from hcsac.tasks import make_env, pack_task
from tests.evaluation import drawing  # noqa: F401 (its tasks)


def request(task):
    return {"task": pack_task(task), "seed": 4, "width": None, "height": None, "camera": None}


def response(out):
    out.seek(0)
    content = json.loads(out.readline())
    shape = json.loads(out.readline() or "{}").get("shape")
    image = np.frombuffer(out.read(), np.uint8).reshape(shape) if shape else None
    out.seek(0)
    out.truncate()
    return content, image


def test_observations_are_exact_and_images_are_sent_on_request():
    out = io.BytesIO()
    server, env = RenderServer(out), make_env("drawn")
    server.handle(request("drawn"))
    content, image = response(out)
    np.testing.assert_array_equal(np.array(content["observation"], np.float32), env.reset(seed=4)[0])
    assert (content["reward"], content["done"], content["fps"], image.shape) == (0, False, 10, (31, 64, 3))
    for step in range(1, 13):
        action = np.array([0.1, -0.3], np.float32)
        server.handle({"action": action.tolist(), "render": step % 2 == 0})
        content, image = response(out)
        observation, reward, _, done, _ = env.step(action)
        np.testing.assert_array_equal(np.array(content["observation"], np.float32), observation)
        assert (content["reward"], content["done"]) == (reward, done)
        assert (image is not None) == (step % 2 == 0)
    assert done
    server.handle(request("drawn-right"))
    assert response(out)[1].max() == 0
    server.close()


@pytest.mark.parametrize(
    ("task", "says", "expected"),
    [
        ("drawn-float", "the environment renders float64 [4, 4, 3]; its render() must return uint8 [H, W, 3].", True),
        ("drawn-raises", "ValueError: no brush", False),
    ],
)
def test_an_error_is_one_line(task, says, expected):
    out = io.BytesIO()
    RenderServer(out).handle(request(task))
    assert json.loads(out.getvalue().splitlines()[-1]) == {"error": says, "expected": expected}
