"""Returns of a policy in the simulator: all episodes of all tasks and replicas are stepped together."""

from collections.abc import Callable, Sequence

import numpy as np

from hcsac.tasks import make_envs, time_limit

Noise = Callable[[int], np.ndarray]  # A -> standard normal numbers [R, n, A] float32
# observation [R, n, S] float32, task [R, n] int64, noise for a policy that wants some -> action [R, n, A]
Act = Callable[[np.ndarray, np.ndarray, Noise], np.ndarray]
LONGEST = 10_000  # steps of an episode where neither the task nor the user limits it
_NOISE = 7  # beside the seed of an episode, for the noise of a policy in it
FIRST_SEED = 10_000  # of the first initial state of an evaluation; the others follow


class Evaluator:
    """R x M x `episodes` environments, created once, reset for every evaluation, and stepped by `workers` processes.

    Episode e starts from the initial state of seed `seed + e` in every task, replica and evaluation, and has the same
    random numbers for a policy that acts with noise, so that policies are compared on the same initial states.

    Args:
        steps: most steps of an episode; None for the task's time limit, or 10,000 where it has none.

    Raises:
        SimulatorError: in every call, where a simulator fails; the evaluator is then closed.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        episodes: int,
        replicas: int = 1,
        seed: int = FIRST_SEED,
        workers: int = 1,
        steps: int | None = None,
    ):
        self.tasks = tuple(tasks)
        self.shape = (replicas, len(self.tasks), episodes)
        self.seed = seed
        names = [name for _ in range(replicas) for name in self.tasks for _ in range(episodes)]
        self.envs = make_envs(names, workers)
        limits = [steps or time_limit(name) or LONGEST for name in self.tasks]
        self.limit = np.tile(np.repeat(limits, episodes), replicas)

    def __call__(self, act: Act, seed: int | None = None) -> np.ndarray:
        """Undiscounted returns [R, M, episodes]; `act` is called once a vector step.

        Args:
            seed: of the first episode's initial state; None for that of the evaluator.
        """
        replicas, tasks, episodes = self.shape
        count = replicas * tasks * episodes
        first = self.seed if seed is None else seed
        observation = self.envs.reset([first + e for e in range(episodes)] * (replicas * tasks))
        task = np.tile(np.repeat(np.arange(tasks), episodes), (replicas, 1))
        generators = [np.random.default_rng([_NOISE, first + e]) for e in range(episodes)]

        def noise(size: int) -> np.ndarray:
            of_episodes = np.stack([g.standard_normal(size, np.float32) for g in generators])
            return np.tile(of_episodes, (replicas, tasks, 1))

        returns = np.zeros(count)
        running = np.ones(count, dtype=bool)
        step = 0
        while running.any():
            step += 1
            action = act(observation.reshape(replicas, tasks * episodes, -1), task, noise).reshape(count, -1)
            observation, reward, done = self.envs.step(action, running)
            returns += reward
            running &= ~done & (step < self.limit)
        return returns.reshape(self.shape)

    def close(self) -> None:
        """Close the environments and end their processes."""
        self.envs.close()


def random_policy(action_size: int, seed: int = 0) -> Act:
    """Uniform actions in [-1, 1], a baseline."""
    generator = np.random.default_rng(seed)
    return lambda observation, *_: generator.uniform(-1, 1, (*observation.shape[:2], action_size)).astype(np.float32)
