"""A point that is pushed to a goal, whose simulator state can be set: complete or not, behind wrappers or not."""

import gymnasium
import numpy as np

from hcsac.data import Episode
from hcsac.tasks import Task, make_env, register_task

LIMIT = 30


class Pointer(gymnasium.Env):
    """Observes position, velocity and the way to the goal; paid for its nearness. Physics: position, velocity, goal."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-2.0, 2.0, (1,), np.float32)
    states = 3  # of the numbers of a state, how many are in the simulator states

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.time = self.np_random.normal(size=3), 0
        return self._observe(), {"physics": self.get_physics()}

    def _observe(self):
        position, velocity, goal = self.state
        return np.array([position, velocity, goal - position], np.float32)

    def step(self, action):
        position, velocity, goal = self.state
        self.time += 1
        self.state = np.array([position + 0.1 * velocity, 0.9 * velocity + 0.1 * float(action[0]), goal])
        return self._observe(), self._reward(), False, False, {"physics": self.get_physics()}

    def _reward(self):
        return float(np.exp(-abs(self.state[2] - self.state[0])))

    def get_physics(self):
        return self.state[: self.states].copy()

    def set_physics(self, state):
        self.state[: self.states] = state
        return self._observe()


class HiddenGoal(Pointer):
    states = 2


class Tiring(Pointer):
    """Is paid less the longer the episode lasts, which no state tells."""

    def _reward(self):
        return super()._reward() * 0.97**self.time


class Ending(Pointer):
    """Ends where it is far from the goal, and must not be stepped then."""

    def reset(self, *, seed=None, options=None):
        self.over = False
        return super().reset(seed=seed)

    def step(self, action):
        assert not self.over
        observation, reward, *_, info = super().step(action)
        self.over = bool(abs(observation[2]) > 1)
        return observation, reward, self.over, False, info


class Broken(Pointer):
    def set_physics(self, state):
        raise RuntimeError("no joint\nof that name")


class SilentPointer(Pointer):
    def set_physics(self, state):
        super().set_physics(state)


class Repeat(gymnasium.Wrapper):
    """Two steps an action, or one before an end."""

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            return observation, reward, terminated, truncated, info
        observation, second, terminated, truncated, info = self.env.step(action)
        return observation, reward + second, terminated, truncated, info


def stacked():
    return gymnasium.wrappers.FlattenObservation(gymnasium.wrappers.FrameStackObservation(Pointer(), 2))


def changed():
    """By wrappers that keep no state of their own."""
    env = gymnasium.wrappers.RescaleAction(Pointer(), np.float32(-1), np.float32(1))
    space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    env = gymnasium.wrappers.TransformObservation(env, lambda seen: 2 * seen, space)
    return gymnasium.wrappers.TransformReward(env, lambda reward: reward - 1)


def repeated():
    """Its last action would be applied once."""
    return Repeat(gymnasium.wrappers.TimeLimit(Pointer(), 2 * LIMIT + 1))


def normalised():
    return gymnasium.wrappers.NormalizeObservation(Pointer())


MAKERS = {
    "plain": Pointer, "twin": Pointer, "ending": Ending, "hidden": HiddenGoal, "broken": Broken,
    "silent": SilentPointer, "tiring": Tiring, "stacked": stacked, "changed": changed, "repeated": repeated,
    "normalised": normalised,
}  # fmt: skip
for _kind, _make in MAKERS.items():
    _limit = None if _kind == "repeated" else LIMIT
    gymnasium.register(f"tests/pointer-{_kind}-v0", _make, max_episode_steps=_limit)
    register_task(Task(f"pointer-{_kind}", f"tests/pointer-{_kind}-v0"))


def logs(kind: str, count: int = 6) -> list[Episode]:
    """Episodes of random actions that stay the same for some steps."""
    episodes = []
    for seed in range(count):
        env, random = make_env(f"pointer-{kind}"), np.random.default_rng(seed)
        observation, info = env.reset(seed=seed)
        observations, states, actions, rewards = [observation], [info["physics"]], [], []
        for step in range(LIMIT):
            drawn = random.uniform(env.action_space.low, env.action_space.high).astype(np.float32)
            actions.append(drawn if step % 3 == 0 else actions[-1])
            observation, reward, *_, info = env.step(actions[-1])
            observations.append(observation)
            states.append(info["physics"])
            rewards.append(reward)
        last = np.arange(LIMIT) == LIMIT - 1
        episodes.append(
            Episode(
                np.stack(observations).astype(np.float32), np.stack(actions), np.array(rewards, np.float32),
                np.zeros(LIMIT, bool), last, np.stack(states),
            )
        )  # fmt: skip
    return episodes
