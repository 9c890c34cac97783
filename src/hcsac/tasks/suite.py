"""The tasks of the dm_control suite, and one that it lacks. Each has 1000 steps an episode, and no terminal state.

Left out are `lqr` (actions without bounds, and a model drawn at random) and `quadruped-escape` (terrain drawn at
random, which needs a renderer).

`random_return` is the mean return of 20 episodes of uniform actions. `expert_return` is that of online policies, where
one is known.
"""

from typing import Any

import gymnasium

from hcsac.tasks.cartpole import CartpoleReward
from hcsac.tasks.cheetah import RUN_SPEED, CheetahReward
from hcsac.tasks.formula import RewardFormula
from hcsac.tasks.hopper import HopperReward
from hcsac.tasks.humanoid import HumanoidCMUReward, HumanoidReward
from hcsac.tasks.quadruped import QuadrupedReward
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
    domain: str,
    task: str,
    reward: RewardFormula | None = None,
    *,
    random: float,
    expert: float | None = None,
    own: str | None = None,
) -> None:
    """The task `DOMAIN-TASK`; `own` is the entry point of its environment where the suite has none."""
    kwargs = {} if own else {"domain": domain, "task": task}
    env_id = _register_env(domain, task, own or _SUITE, kwargs)
    register_task(
        Task(f"{domain}-{task}", env_id, random_return=random, expert_return=expert, reward=reward, highest_reward=1.0),
    )


_register("acrobot", "swingup", random=1.03)
_register("acrobot", "swingup_sparse", random=0.0)
_register("ball_in_cup", "catch", random=90.3)
_register("cartpole", "balance", CartpoleReward(sparse=False), random=360.0)
_register("cartpole", "balance_sparse", CartpoleReward(sparse=True), random=53.0)
_register("cartpole", "swingup", CartpoleReward(sparse=False), random=26.5)
_register("cartpole", "swingup_sparse", CartpoleReward(sparse=True), random=0.0)
_register("cartpole", "two_poles", random=18.4)
_register("cartpole", "three_poles", random=12.3)
_register("cheetah", "run", CheetahReward(RUN_SPEED), random=3.63)
_register(
    "cheetah", "run_backward", CheetahReward(-RUN_SPEED), random=20.3, own="hcsac.tasks.cheetah:CheetahBackwardEnv"
)
_register("dog", "stand", random=19.2)
_register("dog", "walk", random=7.21)
_register("dog", "trot", random=5.94)
_register("dog", "run", random=4.55)
_register("dog", "fetch", random=2.05)
_register("finger", "spin", random=1.15)
_register("finger", "turn_easy", random=195.0)
_register("finger", "turn_hard", random=60.8)
_register("fish", "upright", random=356.0)
_register("fish", "swim", random=73.8)
_register("hopper", "stand", HopperReward(hopping=False), random=1.73)
_register("hopper", "hop", HopperReward(hopping=True), random=0.03)
_register("humanoid", "stand", HumanoidReward(0.0), random=4.15)
_register("humanoid", "walk", HumanoidReward(1.0), random=0.873)
_register("humanoid", "run", HumanoidReward(10.0), random=0.711)
_register("humanoid", "run_pure_state", random=0.711)
_register("humanoid_CMU", "stand", HumanoidCMUReward(0.0), random=4.46)
_register("humanoid_CMU", "walk", HumanoidCMUReward(1.0), random=1.17)
_register("humanoid_CMU", "run", HumanoidCMUReward(10.0), random=0.789)
_register("manipulator", "bring_ball", random=0.518)
_register("manipulator", "bring_peg", random=0.628)
_register("manipulator", "insert_ball", random=0.0)
_register("manipulator", "insert_peg", random=50.4)
_register("pendulum", "swingup", random=0.4)
_register("point_mass", "easy", random=0.0)
_register("point_mass", "hard", random=0.0)
_register("quadruped", "walk", QuadrupedReward(0.5), random=177.0)
_register("quadruped", "run", QuadrupedReward(5.0), random=178.0)
_register("quadruped", "fetch", random=153.0)
_register("reacher", "easy", random=27.6)
_register("reacher", "hard", random=2.7)
_register("stacker", "stack_2", random=22.2)
_register("stacker", "stack_4", random=28.0)
_register("swimmer", "swimmer6", random=161.0)
_register("swimmer", "swimmer15", random=75.6)
_register("walker", "stand", WalkerReward(0.0), random=132.0)
_register("walker", "walk", WalkerReward(1.0), random=32.3, expert=980.0)
_register("walker", "run", WalkerReward(8.0), random=23.4, expert=843.0)
_register_env("walker", "speed", "hcsac.tasks.walker:WalkerSpeedEnv", {})  # of walker-speed:V
_register_env("walker", "pace", "hcsac.tasks.walker:WalkerPaceEnv", {})  # of walker-pace:V
