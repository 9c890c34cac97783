"""Returns of a policy in the real simulator: all episodes of all tasks and replicas step together."""

from collections.abc import Callable, Sequence

import gymnasium
import numpy as np

from hcsac.tasks import make_env

# observation [R, n, S] float32, task [R, n] int64 -> action [R, n, A]
Act = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Evaluator:
    """R x M x `episodes` environments, made once and reset for every evaluation.

    Episode e starts from the state of seed `seed + e` in every task, replica and evaluation, so that two policies,
    or two moments of one, meet the same initial states.
    """

    def __init__(self, tasks: Sequence[str], episodes: int, replicas: int = 1, seed: int = 10_000):
        self.tasks = tuple(tasks)
        self.episodes = episodes
        self.seed = seed
        self.shape = (replicas, len(self.tasks), episodes)
        self.envs: list[gymnasium.Env] = [
            make_env(name) for _ in range(replicas) for name in self.tasks for _ in range(episodes)
        ]

    def __call__(self, act: Act) -> np.ndarray:
        """Undiscounted returns [R, M, episodes]; `act` is called once a vector step."""
        replicas, tasks, episodes = self.shape
        observation = np.stack(
            [env.reset(seed=self.seed + i % episodes)[0] for i, env in enumerate(self.envs)], dtype=np.float32
        )
        task = np.tile(np.repeat(np.arange(tasks), episodes), (replicas, 1))
        returns = np.zeros(len(self.envs))
        running = np.ones(len(self.envs), dtype=bool)
        while running.any():
            action = act(observation.reshape(replicas, tasks * episodes, -1), task).reshape(len(self.envs), -1)
            for i in np.flatnonzero(running):
                observation[i], reward, terminated, truncated, _ = self.envs[i].step(action[i])
                returns[i] += float(reward)
                running[i] = not (terminated or truncated)
        return returns.reshape(self.shape)

    def close(self) -> None:
        """Free the simulators."""
        for env in self.envs:
            env.close()


def random_policy(action_size: int, seed: int = 0) -> Act:
    """Uniform actions in [-1, 1]: the policy that any learned one must beat."""
    generator = np.random.default_rng(seed)
    return lambda observation, _: generator.uniform(-1, 1, (*observation.shape[:2], action_size)).astype(np.float32)
