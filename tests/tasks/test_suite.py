"""The suite's tasks are dm_control's, and their formulas give the simulator's rewards."""

import logging

import minari
import numpy as np
import pytest

from hcsac.data import Episode, store
from hcsac.data.dataset import Dataset
from hcsac.data.rewards import cross_returns
from hcsac.errors import UserError
from hcsac.tasks import get_task, make_env, planar, random_rollout, rewards_of, task_names
from hcsac.tasks.cheetah import CheetahReward

SUITE = [
    "cheetah-run", "cartpole-balance", "cartpole-swingup", "cartpole-balance_sparse", "cartpole-swingup_sparse",
    "hopper-stand", "hopper-hop",
]  # fmt: skip
BACKWARD = "cheetah-run_backward"
TOLERANCE = 1e-5


@pytest.mark.parametrize("name", SUITE)
def test_equals_plain_dm_control(name: str) -> None:
    env = make_env(name)
    from dm_control import suite  # after make_env, which tells it that there is no display

    plain = suite.load(*name.split("-"), task_kwargs={"random": 7})
    now = plain.reset()
    observation, _ = env.reset(seed=7)
    rng = np.random.default_rng(0)
    assert (env.spec.id, env.spec.max_episode_steps) == (f"hcsac/{name}-v0", plain._step_limit)
    for _ in range(100):
        parts = [np.ravel(part) for part in now.observation.values()]
        np.testing.assert_array_equal(observation, np.concatenate(parts).astype(np.float32))
        action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        now = plain.step(action)
        observation, reward, *_ = env.step(action)
        assert reward == now.reward


def _anywhere(name: str, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observations, actions and rewards of steps from states near and far of those that policies visit."""
    env = make_env(name, seed=0)
    physics, rng = env.unwrapped._suite.physics, np.random.default_rng(0)
    limited = physics.model.jnt_limited.astype(bool)
    low, high = np.where(limited[:, None], physics.model.jnt_range, (-4.0, 4.0)).T
    steps = []
    for number in range(count):
        near = (1.0, 0.1, 0.02)[number % 3]
        position = near * rng.uniform(low, high)
        env.unwrapped.set_physics(np.concatenate([position, near * rng.normal(0, 10, len(position))]))
        action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        observation, reward, *_ = env.step(action)
        steps.append((observation, action, reward))
        if env.unwrapped._done:
            env.reset()
    observations, actions, rewards = zip(*steps, strict=True)
    return np.stack(observations), np.stack(actions), np.array(rewards)


@pytest.mark.parametrize("name", [*SUITE, BACKWARD])
def test_the_formula_is_the_simulators_reward(name: str) -> None:
    observation, action, paid = _anywhere(name, 300)
    assert np.std(paid) > 0.01
    told = rewards_of(name, observation, action)
    assert told.dtype == np.float32
    np.testing.assert_allclose(told, paid, atol=TOLERANCE)


FREE = ["quadruped-walk", "quadruped-run", "humanoid-stand", "humanoid-walk", "humanoid-run", "humanoid_CMU-walk"]


@pytest.mark.parametrize("name", FREE)
def test_the_formula_is_the_simulators_reward_of_bodies_that_can_fall(name: str) -> None:
    """From states of all heights and tilts, at all speeds."""
    env, rng = make_env(name, seed=0), np.random.default_rng(0)
    model = env.unwrapped._suite.physics.model
    steps = []
    for number in range(90):
        near = (1.0, 0.3, 0.05)[number % 3]
        turned = np.array([1, 0, 0, 0]) + near * rng.normal(size=4)
        root = np.concatenate([[0, 0, rng.uniform(0.5, 2)], turned / np.linalg.norm(turned)])
        joints, rates = near * rng.uniform(-1, 1, model.nq - 7), near * rng.normal(0, 1, model.nv)
        rates[:2] += rng.uniform(-1, 12) * rng.normal(size=2)
        env.unwrapped.set_physics(np.concatenate([root, joints, rates, rng.uniform(-1, 1, model.na)]))
        action = env.action_space.sample()
        observation, reward, *_ = env.step(action)
        steps.append((observation, action, reward))
    observations, actions, rewards = map(np.array, zip(*steps, strict=True))
    assert np.std(rewards) > 0.01
    np.testing.assert_allclose(rewards_of(name, observations, actions), rewards, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["cheetah-run", BACKWARD, "cartpole-balance", "hopper-stand"])
def test_an_episode_of_random_actions(name: str) -> None:
    episode = random_rollout(name, seed=3)
    told = rewards_of(name, episode["observation"][1:], episode["action"])
    np.testing.assert_allclose(told, episode["reward"], atol=TOLERANCE)
    assert len(told) == 1000
    assert episode["truncated"][-1]


def test_backward_is_the_mirror_of_forward() -> None:
    observation, action, back = _anywhere(BACKWARD, 60)
    forward = rewards_of("cheetah-run", observation, action)
    assert ((back > 0) == (forward == 0)).all()
    position, rates = observation[:, :8], observation[:, 8:]
    mirrored = np.concatenate([position, -rates], axis=1)  # every rate reversed: the body's speed, too
    np.testing.assert_allclose(CheetahReward(10.0)(mirrored, action), back, atol=TOLERANCE)


def test_both_cheetahs_are_worth_something_to_each_other() -> None:
    """What reward rule `recompute` and the cross-task matrix use."""
    names = ("cheetah-run", BACKWARD)
    episodes = {name: [Episode(**random_rollout(name, seed))] for seed, name in enumerate(names)}
    table = cross_returns(Dataset.from_episodes(episodes))
    for row, name in enumerate(names):
        (episode,) = episodes[name]
        assert table[row, row] == pytest.approx(episode.episode_return)
        other = rewards_of(names[1 - row], episode.observation[1:], episode.action)
        assert table[row, 1 - row] == pytest.approx(other.sum(dtype=float))
    assert (table[:, 1] > table[:, 0]).all()  # random actions move it backwards


def test_a_dataset_of_backward_can_be_stored() -> None:
    store.write("lab/back-v0", BACKWARD, [Episode(**random_rollout(BACKWARD, 0))])
    assert store.read("lab/back-v0")[0] == BACKWARD
    rebuilt = minari.load_dataset("lab/back-v0").recover_environment()
    np.testing.assert_array_equal(rebuilt.reset(seed=4)[0], make_env(BACKWARD).reset(seed=4)[0])


def test_a_planar_body_is_known_from_its_angles() -> None:
    """The height of the hopper's torso above its foot, from MuJoCo and from the observation."""
    env = make_env("hopper-hop", seed=0).unwrapped
    physics, rng = env._suite.physics, np.random.default_rng(0)
    observations, heights, speeds = [], [], []
    for _ in range(50):
        observations.append(env.set_physics(np.concatenate([rng.uniform(-3, 3, 7), rng.normal(0, 5, 7)])))
        heights.append(physics.height())
        speeds.append(physics.speed())
    turned = planar.orientations("hopper", np.stack(observations)[:, :6])
    np.testing.assert_allclose(planar.height_above("hopper", "torso", "foot", turned), heights, atol=1e-6)
    speed = planar.forward_speed("hopper", turned, np.stack(observations)[:, 6:13])
    np.testing.assert_allclose(speed, speeds, atol=1e-5)


def test_another_bodys_observations() -> None:
    with pytest.raises(UserError, match=r"the cheetah's reward is a function of observations \[N, 17\], not \[5, 24\]"):
        rewards_of("cheetah-run", np.zeros((5, 24), np.float32), np.zeros((5, 6), np.float32))


def test_random_actions_return_what_the_task_says() -> None:
    """Within 4 standard deviations of an episode, for a task whose returns vary little."""
    returns = random_rollout(BACKWARD, seed=100)["reward"].sum()
    assert abs(returns - get_task(BACKWARD).random_return) < 8
    assert all(get_task(name).random_return is not None for name in task_names() if name in SUITE)


def test_no_word_of_the_models_old_attribute(capfd: pytest.CaptureFixture[str]) -> None:
    make_env("cheetah-run").close()
    logging.getLogger("absl").warning("of something else")
    said = capfd.readouterr().err
    assert "settotalmass" not in said
