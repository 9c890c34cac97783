"""Stored simulator states are replayed where they fix observation and reward; else it is said what they lack."""

from dataclasses import replace

import numpy as np
import pytest

import hcsac
from hcsac.data import Dataset, Episode
from hcsac.data.checks import check
from hcsac.data.rewards import reward_blocks, why_not_relabelled
from hcsac.errors import UserError
from hcsac.tasks import make_env, observe, register_task, registry, replay, rewards_of, terminates, why_not_replayed
from tests.tasks import pointer


@pytest.mark.parametrize("kind", ["plain", "changed", "repeated"])
def test_steps_are_replayed_through_wrappers(kind: str) -> None:
    task, logs = f"pointer-{kind}", pointer.logs(kind)
    assert why_not_replayed(task) is None
    states, actions = np.concatenate([e.physics[:-1] for e in logs]), np.concatenate([e.action for e in logs])  # type: ignore[index]
    seen, reward, physics = replay(task, states, actions)
    np.testing.assert_allclose(seen, np.concatenate([e.observation[1:] for e in logs]), rtol=1e-6)
    np.testing.assert_allclose(reward, np.concatenate([e.reward for e in logs]), rtol=1e-6)
    np.testing.assert_allclose(physics, np.concatenate([e.physics[1:] for e in logs]))  # type: ignore[index]
    np.testing.assert_allclose(observe(task, states), np.concatenate([e.observation[:-1] for e in logs]), rtol=1e-6)
    report = check(logs, task)
    assert not report.findings, str(report)
    assert "180 steps replayed in the simulator" in str(report)


@pytest.mark.parametrize(
    ("kind", "lacks"),
    [
        ("hidden", "do not fix observation column 2 of its environment"),
        ("tiring", "do not fix the reward of its environment"),
        ("stacked", "do not fix observation columns 0, 1, 2 of its wrapper FrameStackObservation"),
        ("normalised", "of its wrapper NormalizeObservation"),
    ],
)
def test_what_states_do_not_fix_is_neither_replayed_nor_called_wrong(kind: str, lacks: str) -> None:
    task, logs = f"pointer-{kind}", pointer.logs(kind)
    assert lacks in str(why_not_replayed(task))
    report = check(logs, task)
    assert not report.findings, str(report)
    assert lacks in str(report)
    first = logs[0]
    with pytest.raises(UserError, match=lacks):
        rewards_of(task, first.observation[1:], first.action, first.physics[:-1])


def test_an_environment_that_refuses_steps_after_an_end() -> None:
    assert why_not_replayed("pointer-ending") is None
    states, actions = np.random.default_rng(0).normal(size=(40, 3)), np.zeros((40, 1), np.float32)
    seen, _, arrived = replay("pointer-ending", states, actions)
    far = np.abs(arrived[:, 2] - arrived[:, 0]) > 1
    assert 0 < far.sum() < 40
    np.testing.assert_array_equal(terminates("pointer-ending", states, actions), far)
    np.testing.assert_allclose(seen[:, 2], states[:, 2] - states[:, 0] - 0.1 * states[:, 1], rtol=1e-5)


def test_other_reasons() -> None:
    assert why_not_replayed("slide-left") == "its environment has no set_physics"
    said = "its simulator failed when its states were set (RuntimeError: no joint of that name)"
    assert why_not_replayed("pointer-broken") == said
    assert "Pointer observes otherwise after set_physics than after a step" in str(why_not_replayed("pointer-silent"))


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reachers with short episodes."""
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    for name in ("reacher-easy", "reacher-hard"):
        register_task(replace(registry.get_task(name), kwargs={"max_episode_steps": 60}))


def reachers(size: int | None = None) -> dict[str, list[Episode]]:
    """Two episodes of each reacher; `size` numbers of their states are kept."""
    logs: dict[str, list[Episode]] = {"reacher-easy": [], "reacher-hard": []}
    for name, episodes in logs.items():
        env = make_env(name)
        for seed in (1, 2):
            observation, info = env.reset(seed=seed)
            env.action_space.seed(seed)
            physics, way = info["physics"], observation[2:4]
            if seed == 1:  # the finger begins in the target
                physics[4:] -= way
                observation = env.unwrapped.set_physics(physics)
            observations, states, steps = [observation], [physics], []
            for step in range(60):
                action = 0.1 * env.action_space.sample() if step % 4 == 0 else steps[-1][0]
                observation, reward, _, _, info = env.step(action)
                observations.append(observation)
                states.append(info["physics"])
                steps.append((action, reward))
            actions, rewards = map(np.array, zip(*steps, strict=True))
            ends = np.arange(60) == 59
            episodes.append(
                Episode(
                    np.stack(observations), actions, rewards.astype(np.float32), np.zeros(60, bool), ends,
                    np.stack(states)[:, :size],
                )
            )  # fmt: skip
    return logs


@pytest.mark.usefixtures("_short")
def test_the_targets_of_reachers_are_in_their_states() -> None:
    logs = reachers()
    data = Dataset.from_episodes(logs)
    assert why_not_relabelled(data) is None
    table = np.concatenate(list(reward_blocks(data)))
    # Paid for a finger that touches the target: radii of 0.05 or 0.015 (_BIG_TARGET, _SMALL_TARGET), and 0.01.
    far = np.linalg.norm(data.next_observation[:, 2:4], axis=1)
    np.testing.assert_array_equal(table, np.stack([far <= 0.05 + 0.01, far <= 0.015 + 0.01], axis=1))
    assert table.sum(axis=0).min() > 0
    assert len(np.unique(table, axis=0)) == 3
    report = check(logs["reacher-easy"], "reacher-easy")
    assert report.passed, str(report)
    assert "120 steps replayed in the simulator" in str(report)


@pytest.mark.usefixtures("_short")
def test_reachers_without_their_targets_are_refused() -> None:
    logs = reachers(size=4)
    report = check(logs["reacher-easy"], "reacher-easy")
    assert report.passed, str(report)
    assert "they lack geom_pos of the model." in str(report)
    data = Dataset.from_episodes(logs)
    with pytest.raises(UserError, match="do not fix its observations and rewards: they lack geom_pos"):
        reward_blocks(data)


def test_states_without_the_activations_of_actuators() -> None:
    assert why_not_replayed("quadruped-walk", size=57) is None
    assert str(why_not_replayed("quadruped-walk", size=45)).endswith("they lack act")  # qpos 23, qvel 22


@pytest.fixture
def pointers() -> Dataset:
    logs = pointer.logs("plain")
    return Dataset.from_episodes({"pointer-plain": logs[:3], "pointer-twin": logs[3:]})


def test_states_of_logs_are_tried_before_rewards_are_computed_from_them(pointers: Dataset) -> None:
    assert why_not_relabelled(pointers) is None
    moved = replace(pointers, physics=pointers.physics + np.array([0, 0, 0.1]))
    for names in (None, ["pointer-twin"]):
        with pytest.raises(UserError, match="states have other numbers than logged in observation column 2"):
            reward_blocks(moved, names)


def test_logged_rewards_are_tried_too(pointers: Dataset) -> None:
    other = pointers.reward + np.float32(0.1) * (np.arange(180) % 20 == 0)
    said = str(why_not_relabelled(replace(pointers, reward=other)))
    assert "do not fix them (5 of 90 of its steps have another reward when they are replayed)" in said
    other = pointers.reward + np.float32(0.1) * (np.arange(180) == 0)
    assert why_not_relabelled(replace(pointers, reward=other)) is None  # contacts may change one of many


def test_training_says_once_why_nothing_is_shared(pointers: Dataset, tmp_path, capsys) -> None:
    moved = replace(pointers, physics=pointers.physics + np.array([0, 0, 0.1]))
    small = {"updates": 2, "hidden_size": 8, "batch_size": 8, "final_episodes": 1, "device": "cpu", "actors": 1}
    settings = hcsac.preset("best", "one_step").replace(small)
    run = hcsac.train("one_step", moved, tmp_path / "run", settings, [0])
    assert run.identity()["settings"]["sharing"] == "none"
    assert capsys.readouterr().err.count("sharing = auto shares nothing: rewards of task 'pointer-plain' cannot") == 1
    settings = settings.replace({"sharing": "all", "reward_rule": "recompute"})
    with pytest.raises(UserError, match="in observation column 2"):
        hcsac.train("one_step", moved, tmp_path / "other", settings, [0], progress=False)
    assert not (tmp_path / "other").exists()
