"""Two tasks in one light environment: a point in the plane, pushed to the left or to the right."""

import gymnasium
import numpy as np

import hcsac


class Push(gymnasium.Env):
    """Observation: position and velocity [4]; action: force [2]; reward: `direction` times the first coordinate."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, direction=1.0, render_mode=None):
        self.direction, self.render_mode = direction, render_mode
        self.position, self.velocity = np.zeros(2), np.zeros(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.velocity = self.np_random.normal(size=2), np.zeros(2)
        return self._observation(), {}

    def step(self, action):
        self.velocity = 0.9 * self.velocity + 0.1 * np.asarray(action)
        self.position = self.position + self.velocity
        return self._observation(), float(self.direction * self.position[0]), False, False, {}

    def render(self):
        """uint8 [32, 32, 3]: a white point on black."""
        image = np.zeros((32, 32, 3), np.uint8)
        row, column = np.clip(16 + 4 * self.position[::-1], 0, 31).astype(int)
        image[row, column] = 255
        return image

    def _observation(self):
        return np.concatenate([self.position, self.velocity]).astype(np.float32)


def reward(direction):
    """The reward of n transitions from their next observation [n, 4], which needs no simulator."""
    return lambda next_observation, action: direction * next_observation[:, 0]


for _name, _direction in {"example-push-right": 1.0, "example-push-left": -1.0}.items():
    gymnasium.register(
        f"hcsac_example/{_name}-v0", entry_point="hcsac_example.push:Push",
        kwargs={"direction": _direction}, max_episode_steps=12,
    )  # fmt: skip
    hcsac.register_task(
        hcsac.Task(_name, f"hcsac_example/{_name}-v0", random_return=0.0, expert_return=40.0, reward=reward(_direction))
    )
