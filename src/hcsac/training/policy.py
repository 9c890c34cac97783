"""A trained policy, taken from the directory of its run."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from hcsac.agents import Scaling, make_agent
from hcsac.errors import UserError, unknown
from hcsac.evaluation import FIRST_SEED, Evaluator
from hcsac.settings import Settings
from hcsac.training import checkpoint
from hcsac.training.directory import RunDirectory


class Policy:
    """The deterministic policy of a run at its last checkpoint, for every task of the run.

    Attributes:
        tasks: the task names.
        seeds: the replicas.
        update: how many updates it has seen.
    """

    def __init__(self, directory: str | Path):
        run = RunDirectory(directory)
        identity = run.identity()
        state, self.update = checkpoint.load(run.checkpoint)
        self.tasks: list[str] = identity["tasks"]
        self.seeds: list[int] = identity["seeds"]
        self.behaviour: dict[str, float] = identity["behaviour"]
        self.observation_size: int = identity["observation_size"]
        settings = Settings().replace({**identity["settings"], "device": "cpu"})
        scaling = Scaling(state["scaling/mean"], state["scaling/std"], torch.device("cpu"))
        sizes = (self.observation_size, identity["action_size"], len(self.tasks))
        self._agent = make_agent(identity["agent"], *sizes, settings, self.seeds, scaling)
        self._agent.load_state(checkpoint.part(state, "agent"))

    def act(self, observation: Any, task: str, seed: int | None = None) -> np.ndarray:
        """The action [A] at observation [S], or actions [n, A] at observations [n, S], in [-1, 1].

        Args:
            task: one of `tasks`.
            seed: which replica acts; None for the first.

        Raises:
            UserError: an unknown task or seed, or an observation of another size.
        """
        if task not in self.tasks:
            raise unknown("task", task, self.tasks)
        if seed is not None and seed not in self.seeds:
            raise unknown("seed", str(seed), map(str, self.seeds))
        rows = np.asarray(observation, dtype=np.float32)
        if rows.ndim not in (1, 2) or rows.shape[-1] != self.observation_size:
            raise UserError(f"observation has shape {rows.shape}; this policy reads {self.observation_size} numbers.")
        batch = np.broadcast_to(
            rows.reshape(-1, self.observation_size),
            (len(self.seeds), rows.size // rows.shape[-1], self.observation_size),
        )
        tasks = np.full(batch.shape[:2], self.tasks.index(task))
        action = self.act_all(batch, tasks)[0 if seed is None else self.seeds.index(seed)]
        return action[0] if rows.ndim == 1 else action

    def act_all(self, observation: np.ndarray, task: np.ndarray) -> np.ndarray:
        """Every replica at its own observations: [R, n, S], [R, n] -> [R, n, A]."""
        return self._agent.act(torch.tensor(observation), torch.tensor(task)).numpy()


def load_policy(directory: str | Path) -> Policy:
    """The policy of the run in `directory`; UserError where there is none."""
    return Policy(directory)


def evaluate(directory: str | Path, episodes: int = 20, seed: int = FIRST_SEED) -> np.ndarray:
    """Undiscounted returns [R, M, episodes] of the run's policy in the simulator."""
    policy = load_policy(directory)
    evaluator = Evaluator(policy.tasks, episodes, len(policy.seeds), seed, torch.get_num_threads())
    try:
        return evaluator(policy.act_all)
    finally:
        evaluator.close()
