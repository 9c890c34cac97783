"""Rewards of any task for any transition: by its own function, else by the simulator, else a clear refusal."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from hcsac.errors import UserError
from hcsac.tasks import Task, fixed_by, random_rollout, register_task, registry, require_rewards, rewards_of, walker

STATES = np.arange(12, dtype=np.float32).reshape(4, 3)
ACTIONS = np.full((4, 2), 0.5, np.float32)


@pytest.fixture(autouse=True)
def _own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))


def mine(answer: Any) -> str:
    """Register a task whose reward function is, or returns, `answer`."""
    function = answer if callable(answer) else lambda *_: answer
    register_task(Task("mine", "tests/slide-left-v0", reward=function))
    return "mine"


def test_a_users_function_sees_states_and_actions() -> None:
    told = rewards_of(mine(lambda state, action: state[:, 0] - action.sum(1)), STATES, ACTIONS)
    assert told.dtype == np.float32
    assert told.tolist() == [-1.0, 2.0, 5.0, 8.0]
    assert rewards_of("mine", STATES[:0], ACTIONS[:0]).shape == (0,)
    assert rewards_of(mine(lambda state, _: state[:, 0] > 4), STATES, ACTIONS).tolist() == [0, 0, 1, 1]
    assert rewards_of(mine([1, 2, 3, 4]), STATES, ACTIONS).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros((4, 1)), r"returned shape \[4, 1\] for 4 transitions; it must return \[4\]"),
        (np.zeros(5), r"returned shape \[5\] for 4 transitions"),
        (0.0, r"returned shape \[\] for 4 transitions"),
        (None, r"returned shape \[\]"),
        (np.array([0, np.nan, np.inf, 0]), "NaN or infinity for 2 of 4 transitions"),
        (np.full(4, 1e300), "NaN or infinity for 4 of 4 transitions"),  # more than float32 holds
        (np.array(["a"] * 4), "returned <U1 values"),
        (np.full(4, 1j), "returned complex128 values"),
        ([[1], [2, 3], [4], [5]], "failed on 4 transitions"),
        (lambda state, _: state[:, 7], r"failed on 4 transitions \(IndexError"),
        (lambda state: state[:, 0], r"failed on 4 transitions \(TypeError"),
    ],
)
def test_what_a_function_may_not_return(answer: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        rewards_of(mine(answer), STATES, ACTIONS)
    assert "task 'mine'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_failure_of_many_lines_is_told_in_one() -> None:
    def fails(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        raise RuntimeError("shapes\ndo not fit")

    with pytest.raises(UserError, match=r"\(RuntimeError: shapes do not fit\); fix it\.$"):
        rewards_of(mine(fails), STATES, ACTIONS)


def test_a_function_cannot_spoil_the_data() -> None:
    def spoils(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        state *= 0
        return state[:, 0]

    held = STATES.copy()
    with pytest.raises(UserError, match="read-only"):
        rewards_of(mine(spoils), held, ACTIONS)
    np.testing.assert_array_equal(held, STATES)
    held[0, 0] = 1  # the caller's own array stays as writeable as it was


def register_suite(domain: str, task: str) -> str:
    """A task of another domain, as a user adds one."""
    name = f"{domain}-{task}"
    gymnasium.register(
        f"tests/{name}-v0", "hcsac.tasks.environment:DmControlEnv", kwargs={"domain": domain, "task": task},
        max_episode_steps=50,
    )  # fmt: skip
    register_task(Task(name, f"tests/{name}-v0"))
    return name


@pytest.mark.parametrize(("domain", "task"), [("acrobot", "swingup"), ("fish", "upright")])
def test_other_domains_are_simulated(domain: str, task: str) -> None:
    name = register_suite(domain, task)
    e = random_rollout(name, seed=0)
    told = rewards_of(name, e["observation"][1:], e["action"], e["physics"][:-1])
    assert np.std(e["reward"]) > 1e-4
    np.testing.assert_allclose(told, e["reward"], atol=1e-5)
    with pytest.raises(UserError, match="no reward function, and the data have no simulator states"):
        rewards_of(name, e["observation"][1:], e["action"])
    del gymnasium.registry[f"tests/{name}-v0"]


def test_what_is_missing_is_said() -> None:
    require_rewards("walker-run", None)
    with pytest.raises(UserError, match=r"'slide-left' cannot be recomputed: .* its environment has no set_physics"):
        require_rewards("slide-left", 3)


def test_what_fixes_a_reward() -> None:
    assert fixed_by("walker-run") == fixed_by("walker-run")
    assert fixed_by("walker-run") != fixed_by("walker-walk")
    assert fixed_by("walker-run") == fixed_by("walker-speed:8")
    assert fixed_by(mine(lambda state, _: state[:, 0])) is None
    assert fixed_by("slide-left") is None
    every = [fixed_by(task) for task in ("cheetah-run", "cheetah-run_backward", "cartpole-balance", "hopper-hop")]
    assert None not in every
    assert len({str(fixed) for fixed in every}) == 4
    assert fixed_by("cartpole-balance") == fixed_by("cartpole-swingup")
    name = register_suite("acrobot", "swingup")
    assert fixed_by(name) is not None
    register_task(Task("other", f"tests/{name}-v0", {"task": "swingup_sparse"}))
    assert fixed_by("other") != fixed_by(name)

    class Mine(walker.WalkerReward):
        """A user's code, which may change."""

    assert fixed_by(mine(Mine(1.0))) is None
    del gymnasium.registry[f"tests/{name}-v0"]
