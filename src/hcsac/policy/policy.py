"""A trained policy, from the directory of its run or from an exported bundle."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hcsac import files
from hcsac.errors import UserError, unknown
from hcsac.evaluation import FIRST_SEED, Evaluator, Noise
from hcsac.policy import bundle
from hcsac.policy.state import PolicyState
from hcsac.registry import require_plugins
from hcsac.tasks import get_task
from hcsac.training.run_directory import RunDirectory


class Policy:
    """A policy of several tasks. It acts in float32 on the CPU, however it was trained.

    It is deterministic unless it was trained with `disagreement_noise`.

    Attributes:
        algorithm: its name; `bc` for a distilled policy, which imitates another one.
        teacher: the algorithm of the policy that it was distilled from; None where it was not.
        tasks: the task names.
        seeds: the seeds of the replicas.
        update: the number of updates it was trained for.
        dataset_returns: mean return of the logged episodes of each task.
        best_steps: of each task that nothing was logged for, what the best 100 successive logged steps earn, a step.
        observation_size, action_size: S and A.
        data: the names of the datasets that it was trained on.
        parameter: the number that it acts by where its tasks differ by one (`embedding = number`): name and range.
    """

    def __init__(self, state: PolicyState):
        self.algorithm, self.tasks, self.seeds, self.update = state.algorithm, state.tasks, state.seeds, state.update
        self.dataset_returns, self.best_steps = state.dataset_returns, state.best_steps
        self._network = state.network
        self.teacher, self._plugins, self.data = state.teacher, state.plugins, state.data
        self.observation_size, self.action_size = state.observation_size, state.action_size
        self._random = np.random.default_rng(0)  # of the noise in `act`
        self.parameter = state.parameter
        self._last: dict[tuple[Any, ...], np.ndarray] = {}  # actions that `act` may hold

    def __repr__(self) -> str:
        returns = ", ".join(f"{task} {value:.1f}" for task, value in self.dataset_returns.items())
        origin = f", distilled from {self.teacher}" if self.teacher else ""
        return (
            f"Policy of {self.algorithm} after {self.update} updates{origin}\n"
            f"  tasks {', '.join(self.tasks)}\n"
            f"  seeds {', '.join(map(str, self.seeds))}\n"
            f"  observation [{self.observation_size}] -> action [{self.action_size}]\n"
            f"  dataset returns {returns}"
        )

    def act(
        self,
        observation: Any,
        task: str | None = None,
        seed: int | None = None,
        hold: bool = False,
        deterministic: bool = False,
        **number: float,
    ) -> np.ndarray:
        """The action [A] at observation [S], or actions [n, A] at observations [n, S], in the robot's units.

        Args:
            task: one of `tasks`.
            number: in place of a task the number that the policy acts by, as speed=1.7, where it was trained with one
                (`parameter`).
            seed: which replica acts; None for the first.
            hold: where an observation has a value that is no number, return the last action for this task and seed
                instead of an error, if there is one of that shape: for a robot whose sensor fails for a moment.
            deterministic: the mean action of several actors, without `disagreement_noise`.

        Raises:
            UserError: an unknown task or seed, a number out of the range that was trained, or an observation of another
                size, or with values that are no numbers.
        """
        asked, request = self._asked(task, number), (task, tuple(number.items()), seed)
        if seed is not None and seed not in self.seeds:
            raise unknown("seed", str(seed), map(str, self.seeds))
        try:
            with np.errstate(over="ignore"):  # of float64 beyond float32: infinite, which is refused below
                observations = np.asarray(observation, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise UserError(f"observation is {observation!r:.60}, not an array of numbers ({error}).") from error
        if observations.ndim not in (1, 2) or observations.shape[-1] != self.observation_size:
            size = self.observation_size
            raise UserError(f"observation has shape {observations.shape}; this policy takes [{size}] or [n, {size}].")
        if not np.isfinite(observations).all():
            last = self._last.get(request)
            if hold and last is not None and last.shape[:-1] == observations.shape[:-1]:
                return last.copy()
            bad = np.flatnonzero(~np.isfinite(observations.reshape(-1, self.observation_size)).all(0)).tolist()
            raise UserError(
                f"observation is NaN or infinite in column {', '.join(map(str, bad))}; check the sensors, or pass "
                "hold=True to repeat the last action."
            )
        batch = np.broadcast_to(
            observations.reshape(-1, self.observation_size),
            (len(self.seeds), observations.size // observations.shape[-1], self.observation_size),
        )
        tasks = np.full(batch.shape[:2], asked)
        noise = None if deterministic else self._noise(batch.shape[1])
        action = self.act_all(batch, tasks, noise)[0 if seed is None else self.seeds.index(seed)]
        action = action[0] if observations.ndim == 1 else action
        if hold:
            self._last[request] = action.copy()
        return action

    def _asked(self, task: str | None, number: Mapping[str, Any]) -> np.int64 | np.float32:
        """The index of the task, or the number as the network takes it."""
        if not number:
            if task is None and self.parameter is not None:
                raise UserError(
                    f"name a task, or give a number, as {self.parameter.name}={self.parameter.values[0]:g}."
                )
            if task not in self.tasks:
                raise unknown("task", str(task), self.tasks)
            return np.int64(self.tasks.index(task))
        name, value = next(iter(number.items()))
        if self.parameter is None or set(number) != {self.parameter.name} or task is not None:
            takes = "a task" if self.parameter is None else f"a task or {self.parameter.name}, one of them"
            raise UserError(f"{', '.join(number)} is not what this policy is asked by; it takes {takes}.")
        low, high = self.parameter.range
        if not isinstance(value, int | float | np.number) or not low <= value <= high:
            raise UserError(
                f"{name} = {value!r} is out of the range that was trained; give a number from {low:g} to {high:g}."
            )
        return np.float32(self.parameter.scaled(float(value)))

    def digest(self) -> str:
        """SHA-256 of what its returns depend on: weights, algorithm, seeds, update, and the environments of its tasks.

        Raises:
            UserError: a task is not registered.
        """
        environments = [(name, get_task(name).env_id, get_task(name).kwargs) for name in self.tasks]
        content = [self.algorithm, self.seeds, self.update, self._network.actors, environments]
        if self._network.noise_scale > 0:
            content.append(self._network.noise_scale)
        digest = hashlib.sha256(json.dumps(content, default=str).encode())
        for name, tensor in sorted(self._network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def act_all(self, observation: np.ndarray, task: np.ndarray, noise: Noise | None = None) -> np.ndarray:
        """Every replica at its own observations: [R, n, S], [R, n] -> [R, n, A]; the mean action without `noise`."""
        wanted = noise if self._network.noise_scale > 0 else None
        drawn = None if wanted is None else torch.as_tensor(wanted(self.action_size))
        return self._network(torch.tensor(observation), torch.tensor(task), drawn).numpy()

    def _noise(self, count: int) -> Noise:
        shape = len(self.seeds), count
        return lambda size: self._random.standard_normal((*shape, size), np.float32)


def load_policy(path: str | Path) -> Policy:
    """The policy of the run or bundle at `path`; needs neither the data nor a simulator.

    Raises:
        UserError: there is neither, the run has no checkpoint yet, its algorithm or sharing rule is a plug-in's that is
            not loaded, or files are corrupt or of a newer hcsac.
    """
    path = Path(path)
    if bundle.is_bundle(path):
        return Policy(bundle.read_state(path))
    if not (path / files.RUN).exists():
        raise UserError(
            f"no policy found at {path}: {files.what_is(path)}; pass the directory of a run, as `hcsac train` writes "
            "it, or of a policy bundle, as `hcsac export` writes it."
        )
    return Policy(PolicyState.of_run(RunDirectory(path)))


def load_with_tasks(path: str | Path) -> Policy:
    """As `load_policy`, for a policy that will act in its tasks.

    Raises:
        UserError: as `load_policy`; or a task is a plug-in's that is not loaded.
    """
    policy = load_policy(path)
    for task in policy.tasks:
        try:
            get_task(task)
        except UserError:
            require_plugins(policy._plugins, f"the policy in {path}")
            raise
    return policy


def evaluate(path: str | Path, episodes: int = 20, seed: int = FIRST_SEED) -> np.ndarray:
    """Undiscounted returns [R, M, episodes], in the simulator, of the policy of the run or bundle at `path`.

    Args:
        episodes: for each seed and task.
        seed: of the first episode's initial state; the next ones follow.

    Raises:
        UserError: as `load_policy`; or a task has no simulator.
    """
    policy = load_with_tasks(path)
    evaluator = Evaluator(policy.tasks, episodes, len(policy.seeds), seed, torch.get_num_threads())
    try:
        return evaluator(policy.act_all)
    finally:
        evaluator.close()
