"""Environment steps a second: ours, plain dm_control, and other ways to step walkers on all cores."""

import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

os.environ.setdefault("MUJOCO_GL", "disabled")

from benchmarks.updates import A
from hcsac.evaluation import Evaluator, random_policy
from hcsac.machine import cores
from hcsac.tasks import make_env

EPISODES, STEPS = 20, 1000  # a vector step is EPISODES walkers of each of two tasks
COUNT = 2 * EPISODES
CORES = cores()


def measure(rounds: int = 3) -> dict[str, float]:
    """Steps a second under uniformly random actions, the highest of `rounds` measurements each."""
    ways: dict[str, Callable[[], Callable[[], Any]]] = {
        "plain dm_control, one walker": _dm_control,
        "ours, 1 process": lambda: _ours(1),
        f"ours, {CORES} processes": lambda: _ours(CORES),
        f"Gymnasium AsyncVectorEnv, {COUNT} processes": _async_vector,
        f"mujoco.rollout, {CORES} threads, simulation alone": _rollout,
    }
    if find_spec("envpool"):
        ways[f"EnvPool WalkerWalk-v1, {CORES} threads"] = _envpool
    rates = {}
    for name, make in ways.items():
        run = make()
        run()
        rates[name] = max(_rate(run) for _ in range(rounds))
    if find_spec("envpool"):
        rates |= envpool_error()
    return rates


def _rate(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    steps = run()
    return steps / (time.perf_counter() - began)


def _dm_control() -> Callable[[], int]:
    from dm_control import suite

    env, draw = suite.load("walker", "walk"), np.random.default_rng(0)

    def run() -> int:
        env.reset()
        for _ in range(STEPS):
            env.step(draw.uniform(-1, 1, A))
        return STEPS

    return run


def _ours(workers: int) -> Callable[[], int]:
    evaluator = Evaluator(("walker-walk", "walker-run"), EPISODES, workers=workers)

    def run() -> int:
        evaluator(random_policy(A))
        return COUNT * STEPS

    return run


def _async_vector() -> Callable[[], int]:
    from gymnasium.vector import AsyncVectorEnv

    env, draw = AsyncVectorEnv([lambda: make_env("walker-walk")] * COUNT), np.random.default_rng(0)

    def run() -> int:
        env.reset()
        for _ in range(STEPS // 4):
            env.step(draw.uniform(-1, 1, (COUNT, A)).astype(np.float32))
        return COUNT * STEPS // 4

    return run


def _rollout() -> Callable[[], int]:
    import mujoco
    from dm_control import suite
    from mujoco.rollout import Rollout

    env, draw = suite.load("walker", "walk"), np.random.default_rng(0)
    env.reset()
    model, data = env.physics.model.ptr, env.physics.data.ptr
    copies = [mujoco.MjData(model) for _ in range(CORES)]
    kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
    state = np.empty(mujoco.mj_stateSize(model, kind))
    mujoco.mj_getState(model, data, state, kind)
    inner = round(env.control_timestep() / env.physics.timestep())

    def run() -> int:
        now = np.tile(state, (COUNT, 1))
        with Rollout(nthread=CORES) as rollout:
            for _ in range(STEPS // 4):
                control = np.repeat(draw.uniform(-1, 1, (COUNT, 1, A)), inner, axis=1)
                now = rollout.rollout(model, copies, now, control)[0][:, -1]
        return COUNT * STEPS // 4

    return run


def _envpool() -> Callable[[], int]:
    import envpool

    env = envpool.make_gymnasium("WalkerWalk-v1", num_envs=COUNT, num_threads=CORES)
    draw = np.random.default_rng(0)

    def run() -> int:
        env.reset()
        for _ in range(STEPS):
            env.step(draw.uniform(-1, 1, (COUNT, A)))
        return COUNT * STEPS

    return run


def envpool_error(steps: int = 300) -> dict[str, float]:
    """The largest difference between one step of EnvPool and one of dm_control from the same state.

    The state is computed from EnvPool's observation, which determines all of it but the walker's horizontal position.
    """
    import envpool

    errors: dict[str, float] = {}
    for ours, theirs in (("walker-walk", "WalkerWalk-v1"), ("walker-run", "WalkerRun-v1")):
        other, env = envpool.make_gymnasium(theirs, num_envs=1, num_threads=1), make_env(ours)
        env.reset(seed=0)
        bare: Any = env.unwrapped
        draw = np.random.default_rng(1)
        seen = other.reset()[0]
        worst_observation = worst_reward = 0.0
        for _ in range(steps):
            bare.set_physics(_state_of(seen))
            action = draw.uniform(-1, 1, A)
            observation, reward, *_ = bare.step(action)
            seen, reward_there, *_ = other.step(action[None])
            flat = np.concatenate([np.ravel(seen[key][0]) for key in ("orientations", "height", "velocity")])
            worst_observation = max(worst_observation, float(np.abs(flat - observation).max()))
            worst_reward = max(worst_reward, abs(float(reward_there[0]) - reward))
        errors[f"EnvPool {theirs}, largest difference of an observation in {steps} steps"] = worst_observation
        errors[f"EnvPool {theirs}, largest difference of a reward in {steps} steps"] = worst_reward
    return errors


def _state_of(seen: dict[str, np.ndarray]) -> np.ndarray:
    """qpos and qvel of a walker at x = 0 from its observation."""
    x, z = seen["orientations"][0].reshape(7, 2).T
    angle = np.arctan2(z, x)  # of torso, right thigh, leg, foot, left thigh, leg, foot
    return np.concatenate([[seen["height"][0] - 1.3, 0.0], _joints(angle), seen["velocity"][0]])


def _joints(angle: np.ndarray) -> np.ndarray:
    torso, *legs = angle
    joints = [torso]
    for leg in (legs[:3], legs[3:]):
        bends = -np.diff([torso, *leg])  # the hinges of the legs have the opposite sign
        joints += list((bends + np.pi) % (2 * np.pi) - np.pi)
    return np.array(joints)
