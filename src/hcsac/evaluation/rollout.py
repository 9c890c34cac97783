"""Returns of a policy in the simulator: episodes of all tasks and replicas are stepped together."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from hcsac.tasks import make_envs, time_limit

Noise = Callable[[int], np.ndarray]  # A -> standard normal numbers [R, n, A] float32
# observation [R, n, S] float32, task [R, n] int64, noise for a policy that wants some -> action [R, n, A]
Act = Callable[[np.ndarray, np.ndarray, Noise], np.ndarray]
LONGEST = 10_000  # steps of an episode where neither the task nor the user limits it
ENVIRONMENTS = 20  # at once in a process: a walker's takes 16 MB, that of an arm with a gripper 120 MB
_NOISE = 7  # beside the seed of an episode, for the noise of a policy in it
FIRST_SEED = 10_000  # of the first initial state of an evaluation; the others follow


class Evaluator:
    """R x M x `episodes` episodes in environments that are created once and reset for every evaluation.

    Episode e starts from the initial state of seed `seed + e` in every task, replica and evaluation, and has the same
    random numbers for a policy that acts with noise, so that policies are compared on the same initial states.

    As many episodes run at once as `ENVIRONMENTS` allows, at least one of every task and replica.

    Args:
        workers: processes that step the environments.
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
        blocks = math.ceil(episodes / max(1, ENVIRONMENTS * workers // (replicas * len(self.tasks))))
        self.at_once = math.ceil(episodes / blocks)
        names = [name for _ in range(replicas) for name in self.tasks for _ in range(self.at_once)]
        self.envs = make_envs(names, workers)
        limits = [steps or time_limit(name) or LONGEST for name in self.tasks]
        self.limit = np.tile(np.repeat(limits, self.at_once), replicas)

    def __call__(self, act: Act, seed: int | None = None) -> np.ndarray:
        """Undiscounted returns [R, M, episodes]; `act` is called once a vector step.

        Args:
            seed: of the first episode's initial state; None for that of the evaluator.
        """
        first = self.seed if seed is None else seed
        starts = range(0, self.shape[2], self.at_once)
        blocks = [self.block(act, first + e, min(self.at_once, self.shape[2] - e)) for e in starts]
        return np.concatenate(blocks, axis=2)

    def block(self, act: Act, first: int, episodes: int) -> np.ndarray:
        """As a call, of at most `at_once` episodes from that of seed `first`; the other environments rest."""
        replicas, tasks, _ = self.shape
        seeds = range(first, first + self.at_once)
        count = replicas * tasks * self.at_once
        observation = self.envs.reset([*seeds] * (replicas * tasks))
        task = np.tile(np.repeat(np.arange(tasks), self.at_once), (replicas, 1))
        generators = [np.random.default_rng([_NOISE, seed]) for seed in seeds]

        def noise(size: int) -> np.ndarray:
            of_episodes = np.stack([g.standard_normal(size, np.float32) for g in generators])
            return np.tile(of_episodes, (replicas, tasks, 1))

        returns = np.zeros(count)
        running = np.tile(np.arange(self.at_once) < episodes, replicas * tasks)
        step = 0
        while running.any():
            step += 1
            action = act(observation.reshape(replicas, tasks * self.at_once, -1), task, noise).reshape(count, -1)
            observation, reward, done = self.envs.step(action, running)
            returns += reward
            running &= ~done & (step < self.limit)
        return returns.reshape(replicas, tasks, self.at_once)[..., :episodes]

    def close(self) -> None:
        """Close the environments and end their processes."""
        self.envs.close()


def random_policy(action_size: int, seed: int = 0) -> Act:
    """Uniform actions in [-1, 1], a baseline."""
    generator = np.random.default_rng(seed)
    return lambda observation, *_: generator.uniform(-1, 1, (*observation.shape[:2], action_size)).astype(np.float32)
