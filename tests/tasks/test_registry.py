"""One table of tasks, open to any Gymnasium id with Box spaces and unit actions."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from hcsac.errors import UserError
from hcsac.tasks import (
    Task,
    get_task,
    make_env,
    random_rollout,
    register_task,
    registry,
    task_names,
    walker_speed,
    why_not_replayed,
)
from hcsac.tasks.registry import task_of_env


@pytest.fixture(autouse=True)
def _own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))


def test_the_built_in_tasks() -> None:
    assert set(task_names()) >= {"walker-stand", "walker-walk", "walker-run", "cheetah-run", "hopper-hop"}
    assert get_task("walker-run").expert_return == 843
    assert task_of_env("hcsac/walker-walk-v0") == "walker-walk"
    assert task_of_env("nowhere-v0") is None


def test_any_speed_is_a_task() -> None:
    task = get_task("walker-speed:3.5")
    assert (task.name, task.kwargs) == ("walker-speed:3.5", {"speed": 3.5})
    assert get_task("walker-speed:3.5") is task
    assert walker_speed("jog", 2.375) is get_task("jog")
    assert task_of_env(task.env_id, {"speed": 2.375}) == "jog"
    assert task_of_env(task.env_id, {"speed": 9.0}) is None
    spec = make_env("walker-speed:-1e-1").spec
    assert spec is not None
    assert spec.max_episode_steps == 1000


def test_any_pace_is_a_task() -> None:
    task = get_task("walker-pace:2")
    assert (task.name, task.kwargs, task.env_id) == ("walker-pace:2", {"speed": 2.0}, "hcsac/walker-pace-v0")
    assert walker_speed("march", 2.0, exact=True).reward == task.reward != get_task("walker-speed:2").reward


@pytest.mark.parametrize(
    "name", ["walker-speed:", "walker-pace:slow", "walker-speed:nan", "walker-speed:-inf", "walker-speed:1e-9"]
)
def test_what_is_no_speed(name: str) -> None:
    with pytest.raises(UserError, match="is no target speed; give metres per second"):
        get_task(name)
    assert name not in task_names()


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'walker-walk'"):
        get_task("walker-wlk")
    with pytest.raises(UserError, match="did you mean 'walker-speed:"):
        get_task("walker-sped:3")


def test_a_users_task_is_one_line() -> None:
    register_task(Task("car", "MountainCarContinuous-v0"))
    env = make_env("car", seed=1)
    assert env.observation_space.shape == (2,)
    assert why_not_replayed("car") == "its environment has no set_physics"
    assert why_not_replayed("walker-walk") is None
    episode = random_rollout("car", seed=0)
    assert len(episode["observation"]) == len(episode["reward"]) + 1
    assert episode["truncated"][-1]
    assert "physics" not in episode


@pytest.mark.parametrize(
    ("env_id", "kwargs", "message"),
    [
        ("CartPole-v1", {}, "action space of 'CartPole-v1' is Discrete"),
        ("FrozenLake-v1", {}, "observation space of 'FrozenLake-v1' is Discrete"),
        ("NoSuchThing-v0", {}, "cannot make the environment 'NoSuchThing-v0'"),
    ],
)
def test_what_cannot_be_a_task(env_id: str, kwargs: dict, message: str) -> None:
    register_task(Task("mine", env_id, kwargs))
    with pytest.raises(UserError, match=message):
        make_env("mine")


def test_an_image_is_not_flat() -> None:
    box = gymnasium.spaces.Box(0, 1, (4, 4), np.float32)
    with pytest.raises(UserError, match="must be flat"):
        registry.box_size(box, "it")


def test_a_module_of_tasks_is_imported_at_the_first_lookup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_lab.py").write_text(
        "from hcsac.tasks import Task, get_task, register_task\n"
        "register_task(Task('lab-walk', get_task('walker-walk').env_id))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HCSAC_TASKS", " a_lab,")
    assert get_task("lab-walk").env_id == "hcsac/walker-walk-v0"
    assert "lab-walk" in task_names()
    assert registry.TASKS.plugin("lab-walk") == "a_lab"
    assert registry.TASKS.plugin("walker-walk") is None


def test_a_module_cannot_replace_a_built_in_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greedy_lab.py").write_text(
        "from hcsac.tasks import Task, register_task\nregister_task(Task('walker-run', 'MyRun-v0'))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HCSAC_TASKS", "greedy_lab")
    with pytest.raises(UserError, match="task 'walker-run' is registered by hcsac itself already; choose another name"):
        get_task("walker-run")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise ValueError('no\\nsuch robot')", "ValueError: no such robot"),
        ("def (:", "SyntaxError"),
        ("import nothing_there", "No module named 'nothing_there'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad_lab.py").write_text(text + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HCSAC_TASKS", "bad_lab")
    for look in (lambda: get_task("walker-walk"), task_names):
        with pytest.raises(UserError, match="names the module 'bad_lab', which cannot be imported") as caught:
            look()
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
