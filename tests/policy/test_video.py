"""Videos of trained policies."""

from dataclasses import replace

import pytest

from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.evaluation import render
from hcsac.policy import evaluate, video
from hcsac.policy import render as make_video
from hcsac.tasks import get_task
from hcsac.tasks.registry import TASKS
from hcsac.training import train
from tests.conftest import slide_episodes
from tests.evaluation import drawing  # noqa: F401 (its tasks)
from tests.evaluation.test_video import decoded
from tests.training.conftest import settings, tree


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of two seeds on two light tasks that can be rendered."""
    monkeypatch.setattr(render, "find_backend", lambda: "disabled")
    data = {"drawn": slide_episodes("slide-left"), "drawn-right": slide_episodes("slide-right")}
    return train(
        "bc", Dataset.from_episodes(data), tmp_path / "run", settings("bc", updates=6), seeds=(3, 5), progress=False
    ).path


@pytest.fixture
def captions(monkeypatch):
    """Every caption."""
    texts = []
    plain = video.captioned
    monkeypatch.setattr(video, "captioned", lambda image, text: (texts.append(text), plain(image, text))[1])
    return texts


def test_all_tasks_side_by_side_to_the_end_with_the_returns_of_evaluation(run, captions):
    path = make_video(run, seed=5, episode=1, progress=False)
    images, properties = decoded(path)
    assert path == run / "video.mp4"
    assert images.shape == (13, 32, 128, 3)
    assert properties["title"] == "run: drawn, drawn-right, seed 5, episode 1, update 6"
    assert properties["rate"] == 10
    returns = evaluate(run, episodes=2)
    assert captions[-2:] == [
        f"{task}   step 12   return {returns[1, m, 1]:.1f}" for m, task in enumerate(("drawn", "drawn-right"))
    ]
    assert images[-1, -4:, 0].mean() == pytest.approx(120, abs=6)


def test_part_of_one_task_at_another_speed(run, captions):
    path = make_video(run, run / "fast.mp4", ["drawn-right"], seconds=0.9, speed=20, progress=False)
    images, properties = decoded(path)
    assert (len(images), properties["rate"]) == (3, 50)  # 10 steps a second, 20 times as fast, every fourth
    assert [text.split("   ")[1] for text in captions] == ["step 0", "step 4", "step 8"]


def test_a_policy_that_is_asked_by_a_number(tmp_path, monkeypatch, captions):
    """Each number has an equal part of the video; the position in the track stands for what is achieved."""
    monkeypatch.setattr(render, "find_backend", lambda: "disabled")
    for value in (0, 1.5, 2):
        task = replace(get_task("drawn"), name=f"drawn-place:{value}", measure=lambda observation: observation[:, 0])
        TASKS.add(task.name, task)
    data = {f"drawn-place:{value}": slide_episodes("slide-left") for value in (0, 2)}
    changes = settings("bc", updates=6).replace({"embedding": "number"})
    run = train("bc", Dataset.from_episodes(data), tmp_path / "run", changes, (0,), progress=False).path
    path = make_video(run, at=[0, 1.5, 2], seconds=1.2, progress=False)
    images, _ = decoded(path)
    assert len(images) == len(captions) == 13
    asked = [float(text.split()[1]) for text in captions]
    assert asked == [0] * 4 + [1.5] * 4 + [2] * 5
    assert all(text.split("   ")[1].endswith(" achieved") for text in captions[1:])
    assert captions[7].endswith("   step 7")
    with pytest.raises(UserError, match="leave out --task or --at"):
        make_video(run, tmp_path / "no.mp4", tasks=["drawn-place:0"], at=[1])


def test_a_policy_of_tasks_has_no_numbers(run):
    with pytest.raises(UserError, match=r"acts by task \(drawn, drawn-right\), not by a number"):
        make_video(run, run / "no.mp4", at=[1])


def test_bad_arguments_write_nothing(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    for wrong, says in (
        ({"tasks": ["drawm"]}, "did you mean 'drawn'"),
        ({"seed": 4}, "unknown seed '4'"),
        ({"seconds": 0}, "seconds = 0 is out of bounds"),
        ({"speed": float("nan")}, "speed = nan is out of bounds"),
        ({"episode": -1}, "episode = -1 is out of bounds"),
        ({"output": "clip.avi"}, "does not end in .mp4"),
    ):
        with pytest.raises(UserError, match=says):
            make_video(run, progress=False, **wrong)
    assert tree(tmp_path) == before


def test_an_earlier_video_stays_without_overwrite(run):
    (run / "video.mp4").write_bytes(b"earlier")
    with pytest.raises(UserError, match="--overwrite"):
        make_video(run, progress=False)
    assert (run / "video.mp4").read_bytes() == b"earlier"
