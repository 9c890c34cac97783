"""The tasks of the dm_control suite that are registered, each with 1000 steps an episode.

`random_return` is the mean return of 20 episodes of uniform actions. `expert_return` is that of online policies, where
one is known.
"""

from typing import Any

import gymnasium

from hcsac.tasks.cartpole import CartpoleReward
from hcsac.tasks.cheetah import RUN_SPEED, CheetahReward
from hcsac.tasks.formula import RewardFormula
from hcsac.tasks.hopper import HopperReward
from hcsac.tasks.registry import Task, register_task
from hcsac.tasks.walker import WalkerReward

_SUITE = "hcsac.tasks.environment:DmControlEnv"


def _register_env(domain: str, task: str, entry_point: str, kwargs: dict[str, Any]) -> str:
    env_id = f"hcsac/{domain}-{task}-v0"
    if env_id not in gymnasium.registry:
        # A string entry point and plain keyword arguments: Minari stores the spec as JSON and rebuilds it.
        gymnasium.register(id=env_id, entry_point=entry_point, kwargs=kwargs, max_episode_steps=1000)
    return env_id


def _register(
    domain: str, task: str, reward: RewardFormula, random: float, expert: float | None = None, own: str | None = None
) -> None:
    """The task `DOMAIN-TASK`; `own` is the entry point of its environment where the suite has none."""
    kwargs = {} if own else {"domain": domain, "task": task}
    env_id = _register_env(domain, task, own or _SUITE, kwargs)
    register_task(
        Task(f"{domain}-{task}", env_id, random_return=random, expert_return=expert, reward=reward),
    )


_register("walker", "stand", WalkerReward(0.0), random=132.0)
_register("walker", "walk", WalkerReward(1.0), random=32.3, expert=980.0)
_register("walker", "run", WalkerReward(8.0), random=23.4, expert=843.0)
_register_env("walker", "speed", "hcsac.tasks.walker:WalkerSpeedEnv", {})  # of walker-speed:V
_BACKWARD = "hcsac.tasks.cheetah:CheetahBackwardEnv"
_register("cheetah", "run", CheetahReward(RUN_SPEED), random=3.63)
_register("cheetah", "run_backward", CheetahReward(-RUN_SPEED), random=20.3, own=_BACKWARD)
_register("cartpole", "balance", CartpoleReward(sparse=False), random=360.0)
_register("cartpole", "swingup", CartpoleReward(sparse=False), random=26.5)
_register("cartpole", "balance_sparse", CartpoleReward(sparse=True), random=53.0)
_register("cartpole", "swingup_sparse", CartpoleReward(sparse=True), random=0.0)
_register("hopper", "stand", HopperReward(hopping=False), random=1.73)
_register("hopper", "hop", HopperReward(hopping=True), random=0.03)
