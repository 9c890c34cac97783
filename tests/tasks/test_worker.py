"""Simulators in processes of their own: what they give, and every way in which they fail."""

import os
import signal

import gymnasium
import numpy as np
import pytest

from hcsac.evaluation import Evaluator
from hcsac.tasks import SimulatorError, Task, make_envs, register_task, worker
from hcsac.tasks.vector_env import SerialEnvs
from hcsac.tasks.worker import WorkerEnvs, pack
from tests.tasks import odd


@pytest.fixture
def workers(monkeypatch):
    monkeypatch.delenv("HCSAC_SIMULATE")


def still(observation, task, noise=None):
    return np.zeros((*observation.shape[:2], 1), np.float32)


def returns(kind):
    evaluator = Evaluator((f"odd-{kind}",), episodes=2)
    try:
        return evaluator(still)
    finally:
        evaluator.close()


def test_processes_give_what_this_process_gives(workers):
    tasks = ["odd-sound", "odd-alias"] * 3
    ours, theirs = SerialEnvs(tasks), make_envs(tasks, 4)
    assert isinstance(theirs, WorkerEnvs)
    assert len(theirs.workers) == 4
    processes = [one.process for one in theirs.workers]
    seeds = list(range(6))
    np.testing.assert_array_equal(theirs.reset(seeds), ours.reset(seeds))
    running = np.ones(6, bool)
    for step in range(8):
        action = np.random.default_rng(step).uniform(-1, 1, (6, 1)).astype(np.float32)
        for one, other in zip(ours.step(action, running), theirs.step(action, running), strict=True):
            np.testing.assert_array_equal(one, other)
        running = np.arange(6) != step
    theirs.close()
    assert all(process.poll() == 0 for process in processes)


@pytest.mark.parametrize("kind", ["alias", "array-reward", "list-observation", "child", "torch"])
def test_what_is_odd_but_sound_is_accepted(kind, workers):
    np.testing.assert_allclose(returns(kind), Evaluator(("odd-sound",), episodes=2)(still))


SAYS = {
    "nan-reward": "task 'odd-nan-reward': its simulator gave the reward nan at step 5 of an episode.",
    "nan-observation": "task 'odd-nan-observation': its simulator gave an observation with NaN at step 5 of an "
    "episode.",
    "long-observation": "task 'odd-long-observation': its simulator gave an observation of 3 numbers at step 5 of an "
    "episode; its observation space has 2.",
    "raise": "task 'odd-raise': its simulator failed at step 5 of an episode (RuntimeError: encoder lost).",
    "odd-error": "task 'odd-odd-error': its simulator failed at step 5 of an episode (TwoArgumentsError: joint 3).",
    "die": "task 'odd-die': the process of its simulator ended with exit status 3.",
    "segfault": "task 'odd-segfault': the process of its simulator was killed by SIGSEGV.",
    "hang": "task 'odd-hang': its simulator did nothing for 1 s, and was stopped.",
}


@pytest.mark.parametrize("kind", SAYS)
def test_a_failure_names_task_and_cause(kind, workers, monkeypatch):
    evaluator = Evaluator(("odd-sound", f"odd-{kind}"), episodes=2, workers=2)
    if kind == "hang":
        monkeypatch.setattr(worker, "DEADLINE", 1.0)
        monkeypatch.setattr(worker, "_BEAT", 0.2)
    processes = [one.process for one in evaluator.envs.workers]
    with pytest.raises(SimulatorError) as error:
        evaluator(still)
    assert str(error.value) == SAYS[kind]
    assert all(process.poll() is not None for process in processes)  # none is left


def test_a_worker_that_is_killed_by_someone_is_named(workers):
    envs = make_envs(["odd-sound"], 1)
    envs.reset([0])
    os.kill(envs.workers[0].process.pid, signal.SIGKILL)
    with pytest.raises(SimulatorError, match="task 'odd-sound': the process of its simulator was killed by SIGKILL"):
        envs.step(np.zeros((1, 1)), np.ones(1, bool))


@pytest.mark.parametrize("kind", ["nan-reward", "raise"])
def test_in_this_process_a_failure_is_named_too(kind):
    with pytest.raises(SimulatorError) as error:
        returns(kind)
    assert str(error.value) == SAYS[kind]


def test_an_endless_world_is_cut():
    calls = []

    def act(observation, task, noise):
        calls.append(1)
        return still(observation, task)

    Evaluator(("odd-endless",), episodes=1, steps=30)(act)
    assert len(calls) == 30
    assert Evaluator(("odd-endless", "odd-sound"), episodes=1).limit.tolist() == [10_000, 8]
    assert Evaluator(("odd-sound",), episodes=2, steps=5).limit.tolist() == [5, 5]


def test_an_environment_that_only_a_script_knows_is_stepped_here(workers):
    gymnasium.register("tests/odd-local-v0", lambda: odd.Odd("sound"), max_episode_steps=8)
    register_task(Task("odd-local", "tests/odd-local-v0"))
    assert pack(["odd-sound", "odd-local"]) is None
    assert isinstance(make_envs(["odd-local"], 2), SerialEnvs)
