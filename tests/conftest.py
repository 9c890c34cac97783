"""What all tests share: one thread, a private Minari store, a light task, tiny datasets, the course data."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HCSAC_SIMULATE", "in-process")  # a process for every evaluation would take most of the time

import gymnasium
import numpy as np
import pytest
import torch

from hcsac.cli import main
from hcsac.data.dataset import Dataset
from hcsac.data.episode import Episode
from hcsac.tasks import Task, register_task
from tests import shapes

shapes.install()


class Slide(gymnasium.Env):
    """A point that is pushed around; `sign` makes two tasks of one world."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, sign: float = 1.0):
        self.sign = sign

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.normal(size=3).astype(np.float32)
        return self.state.copy(), {}

    def step(self, action):
        self.state = (0.9 * self.state + np.array([*action, action.sum()]) * 0.1).astype(np.float32)
        return self.state.copy(), float(self.sign * self.state[0]), False, False, {}


class Goal(Slide):
    """The same world, which ends when the point nears the origin and cannot be stepped on after."""

    def reset(self, *, seed=None, options=None):
        self.over = False
        return super().reset(seed=seed)

    def step(self, action):
        assert not self.over, "stepped after the end"
        observation, reward, *_ = super().step(action)
        self.over = bool(abs(observation).max() < 0.8)
        return observation, reward + 1.0, self.over, False, {}


class Free(Slide):
    """The same world, whose actions have no bounds."""

    action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)


class Arm(gymnasium.Env):
    """A joint that goes where it is told, in its own units; it is paid for being told the negative of what it sees."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(np.array([-0.4, 0], np.float32), np.array([0.4, 1], np.float32))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.draw(), {}

    def draw(self):
        self.seen = self.np_random.uniform((-0.4, 0), (0.4, 1)).astype(np.float32)
        return self.seen.copy()

    def step(self, action):
        assert self.action_space.contains(action), action
        paid = -float(np.abs(action - (-self.seen[0], 1 - self.seen[1])).sum())
        return self.draw(), paid, False, False, {}


def scaled_arm() -> gymnasium.Env:
    """The arm with actions in [-1, 1]."""
    return gymnasium.wrappers.RescaleAction(Arm(), -1, 1)


gymnasium.register("tests/free-v0", entry_point="tests.conftest:Free", max_episode_steps=12)
gymnasium.register("tests/arm-v0", entry_point="tests.conftest:Arm", max_episode_steps=12)
register_task(Task("arm", "tests/arm-v0"))
gymnasium.register("tests/scaled-arm-v0", entry_point="tests.conftest:scaled_arm", max_episode_steps=12)
gymnasium.register("tests/goal-v0", entry_point="tests.conftest:Goal", max_episode_steps=12)
register_task(Task("goal", "tests/goal-v0"))

TASKS = {"slide-left": -1.0, "slide-right": 1.0}
for _name, _sign in TASKS.items():
    gymnasium.register(
        f"tests/{_name}-v0", entry_point="tests.conftest:Slide", kwargs={"sign": _sign}, max_episode_steps=12
    )
    register_task(Task(_name, f"tests/{_name}-v0", random_return=0.0, expert_return=10.0))


COURSE = Path(os.environ.get("HCSAC_COURSE_DATA", "no such folder"))


@pytest.fixture(scope="session")
def course() -> Path:
    """The folder of the course data; skips where it is absent."""
    if not (COURSE / "walker_walk-td3-medium").is_dir():
        pytest.skip("needs the course data: set HCSAC_COURSE_DATA to the folder that holds walker_walk-td3-medium")
    return COURSE


@pytest.fixture(autouse=True)
def _private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own datasets or directory."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    (tmp_path / "minari").mkdir()
    torch.set_num_threads(1)


def slide_episodes(name: str, count: int = 4, seed: int = 0, length: int = 12) -> list[Episode]:
    """Random episodes of a light task."""
    env = gymnasium.make(f"tests/{name}-v0")
    random = np.random.default_rng([seed, int(TASKS[name]) + 1])
    episodes = []
    for number in range(count):
        observations = [env.reset(seed=1000 * seed + 100 * int(TASKS[name]) + 200 + number)[0]]
        actions = random.uniform(-1, 1, (length, 2)).astype(np.float32)
        rewards = []
        for action in actions:
            observation, reward, *_ = env.step(action)
            observations.append(observation)
            rewards.append(reward)
        last = np.arange(length) == length - 1
        episodes.append(
            Episode(np.stack(observations), actions, np.array(rewards, np.float32), np.zeros(length, bool), last)
        )
    return episodes


def arm_episodes(count: int = 40, length: int = 12) -> list[Episode]:
    """Of one who does what the arm is paid for."""
    env = gymnasium.make("tests/arm-v0")
    episodes = []
    for number in range(count):
        observations, actions, rewards = [env.reset(seed=1000 + number)[0]], [], []
        for _ in range(length):
            seen = observations[-1]
            actions.append(np.array([-seen[0], 1 - seen[1]], np.float32))
            observation, reward, *_ = env.step(actions[-1])
            observations.append(observation)
            rewards.append(reward)
        last = np.arange(length) == length - 1
        paid = np.array(rewards, np.float32)
        episodes.append(Episode(np.stack(observations), np.stack(actions), paid, np.zeros(length, bool), last))
    return episodes


@pytest.fixture
def slides() -> Dataset:
    """Two light tasks, 4 episodes of 12 steps each."""
    return Dataset.from_episodes({name: slide_episodes(name) for name in TASKS})


def run(*arguments: object) -> object:
    """The exit status of the command line, called in this process."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return exit_.value.code
