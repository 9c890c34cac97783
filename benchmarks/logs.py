"""Correctly aligned logs of many kinds, in which checks of the alignment must find nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np
from scipy.linalg import solve_discrete_are

from hcsac.data import Episode
from hcsac.tasks import make_env

REWARDS = ("r(s, a)", "r(s')", "r(s)", "sparse")


@dataclass(frozen=True)
class System:
    """A random system in discrete time under a stabilising controller, and what disturbs both.

    Noise is given by its standard deviation; the states start with 1, the actions are in [-1, 1].
    """

    explore: float = 0.0  # noise on actions
    correlated: float = 0.0  # correlation of that noise from one step to the next (an Ornstein-Uhlenbeck process)
    push: float = 0.0  # noise on states
    sensor: float = 0.0  # noise on observations, which the controller sees, too
    lag: int = 0  # steps after which an action acts
    filtered: float = 0.0  # share of the force before that an actuator keeps
    delay: int = 0  # steps by which the controller sees the state late
    derivative: bool = False  # the controller acts on the change of the last two observations, too
    positions: bool = False  # velocities are not observed
    curved: bool = False  # nonlinear
    idle: bool = False  # no controller: random actions


def system_log(system: System, rng: np.random.Generator, rows: int, reward: str) -> list[Episode]:
    """About `rows` steps of a newly drawn system of that kind; `reward` is one of `REWARDS`."""
    axes, inputs, step = int(rng.integers(1, 4)), int(rng.integers(1, 3)), rng.uniform(0.02, 0.15)
    length = int(min(rows, rng.choice([50, 100, 200, 500])))
    count, size = max(2, rows // length), 2 * axes
    A, B, K = _plant(rng, axes, inputs, step)
    bend, mix, goal = rng.normal(size=(size, size)), rng.normal(size=(size, size)) * step / 2, rng.normal(size=size)
    state = rng.normal(size=(count, size))
    noise, force = np.zeros((count, inputs)), np.zeros((count, inputs))
    waiting = [force] * system.lag
    states, seen, actions = [state], [state + system.sensor * rng.normal(size=state.shape)], []
    for _ in range(length):
        wanted = 0 * noise if system.idle else -seen[max(0, len(seen) - 1 - system.delay)] @ K.T
        if system.derivative and len(seen) > 1:
            wanted = wanted - 2 * (seen[-1] - seen[-2]) @ K.T
        noise = _next_noise(rng, noise, system.explore, system.correlated)
        action = np.clip(np.tanh(wanted) + noise, -1, 1)
        waiting.append(action)
        force = system.filtered * force + (1 - system.filtered) * waiting.pop(0)
        following = state @ A.T + force @ B.T + system.curved * np.tanh(state @ bend.T) @ mix.T
        state = following + system.push * np.sqrt(step) * rng.normal(size=state.shape)
        states.append(state)
        seen.append(state + system.sensor * rng.normal(size=state.shape))
        actions.append(action)
    shown, action = np.stack(seen, axis=1), np.stack(actions, axis=1)
    paid = _rewards(reward, np.stack(states, axis=1), action, goal, rng)
    columns = axes if system.positions else size
    none, last = np.zeros(length, bool), np.arange(length) == length - 1
    arrays = (shown[..., :columns].astype(np.float32), action.astype(np.float32), paid.astype(np.float32))
    return [Episode(o, a, r, none, last) for o, a, r in zip(*arrays, strict=True)]


def _plant(rng: np.random.Generator, axes: int, inputs: int, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Damped masses on springs, [2 axes, ...], and the gains of a linear quadratic regulator."""
    size = 2 * axes
    A, B = np.eye(size), np.zeros((size, inputs))
    A[:axes, axes:] = step * np.eye(axes)
    stiff, damping = rng.uniform(0, 1, (axes, axes)) + np.eye(axes), 0.3 * rng.uniform(size=(axes, axes))
    A[axes:] -= step * np.hstack([stiff, damping])
    B[axes:] = step * rng.normal(size=(axes, inputs)) * rng.uniform(1, 4)
    P = solve_discrete_are(A, B, np.eye(size), rng.uniform(0.1, 3) * np.eye(inputs))
    return A, B, np.linalg.solve(B.T @ P @ B + np.eye(inputs), B.T @ P @ A)


def _next_noise(rng: np.random.Generator, noise: np.ndarray, std: float, correlated: float) -> np.ndarray:
    return correlated * noise + np.sqrt(1 - correlated**2) * std * rng.normal(size=noise.shape)


def _rewards(kind: str, s: np.ndarray, a: np.ndarray, goal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    left, reached = np.abs(s[:, :-1] @ goal), np.abs(s[:, 1:] @ goal)
    if kind == "r(s, a)":
        return -(left**2) - rng.uniform(0.01, 1) * (a**2).sum(-1)
    if kind == "r(s')":
        return -reached
    if kind == "r(s)":
        return 1 / (1 + left**2)
    return (reached < np.quantile(reached, 0.2)).astype(float)


@dataclass(frozen=True)
class Robot:
    """A simulated robot under a random network."""

    task: str
    explore: float = 0.0  # as in `System`
    correlated: float = 0.0
    gain: float = 1.0  # of the network's last layer; 0: random actions


def robot_log(robot: Robot, rng: np.random.Generator, rows: int, length: int = 250) -> list[Episode]:
    """About `rows` steps in the simulator, in episodes of at most `length`; actions in [-1, 1]."""
    env = _env(robot.task)
    size, inputs = env.observation_space.shape[0], env.action_space.shape[0]
    first, phase = rng.normal(size=(32, size)) / np.sqrt(size) * 1.5, rng.normal(size=32)
    second = rng.normal(size=(inputs, 32)) / np.sqrt(32) * 3 * robot.gain
    episodes = []
    for _ in range(max(2, rows // length)):
        observation, _ = env.reset(seed=int(rng.integers(2**31)))
        observations, steps, noise, over = [observation], [], np.zeros(inputs), False
        while not over and len(steps) < min(length, rows):
            noise = _next_noise(rng, noise, robot.explore, robot.correlated)
            wanted = np.tanh(second @ np.tanh(first @ np.asarray(observation) + phase))
            action = np.clip(wanted + noise, -1, 1).astype(np.float32)
            observation, reward, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
            observations.append(observation)
            steps.append((action, reward))
        actions, rewards = zip(*steps, strict=True)
        last = np.arange(len(steps)) == len(steps) - 1
        ended = last & bool(terminated)
        arrays = (np.array(values, np.float32) for values in (observations, actions, rewards))
        episodes.append(Episode(*arrays, ended, last & ~ended))
    return episodes


@lru_cache
def _env(name: str) -> Any:
    if name == "pendulum":
        return gymnasium.wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), -1.0, 1.0)
    return make_env(name)


Draw = Callable[[np.random.Generator, int], list[Episode]]


def _system(**options: Any) -> Draw:
    return lambda rng, rows: system_log(System(**options), rng, rows, str(rng.choice(REWARDS)))


def _robot(*args: Any, **options: Any) -> Draw:
    return lambda rng, rows: robot_log(Robot(*args, **options), rng, min(rows, 2000))


LOGS: dict[str, Draw] = {
    "system: noise on actions": _system(explore=0.3),
    "system: noise on actions and states": _system(explore=0.3, push=0.1),
    "system: random actions": _system(explore=0.6, push=0.02, idle=True),
    "system: correlated noise on actions": _system(explore=0.3, correlated=0.9, push=0.05),
    "system: no noise": _system(),
    "system: noise on states": _system(push=0.2),
    "system: noise on observations": _system(explore=0.2, sensor=0.05),
    "system: noise on observations alone": _system(sensor=0.1),
    "system: lag": _system(lag=1),
    "system: lag, noise on actions": _system(lag=1, explore=0.3),
    "system: lag, noise on states": _system(lag=1, push=0.2),
    "system: lag, noise on both": _system(lag=1, explore=0.3, push=0.1),
    "system: lag, correlated noise": _system(lag=1, explore=0.3, correlated=0.9),
    "system: slow actuator": _system(filtered=0.7, explore=0.3, push=0.05),
    "system: delayed controller": _system(delay=1, explore=0.2, push=0.1),
    "system: controller with derivative": _system(derivative=True, push=0.1),
    "system: positions alone": _system(positions=True, push=0.1),
    "system: positions alone, noise on actions": _system(positions=True, explore=0.3),
    "system: nonlinear, noise on actions": _system(curved=True, explore=0.2, push=0.05),
    "system: nonlinear, noise on states": _system(curved=True, push=0.2),
    "pendulum": _robot("pendulum"),
    "pendulum, noise on actions": _robot("pendulum", explore=0.3),
    "cartpole": _robot("cartpole-swingup"),
    "cartpole, noise on actions": _robot("cartpole-swingup", explore=0.3),
    "hopper": _robot("hopper-hop", gain=0.4),
    "hopper, correlated noise": _robot("hopper-hop", explore=0.4, correlated=0.8),
    "walker": _robot("walker-walk", gain=0.3),
    "walker, noise on actions": _robot("walker-walk", explore=0.2, gain=0.3),
    "walker, random actions": _robot("walker-walk", explore=0.7, gain=0.0),
}


def draw_log(kind: str, seed: int, most: int = 50_000) -> list[Episode]:
    """A log of that kind: 200 to `most` rows, log-uniform, in whole episodes."""
    rng = np.random.default_rng([list(LOGS).index(kind), seed])
    return LOGS[kind](rng, int(np.exp(rng.uniform(np.log(200), np.log(most)))))
