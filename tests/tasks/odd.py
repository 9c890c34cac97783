"""A point on a line whose simulator misbehaves: in the process of a worker it must be found by its module's name."""

import os
import time

import gymnasium
import numpy as np

from hcsac.tasks import Task, register_task

KINDS = ("sound", "alias", "array-reward", "list-observation", "nan-reward", "nan-observation", "long-observation",
         "die", "segfault", "raise", "odd-error", "hang", "child", "torch", "endless")  # fmt: skip


class TwoArgumentsError(Exception):
    """Cannot be unpickled."""

    def __init__(self, name, number):
        super().__init__(f"{name}\n{number}")


class Odd(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, kind):
        self.kind = kind

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.t = self.np_random.uniform(-1, 1, 2).astype(np.float32), 0
        return self.see(), {}

    def see(self):
        return self.state if self.kind == "alias" else self.state.copy()

    def step(self, action):
        self.t += 1
        self.state += np.float32(0.1) * np.array([self.state[1], action[0]], np.float32)
        observation, reward, now = self.see(), -abs(float(self.state[0])), self.t == 5
        if self.kind == "array-reward":
            reward = np.array([reward])
        if self.kind == "list-observation":
            observation = observation.tolist()
        if now and self.kind == "nan-reward":
            reward = float("nan")
        if now and self.kind == "nan-observation":
            observation[1] = np.nan
        if now and self.kind == "long-observation":
            observation = np.zeros(3)
        if now and self.kind == "die":
            os._exit(3)
        if now and self.kind == "segfault":
            os.kill(os.getpid(), 11)
        if now and self.kind == "raise":
            raise RuntimeError("encoder lost")
        if now and self.kind == "odd-error":
            raise TwoArgumentsError("joint", 3)
        if now and self.kind == "hang":
            time.sleep(600)
        if now and self.kind == "child":
            import multiprocessing

            child = multiprocessing.get_context("fork").Process(target=int)
            child.start()
            child.join()
        if self.kind == "torch":
            import torch

            torch.set_num_threads(2)
            reward += 0.0 * float((torch.ones(400, 400) @ torch.ones(400, 400)).sum() + torch.ones(2_000_000).sum())
        return observation, reward, False, False, {}


def make(kind):
    return Odd(kind)


for _kind in KINDS:
    _limit = {} if _kind == "endless" else {"max_episode_steps": 8}
    gymnasium.register(f"tests/odd-{_kind}-v0", "tests.tasks.odd:make", kwargs={"kind": _kind}, **_limit)
    register_task(Task(f"odd-{_kind}", f"tests/odd-{_kind}-v0"))
