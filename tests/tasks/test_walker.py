"""The walker's reward from the observation alone is dm_control's own, whatever the target and whoever walks."""

from pathlib import Path

import minari
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac.data import store
from hcsac.data.formats import npz
from hcsac.errors import UserError
from hcsac.tasks import formula, get_task, make_env, random_rollout, replay, rewards_of
from hcsac.tasks.walker import PaceReward, WalkerReward, move_reward, pace_reward, stand_reward, torso_speed

TOLERANCE = 1e-5
SPEEDS = [0.0, 0.5, 3.5, 8.0, -0.5, -2.0]


@given(st.floats(-2, 3), st.floats(-1, 1), st.floats(-30, 30), st.floats(0.1, 20))
def test_terms_are_dm_controls_tolerances(height: float, upright: float, velocity: float, speed: float) -> None:
    from dm_control.utils.rewards import tolerance

    standing = tolerance(height, bounds=(1.2, float("inf")), margin=0.6)
    assert stand_reward(np.float64(height), np.float64(upright)) == pytest.approx(
        (3 * standing + (1 + upright) / 2) / 4, abs=1e-12
    )
    moving = tolerance(velocity, bounds=(speed, float("inf")), margin=speed / 2, value_at_margin=0.5, sigmoid="linear")
    assert move_reward(np.float64(velocity), speed) == pytest.approx(moving, abs=1e-12)
    assert move_reward(np.float64(-velocity), -speed) == pytest.approx(moving, abs=1e-12)
    pace = tolerance(velocity, bounds=(speed, speed), margin=0.5, value_at_margin=0.5, sigmoid="linear")
    assert pace_reward(np.float64(velocity), speed) == pytest.approx(pace, abs=1e-12)
    assert pace_reward(np.float64(-velocity), -speed) == pytest.approx(pace, abs=1e-12)


def test_torso_speed_is_the_simulators_in_any_state() -> None:
    """States nobody walks through: every joint anywhere within its range and at any rate."""
    env = make_env("walker-walk", seed=0).unwrapped
    physics = env._suite.physics
    rng = np.random.default_rng(0)
    limited = physics.model.jnt_limited.astype(bool)
    low, high = np.where(limited[:, None], physics.model.jnt_range, (-4.0, 4.0)).T
    observations, speeds = [], []
    for _ in range(200):
        observations.append(env.set_physics(np.concatenate([rng.uniform(low, high), rng.normal(0, 10, 9)])))
        speeds.append(physics.horizontal_velocity())
    np.testing.assert_allclose(torso_speed(np.stack(observations)), speeds, atol=1e-5)


@pytest.mark.parametrize("family", ["speed", "pace"])
@pytest.mark.parametrize("speed", SPEEDS)
def test_the_environment_pays_what_the_formula_says(speed: float, family: str) -> None:
    name = f"walker-{family}:{speed}"
    env = make_env(name, seed=1)
    rng = np.random.default_rng(0)
    arrived, paid = [], []
    for _ in range(400):
        observation, reward, *_ = env.step(rng.uniform(-1, 1, 6).astype(np.float32))
        arrived.append(observation)
        paid.append(reward)
    assert np.std(paid) > 0.01
    np.testing.assert_allclose(rewards_of(name, np.stack(arrived), np.zeros((400, 6))), paid, atol=TOLERANCE)


@pytest.mark.parametrize("task", ["stand", "walk", "run"])
def test_random_actions(task: str) -> None:
    episode = random_rollout(f"walker-{task}", seed=3)
    told = rewards_of(f"walker-{task}", episode["observation"][1:], episode["action"])
    assert told.dtype == np.float32
    np.testing.assert_allclose(told, episode["reward"], atol=TOLERANCE)


@pytest.mark.parametrize("ref", ["walk-medium", "walk-medium-replay", "run-medium", "run-medium-replay"])
def test_trained_policies(ref: str) -> None:
    """Every reward of the shipped sample, and what other tasks pay in its states."""
    name, episodes, _ = store.read(f"sample/walker-{ref}-v0")
    for episode in episodes:
        told = rewards_of(name, episode.observation[1:], episode.action)
        np.testing.assert_allclose(told, episode.reward, atol=TOLERANCE)
    some = np.arange(0, 1000, 25)
    episode = episodes[-1]
    assert episode.physics is not None
    for other in ("walker-stand", "walker-walk", "walker-run", "walker-speed:1.5", "walker-speed:-1", "walker-pace:1"):
        after, paid, _ = replay(other, episode.physics[some], episode.action[some])
        np.testing.assert_allclose(rewards_of(other, after, episode.action[some]), paid, atol=TOLERANCE)


@pytest.mark.parametrize("task", ["walk", "run"])
@pytest.mark.parametrize("level", ["medium", "medium-replay"])
def test_every_reward_of_the_course_data(task: str, level: str, course: Path) -> None:
    for episode in npz.read_directory(course / f"walker_{task}-td3-{level}"):
        told = rewards_of(f"walker-{task}", episode.observation[1:], episode.action)
        np.testing.assert_allclose(told, episode.reward, atol=TOLERANCE)


def test_backwards_pays_only_backwards() -> None:
    episode = random_rollout("walker-walk", seed=0)
    states = episode["observation"][1:]
    moving = torso_speed(states)
    standing, back = WalkerReward(0.0)(states, states), WalkerReward(-0.5)(states, states)
    np.testing.assert_allclose(back[moving >= 0], standing[moving >= 0] / 6, rtol=1e-5)
    np.testing.assert_allclose(back[moving <= -0.5], standing[moving <= -0.5], rtol=1e-5)
    assert (moving <= -0.5).sum() > 10 < (moving >= 0).sum()


def test_a_pace_pays_no_other_speed() -> None:
    states = random_rollout("walker-walk", seed=0)["observation"][1:]
    moving, standing = torso_speed(states), stand_reward(states[:, 14], states[:, 0])
    paid = PaceReward(0.5)(states, states)
    far = np.abs(moving - 0.5) >= 1
    np.testing.assert_allclose(paid[far], standing[far] / 6, rtol=1e-5)
    near = np.abs(moving - 0.5) < 0.1
    assert (paid[near] >= 0.91 * standing[near]).all()
    assert far.sum() > 10 < near.sum()


def test_a_row_is_worth_the_same_in_any_company(monkeypatch: pytest.MonkeyPatch) -> None:
    states = random_rollout("walker-run", seed=0)["observation"]
    whole = WalkerReward(8.0)(states, states)
    monkeypatch.setattr(formula, "CHUNK", 7)
    np.testing.assert_allclose(WalkerReward(8.0)(states, states), whole, atol=1e-6)
    np.testing.assert_allclose(WalkerReward(8.0)(states.astype(np.float64), states), whole, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 23), (24,)])
def test_another_robots_observations(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"observations \[N, 24\]"):
        WalkerReward(1.0)(np.zeros(shape, np.float32), np.zeros((5, 6), np.float32))


def test_a_dataset_of_any_speed_can_be_stored() -> None:
    from hcsac.data import Episode

    name = "walker-speed:-2"
    store.write("lab/back-v0", name, [Episode(**random_rollout(name, 0))])
    task, episodes, _ = store.read("lab/back-v0")
    assert task == name
    told = rewards_of(name, episodes[0].observation[1:], episodes[0].action)
    np.testing.assert_allclose(told, episodes[0].reward, atol=TOLERANCE)
    stored = minari.load_dataset("lab/back-v0")
    assert stored.env_spec.kwargs == {"speed": -2.0}
    rebuilt = stored.recover_environment()
    observation, _ = rebuilt.reset(seed=4)
    np.testing.assert_array_equal(observation, make_env(name).reset(seed=4)[0])
    assert get_task(name).env_id == stored.env_spec.id
