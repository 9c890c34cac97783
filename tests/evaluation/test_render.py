"""Rendered rollouts: the same episodes as in evaluation, and one sentence for what cannot be rendered."""

from contextlib import closing
from functools import partial

import numpy as np
import pytest

from hcsac.errors import UserError
from hcsac.evaluation import FIRST_SEED, Evaluator, RenderUnavailable, Rollout, View, find_backend, render
from hcsac.evaluation.video import Video
from hcsac.tasks import pack_task
from tests.evaluation import drawing  # noqa: F401 (its tasks)
from tests.evaluation.test_video import decoded


def pushing(observation):
    return np.tanh(observation[:2]).astype(np.float32)


def rendered(task, count=None, every=1, act=pushing, **view):
    with closing(Rollout(task, act, FIRST_SEED, View(**view))) as rollout:
        return list(rollout.frames(count, every))


@pytest.fixture
def probes(monkeypatch):
    """A fake probe: the backends that work, and those that were tried."""
    working, tried = set(), []

    def probe(backend):
        tried.append(backend)
        return None if backend in working else "no library"

    monkeypatch.setattr(render, "probe", probe)
    render._search.cache_clear()
    yield working, tried
    render._search.cache_clear()


@pytest.fixture
def without_gl(monkeypatch):
    """Light environments need no backend: do not search for one."""
    monkeypatch.setattr(render, "find_backend", lambda: "disabled")


@pytest.mark.parametrize(
    ("own", "working", "found", "order"),
    [
        (None, {"egl", "osmesa"}, "egl", ["egl"]),
        (None, {"osmesa"}, "osmesa", ["egl", "osmesa"]),
        ("disabled", {"osmesa"}, "osmesa", ["egl", "osmesa"]),
        ("OSMesa", {"egl", "osmesa"}, "osmesa", ["osmesa"]),
        ("glfw", {"egl"}, "egl", ["glfw", "egl"]),
    ],
)
def test_the_users_own_backend_comes_first_and_is_searched_for_once(probes, monkeypatch, own, working, found, order):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    if own:
        monkeypatch.setenv("MUJOCO_GL", own)
    probes[0].update(working)
    assert [find_backend(), find_backend()] == [found, found]
    assert probes[1] == order


def test_without_a_backend_the_error_says_what_to_install(probes, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disabled")
    for _ in range(2):
        with pytest.raises(RenderUnavailable, match=r"egl: no library; osmesa: no library.*libegl1.*libosmesa6"):
            find_backend()
    assert probes[1] == ["egl", "osmesa"]
    with pytest.raises(RenderUnavailable, match="libosmesa6"):
        rendered("walker-walk")


def test_a_backend_that_kills_the_process_does_not_work(monkeypatch):
    monkeypatch.setattr(render, "pack_task", lambda _: pack_task("drawn-segfault"))
    assert "status -11" in render.probe("disabled")


def test_images_and_return_are_those_of_the_evaluation(without_gl):
    frames = rendered("drawn")
    assert [frame.step for frame in frames] == list(range(13))  # the start, and 12 steps to the time limit
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [10 * step for step in range(13)]
    assert {frame.image.shape for frame in frames} == {(31, 64, 3)}
    evaluator = Evaluator(["drawn"], 1)
    returns = evaluator(lambda observation, *_: np.tanh(observation[..., :2]).astype(np.float32))
    evaluator.close()
    assert frames[0].total == 0
    assert frames[-1].total == pytest.approx(returns.item(), abs=1e-6)


def test_every_third_step_and_no_more_than_requested(probes):
    """No backend works, but none is needed."""
    with closing(Rollout("drawn", pushing, 0)) as rollout:
        assert rollout.fps == 10
        frames = list(rollout.frames(3, every=3))
    assert [(frame.step, int(frame.image[0, 0, 0])) for frame in frames] == [(0, 0), (3, 30), (6, 60)]


def test_a_process_that_dies_is_one_sentence(without_gl):
    with pytest.raises(UserError, match="'drawn-late' cannot be rendered: the render process exited with status 3"):
        rendered("drawn-late")


def test_a_walker_clip(tmp_path):
    try:
        find_backend()
    except RenderUnavailable as error:
        pytest.skip(f"needs EGL or OSMesa: {error}")
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 6)).astype(np.float32)
    act = partial(next, iter(actions))
    with closing(Rollout("walker-walk", act, FIRST_SEED, View(160, 120))) as rollout:
        assert rollout.fps == 40
        with Video(tmp_path / "clip.mp4", rollout.fps) as video:
            totals = [(video.add(frame.image), frame.total)[1] for frame in rollout.frames(20)]
    images, stream = decoded(tmp_path / "clip.mp4")
    assert images.shape == (20, 120, 160, 3)
    assert stream["rate"] == 40
    assert all(image.std() > 10 for image in images)
    assert (np.abs(np.diff(images.astype(int), axis=0)).mean((1, 2, 3)) > 0.3).all()
    assert np.all(np.diff(totals) > 0)
