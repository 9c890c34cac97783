"""A task that nothing was logged for: all logs with its own reward, what they show of it, and a training on them."""

import numpy as np
import pytest

from hcsac import load, preset, train
from hcsac.cli import main
from hcsac.data.dataset import Dataset
from hcsac.data.relabel import best_steps, best_window, notes_of_new_tasks, relabelled, what_logs_show
from hcsac.data.store import write
from hcsac.errors import UserError
from hcsac.experiments import Study
from hcsac.tasks import Task, rewards_of
from hcsac.tasks.registry import TASKS
from tests.conftest import slide_episodes

REFS = ("lab/slide-left-v0", "lab/slide-right-v0")


def second(reached, action):
    return reached[:, 1] - action[:, 0]


@pytest.fixture
def store():
    for task, ref in zip(("slide-left", "slide-right"), REFS, strict=True):
        write(ref, task, slide_episodes(task))


@pytest.fixture(autouse=True)
def _tasks(monkeypatch):
    held = dict(TASKS._items)
    monkeypatch.setattr(TASKS, "_items", held)
    TASKS.add("up", Task("up", "tests/slide-left-v0", reward=second, highest_reward=9.0))
    TASKS.add("unpaid", Task("unpaid"))


@pytest.mark.parametrize("tasks", [["up"], ["slide-right", "up"], ["up", "slide-left"]])
def test_it_has_all_transitions_under_its_own_reward(store, tasks, tmp_path):
    data, logged = load(REFS, tasks=tasks), load(REFS)
    rows = data.rows_of(tasks.index("up"))
    assert data.task_names == tuple(tasks)
    assert data.new_tasks == ("up",)
    assert data.refs == REFS
    np.testing.assert_array_equal(data.observation[rows], logged.observation)
    np.testing.assert_array_equal(data.reward[rows], logged.next_observation[:, 1] - logged.action[:, 0])
    for name in set(tasks) - {"up"}:
        own, theirs = data.rows_of(tasks.index(name)), logged.rows_of(logged.task_names.index(name))
        np.testing.assert_array_equal(data.reward[own], logged.reward[theirs])
    mapped = load(REFS, tasks=tasks, folder=tmp_path / "mapped")
    assert mapped.fingerprint() == data.fingerprint()
    assert mapped.new_tasks == ("up",)
    np.testing.assert_allclose(data.episode_returns["up"].sum(), data.reward[rows].sum(), rtol=1e-5)


def test_parts_of_it_know_where_they_come_from(store):
    data = load(REFS, tasks=["slide-left", "up"])
    assert data.select(["up"]).refs == REFS
    assert data.select(["slide-left"]).refs == REFS[:1]
    assert data.select(["slide-left"]).new_tasks == ()
    assert load(REFS).new_tasks == ()
    assert Dataset.from_episodes({"slide-left": slide_episodes("slide-left")}).new_tasks == ()


@pytest.mark.parametrize(
    ("tasks", "alignment", "says"),
    [
        (["upp"], "correct", "unknown task 'upp'; did you mean 'up'"),
        (["unpaid"], "correct", "rewards of task 'unpaid' cannot be recomputed: it has no reward function"),
        (
            ["up"],
            "off_by_one",
            "nothing was logged for task 'up', and rewards are recomputed with alignment = 'correct'",
        ),
        (["walker-run"], "correct", r"the walker's reward is a function of observations \[N, 24\]"),
    ],
)
def test_what_cannot_be_relabelled(store, tasks, alignment, says):
    with pytest.raises(UserError, match=says):
        load(REFS, tasks=tasks, alignment=alignment)


def test_it_ends_where_its_function_says():
    def ends(observation, action, reached):
        return reached[:, 0] > 0

    TASKS.add("ending", Task("ending", reward=second, terminated=ends))
    episodes = slide_episodes("slide-left")
    for before, after in zip(episodes, relabelled(episodes, "ending"), strict=True):
        np.testing.assert_array_equal(after.terminated, before.observation[1:, 0] > 0)
    for before, after in zip(episodes, relabelled(episodes, "up"), strict=True):
        np.testing.assert_array_equal(after.terminated, before.terminated)


def test_the_best_window_is_of_one_episode():
    lengths, random = (250, 40, 130), np.random.default_rng(0)
    episodes = [slide_episodes("slide-left", 1, length=n)[0] for n in lengths]
    for episode in episodes:
        episode.reward[:] = random.normal(size=len(episode.reward))
    data = Dataset.from_episodes({"slide-left": episodes, "slide-right": slide_episodes("slide-right")})
    windows = [
        np.mean(episode.reward[k : k + min(100, n)])
        for episode, n in zip(episodes, lengths, strict=True)
        for k in range(n - min(100, n) + 1)
    ]
    assert best_window(data, 0) == pytest.approx(max(windows), rel=1e-5)


@pytest.mark.parametrize(("task", "shown"), [("walker-stand", True), ("walker-speed:-1", False)])
def test_it_says_what_the_logs_show(task, shown):
    data = load(["sample/walker-walk-medium-v0"], tasks=[task])
    text = what_logs_show(data, task)
    assert text == what_logs_show(data, task, best_window(data, 0))
    assert "all 10,000 transitions have its reward instead" in text
    assert f"(mean {data.mean_returns[task]:.0f})" in text
    assert ("hardly show this task" in text) is not shown


def test_tasks_that_differ_by_a_number_are_said_at_once():
    speeds = [f"walker-speed:{speed}" for speed in (0, 1, 6)]
    data = load(["sample/walker-walk-medium-v0"], tasks=["walker-walk", *speeds])
    (text,) = notes_of_new_tasks(data, best_steps(data))
    best = [best_window(data, index) for index in (1, 2, 3)]
    assert best_steps(data) == dict(zip(speeds, best, strict=True))
    assert f"a step, 0: {best[0]:.2f}, 1: {best[1]:.2f}, 6: {best[2]:.2f}." in text
    assert "speed: each of 3 tasks has all 10,000 transitions" in text
    assert "the logs hardly show 6, where" in text
    several = load(["sample/walker-walk-medium-v0"], tasks=["walker-stand", *speeds])
    assert len(notes_of_new_tasks(several, best_steps(several))) == 4


def test_a_run_and_a_study_of_it(store, tmp_path, capsys):
    settings = preset("quick", "bc").replace(
        {"updates": 4, "hidden_size": 8, "batch_size": 8, "evaluation_episodes": 1}
    )
    run = train("bc", load(REFS, tasks=["up"]), tmp_path / "run", settings.replace({"final_episodes": 1}))
    assert run.identity()["data"] == list(REFS)
    assert "up: nothing was logged for it" in capsys.readouterr().err
    rewards = rewards_of("up", load(REFS).next_observation, load(REFS).action)
    assert run.identity()["behaviour"]["up"] == pytest.approx(rewards.sum() / 8, rel=1e-4)
    main_status(["evaluate", str(run.path), "--offline", "--updates", "20"])
    assert "up" in capsys.readouterr().out
    study = Study("new", {"both": REFS}, tasks=("slide-left", "up"), algorithms=("bc", "mtcsac"))
    assert [(one.algorithm, one.tasks, one.refs) for one in study.runs(tmp_path)] == [
        ("bc", ("slide-left",), REFS[:1]),
        ("bc", ("up",), REFS),
        ("mtcsac", ("slide-left", "up"), REFS),
    ]


def main_status(arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
