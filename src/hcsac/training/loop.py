"""The training loop and its schedule: the one place where agent, data, sharing and evaluation meet."""

import math
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hcsac import files
from hcsac.algorithms import Algorithm, ObservationNormalizer, make_algorithm, preset, resolve
from hcsac.algorithms.algorithm import generators
from hcsac.algorithms.compiled import wants_compile
from hcsac.data.dataset import Dataset
from hcsac.data.store import load as load_dataset
from hcsac.errors import UserError
from hcsac.evaluation import Act, Evaluator
from hcsac.settings import RewardRule, Settings, Sharing
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.reward_table import reward_table
from hcsac.sharing.rules import SharingRule, rule_of
from hcsac.sharing.selection import Sharer, borrowed
from hcsac.tasks import box_size, get_task, has_simulator, make_env
from hcsac.training import checkpoint
from hcsac.training.callbacks import Callback, Callbacks, require_callbacks
from hcsac.training.cuda_graph import Updates, cuda_capture
from hcsac.training.log import JSONLLog
from hcsac.training.memory import keep_freed_memory
from hcsac.training.progress import ProgressBar
from hcsac.training.run_directory import RunDirectory
from hcsac.training.sharing_log import LedgerWriter
from hcsac.training.trackers import make_trackers, require_trackers
from hcsac.types import Spec

SCORING_ROWS = 8192  # rows scored at once: large enough for full matrix speed, small enough for any machine


def train(
    agent: str,
    data: Dataset | Sequence[str],
    directory: str | Path,
    settings: Settings | None = None,
    seeds: Sequence[int] = (0,),
    resume: bool = False,
    progress: bool = True,
    trackers: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
) -> RunDirectory:
    """Train `agent` on `data` and leave everything in `directory`.

    Args:
        agent: bc, csac, mtcsac or hcsac.
        data: a Dataset, or names of datasets to load; `hcsac.load` is where another alignment is chosen.
        settings: complete settings; None for the `slides` preset of the agent.
        seeds: one replica each, trained at once.
        resume: continue from the last checkpoint; a finished run is returned as it is.
        progress: show progress on stderr: a bar in a terminal, else a plain line now and then.
        trackers: wandb, mlflow, trackio: where the numbers go besides TensorBoard.
        callbacks: called in this order at the events of the training, after the run's own logs and trackers.

    Raises:
        UserError: bad names, settings or sizes, rewards that cannot be recomputed, a tracker without its library, or a
            directory that holds another run: nothing is written then. Or a tracker that cannot start.
        Exception: whatever a callback raises; the run can then be resumed from its last checkpoint.
    """
    require_trackers(trackers)
    require_callbacks(callbacks)
    dataset = data if isinstance(data, Dataset) else load_dataset(list(data))
    settings = resolve(agent, preset("slides", agent) if settings is None else settings, dataset.task_names)
    if not seeds or len(set(seeds)) != len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise UserError(f"seeds {list(seeds)} must be at least one number from 0 to 4294967295, each given once.")
    _require_sizes_of_tasks(dataset)
    run = RunDirectory(directory)
    # Made before the directory is claimed: what cannot be trained leaves nothing behind.
    training = None if run.finished else _Training(agent, dataset, settings, list(seeds), run)
    run.begin(_identity(agent, dataset, settings, seeds), resume)
    if training is not None:
        bar = [ProgressBar()] if progress else []
        training.loop(Callbacks([JSONLLog(), *make_trackers(trackers), *callbacks, *bar]))
    return run


def _require_sizes_of_tasks(dataset: Dataset) -> None:
    """A policy of these data must fit the simulator that judges it; found out now, not at the first evaluation."""
    for task in filter(has_simulator, dataset.task_names):
        env = make_env(task)
        spaces = {"observation": env.observation_space, "action": env.action_space}
        env.close()
        for kind, held in (("observation", dataset.observation_size), ("action", dataset.action_size)):
            wanted = box_size(spaces[kind], f"task {task!r}: the {kind} space")
            if held != wanted:
                raise UserError(
                    f"{kind} size is {held} in the data, but {wanted} in task {task!r}; give the data their own task."
                )


class _Training:
    def __init__(self, name: str, dataset: Dataset, settings: Settings, seeds: list[int], run: RunDirectory):
        keep_freed_memory()
        self.dataset, self.settings, self.seeds, self.run, self.name = dataset, settings, seeds, run, name
        self.device = torch.device(settings.device)
        self.epoch = math.ceil(len(dataset) / settings.batch_size)
        self.total = settings.updates or settings.epochs * self.epoch
        spec = Spec(dataset.observation_size, dataset.action_size, dataset.task_names)
        normalizer = ObservationNormalizer(*_statistics(dataset, settings.standardise_observations))
        self.agent = make_algorithm(name, spec, settings, seeds, normalizer, wants_compile(settings, self.total))
        minibatches = generators(seeds, 2, self.device)
        # A robot without a simulator is not judged while it learns: its policy is saved all the same.
        self.judged = all(map(has_simulator, dataset.task_names))
        self.evaluator: Evaluator | None = None
        sharing = settings if isinstance(settings, Sharing) else Sharing()
        rule = rule_of(sharing)
        # Where nothing is shared, no other task's reward is looked up.
        reward_rule: RewardRule = "keep" if rule is None else sharing.reward_rule or "keep"
        self.active = ActiveDataset(
            dataset, self.agent.discount, reward_rule, minibatches, self.device,
            sharing.own_fraction, weighted=rule is not None and rule.weighted(sharing),
        )  # fmt: skip
        between = sharing.share_interval * self.epoch
        self.share_every = between if rule is not None else None
        self.sharer = Sharer(sharing, dataset.task, dataset.task_names, len(seeds), between)
        paid = self.active.reward
        true_reward = paid.cpu().numpy() if reward_rule == "recompute" else _true_reward(dataset, rule)
        valued = rule is not None and rule.needs_values
        self.ledger = LedgerWriter(run, dataset, seeds, self.active.reward, valued, true_reward)
        captured = cuda_capture([*self.agent.random.generators, *minibatches]) if self.device.type == "cuda" else None
        self.steps = Updates(self.agent, self.active, settings.batch_size, captured)

    def loop(self, callbacks: Callbacks) -> None:
        """Train from the last checkpoint, if there is one, to the last update."""
        settings = self.settings
        update = start = self._restore()
        with callbacks:
            callbacks.on_start(self.run, start, self.total)
            began, evaluating = time.perf_counter(), 0.0
            while update < self.total:
                count = min(self.steps.span, self._next_event(update) - update)
                info = self.steps.advance(count)
                update += count
                callbacks.on_update(update)
                if update % settings.log_interval == 0:
                    callbacks.on_log(update, {name: np.array(value.tolist()) for name, value in info.items()})
                if self.share_every is not None and update % self.share_every == 0:
                    callbacks.on_share(update, self._share(update))
                if update % (settings.evaluate_interval * self.epoch) == 0 or update == self.total:
                    paused = time.perf_counter()
                    callbacks.on_evaluation_start(update)
                    if self.judged:
                        callbacks.on_evaluation(update, self._evaluate(update))
                    self._save(update)
                    callbacks.on_checkpoint(update)
                    evaluating += time.perf_counter() - paused
            callbacks.on_end(self._write_result(start, time.perf_counter() - began, evaluating))

    def _write_result(self, start: int, seconds: float, evaluating: float) -> dict[str, Any]:
        """Close the evaluator; write `result.json`, which says that the run is finished, and return it."""
        if self.evaluator is not None:
            self.evaluator.close()
        result = {
            "updates": self.total,
            "evaluated": self.judged,
            "seconds": round(seconds, 1),
            "seconds_evaluating": round(evaluating, 1),
            "updates_per_second": round((self.total - start) / max(seconds - evaluating, 1e-9), 2),
        }
        self.run.write_json(files.RESULT, result)
        return result

    def _next_event(self, update: int) -> int:
        """The first update after this one that something follows: a log line, a sharing, an evaluation or the end."""
        settings = self.settings
        every = [settings.log_interval, settings.evaluate_interval * self.epoch, self.share_every or self.total]
        return min(self.total, *(update - update % interval + interval for interval in every))

    def _evaluate(self, update: int) -> np.ndarray:
        """Returns [R, M, episodes] of the present policy; the evaluator is kept for the next time."""
        settings = self.settings
        episodes = settings.final_episodes if update == self.total else settings.evaluation_episodes
        if self.evaluator is None or self.evaluator.shape[-1] != episodes:
            if self.evaluator is not None:
                self.evaluator.close()
            workers = torch.get_num_threads()
            self.evaluator = Evaluator(self.dataset.task_names, episodes, len(self.seeds), workers=workers)
        return self.evaluator(act_of(self.agent, self.device))

    def _share(self, update: int) -> list[dict[str, Any]]:
        """Replace D* by D and the rows that the sharing rule borrows under the present critics (Algorithm 1)."""
        loans = self.sharer(self._values if self.agent.has_values() else None)
        self.active.set_borrowed([borrowed(of_replica) for of_replica in loans])
        return self.ledger.write(update, loans, self.active.mean_reward)

    def _values(self, task: int) -> np.ndarray:
        """Q_task of every row of D, [R, N], in pieces."""
        values = [
            self.agent.values(observation, action, task) for observation, action in self.active.pieces(SCORING_ROWS)
        ]
        return torch.cat(values, dim=1).cpu().numpy()

    def _save(self, update: int) -> None:
        state = checkpoint.join(
            agent=self.agent.state(), active=self.active.state(), sharing=self.sharer.state(),
            scaling=_scaling_state(self.agent),
        )  # fmt: skip
        checkpoint.save(self.run.checkpoint, state, update)

    def _restore(self) -> int:
        """Continue from the last checkpoint if there is one; the number of updates done."""
        if not self.run.checkpoint.exists():
            self.run.forget_after(0)
            return 0
        state, update = checkpoint.load(self.run.checkpoint)
        self.agent.load_state(checkpoint.part(state, "agent"))
        self.active.load_state(checkpoint.part(state, "active"))
        self.sharer.load_state(checkpoint.part(state, "sharing"))
        self.run.forget_after(update)
        return update


def act_of(agent: Algorithm, device: torch.device) -> Act:
    """The agent's deterministic policy as the evaluation calls it."""

    def act(observation: np.ndarray, task: np.ndarray) -> np.ndarray:
        action = agent.act(torch.as_tensor(observation, device=device), torch.as_tensor(task, device=device))
        return action.cpu().numpy()

    return act


def _true_reward(dataset: Dataset, rule: SharingRule | None) -> np.ndarray | None:
    """What every row would have earned in every task, [N, M], where formulas tell it: what claims are held against."""
    if rule is None or any(get_task(name).reward is None for name in dataset.task_names):
        return None
    return reward_table(dataset, "recompute")


def _statistics(dataset: Dataset, standardise: bool) -> tuple[torch.Tensor, torch.Tensor]:
    size = dataset.observation_size
    if not standardise:
        return torch.zeros(size), torch.ones(size)
    chunks = [dataset.start_index[first : first + SCORING_ROWS] for first in range(0, len(dataset), SCORING_ROWS)]
    sums = [dataset.observations[start].sum(0, dtype=np.float64) for start in chunks]
    mean = np.sum(sums, axis=0) / len(dataset)
    squares = [np.square(dataset.observations[start] - mean).sum(0) for start in chunks]
    std = np.sqrt(np.sum(squares, axis=0) / len(dataset))
    # A constant column carries nothing: leave its scale alone rather than blow it up.
    std = np.where(std < 1e-6, 1.0, std)
    return torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32)


def _scaling_state(agent: Any) -> dict[str, torch.Tensor]:
    return {"mean": agent.scaling.mean, "std": agent.scaling.std}


def _identity(agent: str, dataset: Dataset, settings: Settings, seeds: Sequence[int]) -> dict[str, Any]:
    identity = {
        "hcsac": version("hcsac"),
        "torch": torch.__version__,
        "agent": agent,
        "seeds": list(seeds),
        "tasks": list(dataset.task_names),
        "data": list(dataset.refs),
        "alignment": dataset.alignment,
        "fingerprint": dataset.fingerprint(),
        "rows": len(dataset),
        "observation_size": dataset.observation_size,
        "action_size": dataset.action_size,
        "behaviour": dataset.mean_returns,
        "settings": settings.as_dict(),
    }
    if dataset.alignment == "correct":  # otherwise the rows' rewards are not what the episodes earned
        logged = dataset.episode_returns.items()
        identity["behaviour_returns"] = {task: [round(x, 4) for x in returns.tolist()] for task, returns in logged}
    return identity
