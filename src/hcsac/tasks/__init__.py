"""Tasks: a name, a Gymnasium environment, a reward function, and two reference returns.

Adding one is a line: `register_task(Task("my-task", "my_package/MyEnv-v0"))`. Only this package uses dm_control, which
is imported when the first environment is made.
"""

from hcsac.tasks import suite  # noqa: F401 (registers its tasks)
from hcsac.tasks.bounds import ActionBounds
from hcsac.tasks.family import tasks_between
from hcsac.tasks.registry import (
    Reward,
    Task,
    Terminated,
    action_bounds,
    box_size,
    get_task,
    has_simulator,
    make_env,
    register_task,
    rescales_actions,
    robot_spaces,
    suite_body,
    task_names,
    task_of_env,
    time_limit,
    walker_speed,
)
from hcsac.tasks.rendering import make_rendering_env, pack_task, unpack_task
from hcsac.tasks.replayable import why_not_replayed
from hcsac.tasks.rewards import ends_of, fixed_by, require_replayed, require_rewards, rewards_of, says_ends
from hcsac.tasks.simulate import observe, random_rollout, relative_error, replay, terminates
from hcsac.tasks.vector_env import SimulatorError, VectorEnv, make_envs

__all__ = [
    "ActionBounds",
    "Reward",
    "SimulatorError",
    "Task",
    "Terminated",
    "VectorEnv",
    "action_bounds",
    "box_size",
    "ends_of",
    "fixed_by",
    "get_task",
    "has_simulator",
    "make_env",
    "make_envs",
    "make_rendering_env",
    "observe",
    "pack_task",
    "random_rollout",
    "register_task",
    "relative_error",
    "replay",
    "require_replayed",
    "require_rewards",
    "rescales_actions",
    "rewards_of",
    "robot_spaces",
    "says_ends",
    "suite_body",
    "task_names",
    "task_of_env",
    "tasks_between",
    "terminates",
    "time_limit",
    "unpack_task",
    "walker_speed",
    "why_not_replayed",
]
