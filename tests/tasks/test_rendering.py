"""Which environments can be drawn and how, told before anything is drawn; tasks on their way to another process."""

import json

import gymnasium
import pytest

from hcsac.errors import UserError
from hcsac.tasks import (
    Task,
    get_task,
    make_env,
    make_rendering_env,
    pack_task,
    register_task,
    registry,
    unpack_task,
    walker_speed,
)
from tests.evaluation import drawing  # noqa: F401 (its tasks)


@pytest.fixture(autouse=True)
def _own_table(monkeypatch):
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))


def drawn(env):
    bare = env.unwrapped
    env.close()
    return (*bare._size, bare._camera)


def test_size_and_camera_of_the_walker():
    walker_speed("strolling", 0.5)
    assert drawn(make_env("walker-walk")) == (320, 240, 0)
    assert drawn(make_rendering_env("walker-walk")) == (480, 360, 0)
    assert drawn(make_rendering_env("walker-run", 640, 480, "back")) == (640, 480, 1)
    assert drawn(make_rendering_env("strolling", height=200, camera=-1)) == (480, 200, -1)
    assert make_env("walker-walk").metadata["render_fps"] == 40


@pytest.mark.parametrize(
    ("task", "view", "says"),
    [
        ("walker-walk", {"width": 642}, r"642x360 pixels.*allows 1x1 to 640x480"),
        ("walker-walk", {"height": 0}, "480x0 pixels"),
        ("walker-walk", {"camera": "sid"}, "unknown camera 'sid'; did you mean 'side'"),
        ("walker-walk", {"camera": 2}, r"camera 2 does not exist; choose one from -1 \(free\) to 1"),
        ("slide-left", {}, "add the render mode 'rgb_array'"),
        ("drawn", {"width": 64}, "renders at its own size"),
        ("drawn", {"camera": 0}, "renders at its own size"),
    ],
)
def test_what_cannot_be_drawn_so(task, view, says):
    with pytest.raises(UserError, match=says):
        make_rendering_env(task, **view)


def test_one_camera_only():
    with pytest.raises(UserError, match="give one"):
        make_env("walker-walk", camera_id=0, camera_name="side")


def test_gymnasiums_own_environments_draw_too():
    register_task(Task("car", "MountainCarContinuous-v0"))
    env = make_rendering_env("car")
    assert env.render_mode == "rgb_array"
    env.close()


def test_a_task_travels_as_text(monkeypatch):
    packed = pack_task("drawn-right")
    monkeypatch.setattr(registry.TASKS, "_items", {})
    monkeypatch.delitem(gymnasium.registry, "tests/drawn-right-v0")
    assert unpack_task(packed) == "drawn-right"
    env = make_env("drawn-right")
    assert (env.unwrapped.sign, env.spec.max_episode_steps) == (-1, 12)
    assert unpack_task(pack_task("walker-speed:2.5")) == "walker-speed:2.5"
    assert get_task("walker-speed:2.5").kwargs == {"speed": 2.5}


def test_what_cannot_travel():
    register_task(Task("odd", "tests/drawn-v0", {"fault": object()}))
    with pytest.raises(UserError, match="are no JSON values"):
        pack_task("odd")
    gymnasium.register("tests/called-v0", lambda: None)
    register_task(Task("called", "tests/called-v0"))
    assert json.loads(pack_task("called"))["spec"] is None  # another process may know it by its module
    with pytest.raises(UserError, match="did you mean 'drawn'"):
        pack_task("drawm")
