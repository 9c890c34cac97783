"""Videos for the page: what they show, and the reasons where there are none."""

import base64

import pytest

from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.evaluation import RenderUnavailable, render
from hcsac.experiments.report import videos
from hcsac.experiments.report.load import Finished
from hcsac.experiments.study_run import StudyRun
from hcsac.training import RunDirectory, train
from tests.conftest import slide_episodes
from tests.evaluation import drawing  # noqa: F401 (its tasks)
from tests.experiments.report.conftest import NASTY, TASKS
from tests.training.conftest import settings


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A real run of a task that draws itself, at its own size."""
    monkeypatch.setattr(render, "find_backend", lambda: "disabled")
    data = Dataset.from_episodes({"drawn": slide_episodes("slide-left")})
    made = settings("bc", updates=6)
    run = RunDirectory(train("bc", data, tmp_path / "run", made, seeds=(3, 5), progress=False).path)
    study_run = StudyRun("medium", "", "bc", ("drawn",), (), made, (3, 5), "correct", run.path)
    return [Finished(study_run, run, run.identity(), run.read_json("result.json"))]


def test_a_clip(finished):
    told = []
    made, note = videos.render_clips(finished, told.append)
    assert told == ["video 1 of 1: BC, medium: drawn"]
    assert [(clip.heading, clip.caption) for clip in made] == [("medium: drawn", "BC, seed 3")]
    assert note == ""
    kind, content = made[0].source.split(",")
    assert kind == "data:video/mp4;base64"
    assert base64.b64decode(content)[4:8] == b"ftyp"


@pytest.fixture
def runs(study):
    return [Finished(one, RunDirectory(one.path), {}, {}) for one in study.runs]


def test_no_more_than_fits(runs, monkeypatch):
    monkeypatch.setattr(videos, "render", lambda directory, path, tasks, **more: path.write_bytes(b"x" * 1000))
    made, note = videos.render_clips(runs, lambda text: None, max_bytes=3500)
    assert len(made) == 3
    assert note == "No video of the last 5: the limit of 0.0 MB for all videos of a page is reached."


def test_one_that_cannot_be_drawn_does_not_take_the_others(runs, monkeypatch):
    def some(directory, path, tasks, **more):
        if tasks == ["slide-left"]:
            raise UserError(f"{directory} holds no checkpoint.")
        path.write_bytes(b"render_clips")

    monkeypatch.setattr(videos, "render", some)
    made, note = videos.render_clips(runs[:6], lambda text: None)
    assert [clip.heading for clip in made] == ["medium: slide-right"] * 2
    assert note == f"No video of plain, medium: slide-left; {NASTY}, medium: slide-left: its run holds no checkpoint."


def test_a_task_that_cannot_be_drawn_is_tried_once_in_either_size(runs, monkeypatch):
    tried = []

    def none(directory, path, tasks, **more):
        tried.append(more.get("width"))
        raise UserError(f"task {tasks[0]!r}: it cannot be drawn.")

    monkeypatch.setattr(videos, "render", none)
    monkeypatch.setattr(videos, "_WORKERS", 1)
    made, note = videos.render_clips(runs, lambda text: None)
    assert made == []
    assert tried == [240, None] * 2  # two tasks, of two variants on two datasets
    assert note.count("it cannot be drawn.") == 2


def test_where_nothing_draws(runs, monkeypatch):
    def never(*_, **__):
        raise RenderUnavailable("nothing on this machine draws; install EGL.")

    monkeypatch.setattr(videos, "render", never)
    assert videos.render_clips(runs, lambda text: None) == (
        [],
        "No videos: nothing on this machine draws; install EGL.",
    )


def test_seeds_of_their_own_runs_count_once(study, runs, monkeypatch):
    seen = []

    def write(directory, path, tasks, **more):
        seen.append((directory, tasks))
        path.write_bytes(b"render_clips")

    monkeypatch.setattr(videos, "render", write)
    made, _ = videos.render_clips(runs, lambda text: None)
    assert sorted(seen) == sorted((one.path, [task]) for one in study.runs if one.seeds == (0,) for task in TASKS)
    assert [clip.heading for clip in made][:3] == ["medium: slide-left", "medium: slide-left", "medium: slide-right"]
