"""Every task of the suite is registered, runs as dm_control's, and its states hold all that a step depends on."""

import os

import numpy as np
import pytest

os.environ.setdefault("MUJOCO_GL", "disabled")
from dm_control import suite

from hcsac.errors import UserError
from hcsac.tasks import Task, get_task, make_env, random_rollout, register_task, registry, replay, task_names

LEFT_OUT = {"lqr-lqr_2_1", "lqr-lqr_6_2", "quadruped-escape"}
ALL = [f"{domain}-{task}" for domain, task in suite.ALL_TASKS]
TASKS = [name for name in ALL if name not in LEFT_OUT]
# What sensors show is of the step that led to a state, not of the state.
SENSORS = {
    "dog": {"inertial_sensors", "foot_forces", "touch_sensors"}, "finger": {"touch"}, "hopper": {"touch"},
    "manipulator": {"touch"}, "quadruped": {"imu", "force_torque"}, "stacker": {"touch"},
}  # fmt: skip
# Read in dm_control/suite: what `initialize_episode` writes into the model.
DRAWN = {
    "finger-turn_easy": {"site_pos": 2}, "finger-turn_hard": {"site_pos": 2}, "fish-swim": {"geom_pos": 3},
    "manipulator-bring_ball": {"body_pos": 2, "body_quat": 2}, "manipulator-bring_peg": {"body_pos": 2, "body_quat": 2},
    "manipulator-insert_ball": {"body_pos": 4, "body_quat": 4},
    "manipulator-insert_peg": {"body_pos": 4, "body_quat": 4}, "point_mass-hard": {"wrap_prm": 4},
    "reacher-easy": {"geom_pos": 2}, "reacher-hard": {"geom_pos": 2}, "stacker-stack_2": {"body_pos": 2},
    "stacker-stack_4": {"body_pos": 2}, "swimmer-swimmer6": {"geom_pos": 2}, "swimmer-swimmer15": {"geom_pos": 2},
}  # fmt: skip


def some(chosen: set[str]) -> list:
    """All tasks; those that are not `chosen` only with -m long."""
    return [pytest.param(name, marks=[] if name in chosen else pytest.mark.long) for name in TASKS]


def one_of_each_body() -> set[str]:
    return set({name.split("-")[0]: name for name in TASKS}.values())


def test_which_tasks_there_are() -> None:
    assert set(TASKS) <= set(task_names())
    assert not LEFT_OUT & set(task_names())
    own = {name for name in task_names() if (get_task(name).env_id or "").startswith("hcsac/")} - set(TASKS)
    assert {name for name in own if not name.startswith(("walker-speed:", "walker-pace:"))} == {"cheetah-run_backward"}
    for name in TASKS:
        assert 0 <= (get_task(name).random_return or 0) < 1000, name
        assert get_task(name).random_return is not None, name


@pytest.mark.parametrize("name", some(one_of_each_body()))
def test_a_task_of_the_suite(name: str) -> None:
    domain, task = name.split("-")
    plain, env = suite.load(domain, task, task_kwargs={"random": 3}), make_env(name)
    bounds = plain.action_spec()
    assert env.spec is not None
    assert env.spec.max_episode_steps == plain._step_limit == 1000
    assert env.action_space.shape == bounds.shape
    np.testing.assert_array_equal(env.action_space.low, bounds.minimum.astype(np.float32))
    np.testing.assert_array_equal(env.action_space.high, bounds.maximum.astype(np.float32))
    parts = env.unwrapped.state_parts
    assert {key[:-13]: size for key, size in parts.items() if key.endswith(" of the model")} == DRAWN.get(name, {})
    assert sum(parts.values()) == len(env.unwrapped.get_physics())

    now, (observation, info) = plain.reset(), env.reset(seed=3)
    env.action_space.seed(3)
    for _ in range(2):
        seen = np.concatenate([np.ravel(part) for part in now.observation.values()])
        np.testing.assert_array_equal(observation, seen.astype(np.float32))
        assert env.observation_space.contains(observation)
        action = env.action_space.sample()
        now = plain.step(action)
        observation, reward, terminated, _, info = env.step(action)
        assert reward == now.reward
        assert not terminated

    env.reset(seed=4)  # another target
    again = env.unwrapped.set_physics(info["physics"])
    np.testing.assert_array_equal(env.unwrapped.get_physics(), info["physics"])
    sensed = [np.full(np.size(part), key in SENSORS.get(domain, ())) for key, part in now.observation.items()]
    fixed = ~np.concatenate(sensed)
    np.testing.assert_allclose(again[fixed], observation[fixed], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", some({"reacher-easy", "point_mass-hard", "finger-turn_easy"}))
def test_a_logged_episode_is_replayed(name: str) -> None:
    """Sensors too, and rewards, whatever the reset had drawn."""
    episode, steps = random_rollout(name, seed=1), np.arange(0, 1000, 20)
    observation, reward, physics = replay(name, episode["physics"][steps], episode["action"][steps])
    np.testing.assert_allclose(observation, episode["observation"][steps + 1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(reward, episode["reward"][steps], atol=1e-5)
    np.testing.assert_allclose(physics, episode["physics"][steps + 1], rtol=1e-3, atol=1e-3)


def test_a_task_knows_its_body() -> None:
    names = ("quadruped-run", "humanoid_CMU-walk", "cheetah-run_backward", "slide-left")
    assert [registry.suite_body(name) for name in names] == ["quadruped", "humanoid_CMU", None, None]


@pytest.mark.parametrize("repeat", [0, -1, 1.5])
def test_what_is_no_action_repeat(repeat: float) -> None:
    with pytest.raises(UserError, match=r"action_repeat = .* is no number of control steps; give 1 or more"):
        make_env("pendulum-swingup", action_repeat=repeat)


def test_actions_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    kwargs = {"action_repeat": 4, "max_episode_steps": 250}
    register_task(Task("hopper-hop-4", "hcsac/hopper-hop-v0", kwargs))
    assert registry.time_limit("hopper-hop-4") == 250
    assert registry.task_of_env("hcsac/hopper-hop-v0", {"action_repeat": 4}) == "hopper-hop-4"
    assert registry.task_of_env("hcsac/hopper-hop-v0", {}) == "hopper-hop"
    single, repeated = make_env("hopper-stand", seed=6), make_env("hopper-stand", seed=6, action_repeat=4)
    assert repeated.metadata["render_fps"] == 12
    assert single.metadata["render_fps"] == 50
    for action in np.random.default_rng(0).uniform(-1, 1, (10, 4)).astype(np.float32):
        steps = [single.step(action) for _ in range(4)]
        observation, reward, *_, info = repeated.step(action)
        np.testing.assert_array_equal(observation, steps[-1][0])
        np.testing.assert_array_equal(info["physics"], steps[-1][-1]["physics"])
        assert reward == pytest.approx(sum(step[1] for step in steps))
    episode = random_rollout("hopper-hop-4", seed=0)
    assert len(episode["reward"]) == 250
    some_steps = np.arange(0, 250, 10)
    replayed = replay("hopper-hop-4", episode["physics"][some_steps], episode["action"][some_steps])
    np.testing.assert_allclose(replayed[0], episode["observation"][some_steps + 1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(replayed[1], episode["reward"][some_steps], atol=1e-5)
