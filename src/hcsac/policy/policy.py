"""A trained policy, taken from the directory of its run or from the bundle that was exported of it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from hcsac.errors import UserError, unknown
from hcsac.evaluation import FIRST_SEED, Evaluator
from hcsac.policy import bundle
from hcsac.policy.state import PolicyState
from hcsac.training.run_directory import RunDirectory


class Policy:
    """A deterministic policy, for every task it was trained on. It acts in float32 on the CPU, however it was trained.

    Attributes:
        tasks: the task names.
        seeds: the replicas.
        update: how many updates it has seen.
        behaviour: the mean return of the logged episodes of each task.
        observation_size, action_size: S and A.
    """

    def __init__(self, state: PolicyState):
        self.tasks, self.seeds, self.update, self.behaviour = state.tasks, state.seeds, state.update, state.behaviour
        self.observation_size, self.action_size = state.observation_size, state.action_size
        self._network = state.network

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
        return self._network(torch.tensor(observation), torch.tensor(task)).numpy()


def load_policy(path: str | Path) -> Policy:
    """The policy of the run, or in the bundle, at `path`; a bundle needs neither the data nor a simulator.

    Raises:
        UserError: there is neither, the run has no checkpoint yet, files are damaged, or a later hcsac made them.
    """
    path = Path(path)
    if bundle.is_bundle(path):
        return Policy(bundle.state_of(path))
    if not (path / "run.json").exists():
        raise UserError(
            f"{path} holds no run.json and no {bundle.RECORD}; give the directory of a run made by `hcsac train`, "
            "or of a policy made by `hcsac export`."
        )
    return Policy(PolicyState.of_run(RunDirectory(path)))


def evaluate(path: str | Path, episodes: int = 20, seed: int = FIRST_SEED) -> np.ndarray:
    """Undiscounted returns [R, M, episodes], in the simulator, of the policy of the run or bundle at `path`."""
    policy = load_policy(path)
    evaluator = Evaluator(policy.tasks, episodes, len(policy.seeds), seed, torch.get_num_threads())
    try:
        return evaluator(policy.act_all)
    finally:
        evaluator.close()
