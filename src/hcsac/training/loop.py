"""The training loop: updates, and at their intervals log lines, sharings, evaluations and checkpoints."""

import os
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hcsac import files
from hcsac.algorithms import Algorithm
from hcsac.errors import UserError
from hcsac.evaluation import Act, Evaluator, Noise
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.selection import Sharer, shared_pairs
from hcsac.tasks import SimulatorError
from hcsac.training import checkpoint
from hcsac.training.callbacks import Callbacks
from hcsac.training.cuda_graph import Updates
from hcsac.training.divergence import Watch, save_batch
from hcsac.training.run_directory import RunDirectory
from hcsac.training.sharing_log import SharingLogWriter
from hcsac.training.signals import Signals
from hcsac.types import Info

SCORING_ROWS = 8192  # transitions scored at once: large enough for full matrix speed, small enough for any machine


@dataclass(frozen=True)
class Schedule:
    """The length of a training and its intervals, in updates, and the episodes of its evaluations."""

    total: int
    log: int
    share: int | None  # None where nothing is shared, 0 where the selection is made once, before the first update
    evaluate: int
    episodes: int
    final_episodes: int
    evaluation_steps: int | None  # of an episode
    checkpoint_minutes: float  # between two checkpoints at most, besides those before evaluations
    rollbacks: int  # how often to go on from a checkpoint after a divergence

    def next_event(self, update: int) -> int:
        """The first update after this one that something follows: a log line, a sharing, an evaluation or the end."""
        intervals = [interval for interval in (self.log, self.share, self.evaluate) if interval]
        return min(self.total, *(update - update % interval + interval for interval in intervals))


@dataclass
class Loop:
    """A training, put together (`hcsac.training.setup`)."""

    run: RunDirectory
    algorithm: Algorithm
    active: ActiveDataset
    updates: Updates
    sharer: Sharer
    sharing_log: SharingLogWriter
    schedule: Schedule
    tasks: tuple[str, ...]
    evaluated: bool  # False where a task has no simulator: the policy is saved all the same
    evaluator: Evaluator | None = None
    rolled_back: int = 0
    failure: str | None = None  # of the last evaluation
    notes: list[str] = field(default_factory=list)  # to be told once the callbacks have started

    def __post_init__(self) -> None:
        self.watch = Watch(self.algorithm, self.active)

    def __call__(self, callbacks: Callbacks) -> None:
        """Train from the last checkpoint, if there is one, to the last update.

        Raises:
            Stopped: a signal told the process to stop; what was done is in the checkpoint.
        """
        schedule = self.schedule
        update = start = self.restore()
        with Signals() as signals, callbacks:
            callbacks.on_start(self.run, start, schedule.total)
            for note in self.notes:
                callbacks.on_note(note)
            began, evaluating = time.perf_counter(), 0.0
            if schedule.share == 0 and start == 0:
                callbacks.on_share(0, self.share(0))
            if start and self.evaluates_at(start) and not self.run.evaluated(start):  # it was interrupted
                evaluating += self.evaluation(start, callbacks, signals)
                callbacks.on_checkpoint(start)
            saved = time.monotonic()
            if schedule.rollbacks and not self.run.checkpoint.exists():
                self.save(start)
            while update < schedule.total:
                count = min(self.updates.span, schedule.next_event(update) - update)
                info = self.updates.advance(count)
                update += count
                if (fault := self.fault(update, info)) is not None:
                    update = self.roll_back(update, fault, callbacks)
                    continue
                callbacks.on_update(update)
                if update % schedule.log == 0:
                    callbacks.on_log(update, self.metrics(info))
                if schedule.share and update % schedule.share == 0:
                    callbacks.on_share(update, self.share(update))
                if update == schedule.total:
                    self.algorithm.finish(*self.active.first_states())  # what the last evaluation evaluates
                evaluates = self.evaluates_at(update)
                due = update == schedule.total or time.monotonic() - saved >= 60 * schedule.checkpoint_minutes
                if evaluates or due or signals.received is not None:
                    if (fault := self.watch.fault_of_weights()) is not None:
                        update = self.roll_back(update, fault, callbacks)
                        continue
                    self.save(update)
                    signals.stop_if_told()
                    if evaluates:
                        evaluating += self.evaluation(update, callbacks, signals)
                    callbacks.on_checkpoint(update)
                    saved = time.monotonic()
            callbacks.on_end(self.write_result(start, time.perf_counter() - began, evaluating))

    def metrics(self, info: Info) -> dict[str, np.ndarray]:
        """The metrics of an update as they are logged, values in the units of the data's rewards: name -> [R]."""
        values, scale = self.algorithm.value_metrics, self.active.reward_scale
        return {name: np.array(x.tolist()) * (scale if name in values else 1) for name, x in info.items()}

    def fault(self, update: int, info: Info) -> str | None:
        """What is wrong after an update, if anything; on a GPU only where metrics are logged, as looking would wait."""
        if info and (self.updates.span == 1 or update % self.schedule.log == 0):
            return self.watch.fault(info)
        return None

    def roll_back(self, update: int, fault: str, callbacks: Callbacks) -> int:
        """Keep the minibatch; continue from the last checkpoint with other minibatches, if that is wanted: its update.

        Raises:
            UserError: it is not, or was done often enough.
        """
        text = f"training diverged at update {update}: {fault}"
        if self.updates.batch is not None:
            save_batch(self.run.path / files.DIVERGED, self.updates.batch, update)
            text += f" (its minibatch is in {self.run.path / files.DIVERGED})"
        self.rolled_back += 1
        if self.rolled_back > self.schedule.rollbacks:
            raise UserError(
                f"{text}; the last checkpoint is from before. Try lower learning rates, or --on-divergence rollback, "
                "which goes back to it and on with other minibatches."
            )
        last = self.restore()
        for generator in (*self.active.generators, *self.algorithm.random.generators):
            generator.manual_seed(generator.initial_seed() + self.rolled_back)
        callbacks.on_note(f"{text}. It goes on from update {last} with other minibatches.")
        return last

    def evaluates_at(self, update: int) -> bool:
        """Whether the policy is evaluated after so many updates."""
        return self.evaluated and (update % self.schedule.evaluate == 0 or update == self.schedule.total)

    def evaluation(self, update: int, callbacks: Callbacks, signals: Signals) -> float:
        """Evaluate the policy, which the last checkpoint holds; the seconds it took."""
        paused = time.perf_counter()
        with signals.at_once():
            callbacks.on_evaluation_start(update)
            try:
                returns = self.evaluate(update)
            except SimulatorError as error:  # the policy is not to blame, and training goes on
                if self.evaluator is not None:
                    self.evaluator.close()
                self.failure, self.evaluator = str(error), None
                self.run.append(files.FAILURES, [{"update": update, "error": self.failure}])
                callbacks.on_note(f"the evaluation after update {update} failed: {error}")
                return time.perf_counter() - paused
        self.failure = None
        callbacks.on_evaluation(update, returns)
        return time.perf_counter() - paused

    def share(self, update: int) -> list[dict[str, Any]]:
        """Replace D* by D and what the sharing rule selects under the present values (Algorithm 1); its records."""
        shared = self.sharer(self.values if self.sharer.by_values else None)
        self.active.set_shared([shared_pairs(of_replica) for of_replica in shared])
        return self.sharing_log.write(update, shared, self.active.mean_reward)

    def shared_nothing(self) -> list[str]:
        """What is to be said at the end of a run that should share and has not."""
        if self.schedule.share is None or len(self.tasks) == 1:
            return []
        used = (
            record["update"] < self.schedule.total and record.get("borrowed")
            for record in self.run.lines(files.SHARING)
        )
        return [] if any(used) else ["no transition of another task was used; hcsac sharing-history says more."]

    def values(self, task: int) -> np.ndarray:
        """What the sharing rule selects by: Q_task of all transitions of D, or their advantages, [R, N], in chunks."""
        chunks, advantages = self.active.chunks(SCORING_ROWS), self.sharer.by_advantages
        values = [self.algorithm.values(observation, action, task, advantages) for observation, action in chunks]
        return torch.cat(values, dim=1).cpu().numpy() * np.float32(self.active.reward_scale)

    def evaluate(self, update: int) -> np.ndarray:
        """Returns [R, M, episodes] of the present policy; the evaluator is kept for the next time."""
        final = update == self.schedule.total
        episodes = self.schedule.final_episodes if final else self.schedule.episodes
        if self.evaluator is None or self.evaluator.shape[-1] != episodes:
            if self.evaluator is not None:
                self.evaluator.close()
            seeds, workers = len(self.algorithm.seeds), torch.get_num_threads()
            steps = self.schedule.evaluation_steps
            self.evaluator = Evaluator(self.tasks, episodes, seeds, workers=workers, steps=steps)
        return self.evaluator(act_of(self.algorithm))

    def save(self, update: int) -> None:
        """Write the checkpoint: all that decides the next update."""
        scaling = self.algorithm.scaling.state_dict()
        state = checkpoint.join(
            agent=self.algorithm.state(), active=self.active.state(), sharing=self.sharer.state(), scaling=scaling
        )
        self.run.sync()
        if self.run.checkpoint.exists():
            self.run.keep_checkpoint()
        checkpoint.save(self.run.checkpoint, state, update)

    def restore(self) -> int:
        """Continue from the last checkpoint if there is one; the number of updates done."""
        if not self.run.checkpoint.exists():
            self.run.forget_after(-1)
            return 0
        state, update = self.last_checkpoint()
        self.adopt_generators(state, update)
        self.algorithm.load_state(checkpoint.part(state, "agent"))
        self.active.load_state(checkpoint.part(state, "active"))
        self.sharer.load_state(checkpoint.part(state, "sharing"))
        self.run.forget_after(update)
        return update

    def last_checkpoint(self) -> tuple[dict[str, Tensor], int]:
        """The last checkpoint; where it is corrupt, the one before."""
        try:
            return checkpoint.load(self.run.checkpoint)
        except UserError as error:
            if not self.run.previous_checkpoint.exists():
                raise
            state, update = checkpoint.load(self.run.previous_checkpoint)
            os.replace(self.run.previous_checkpoint, self.run.checkpoint)
            self.notes.append(f"{error} The run goes on from the checkpoint before, of update {update}.")
            return state, update

    def adopt_generators(self, state: dict[str, Tensor], update: int) -> None:
        """Begin random numbers anew where a checkpoint is of another kind of device, whose generators differ."""
        generators = {f"agent/noise.{r}": g for r, g in enumerate(self.algorithm.random.generators)}
        generators |= {f"active/sampler.{r}": g for r, g in enumerate(self.active.generators)}
        foreign = [name for name, g in generators.items() if state[name].shape != g.get_state().shape]
        for name in foreign:
            generators[name].manual_seed(generators[name].initial_seed() + update)
            state[name] = generators[name].get_state()
        if foreign:
            self.notes.append(
                "the checkpoint is of another kind of device: random numbers start anew, so that the run does not end "
                "as it would have there."
            )

    def write_result(self, start: int, seconds: float, evaluating: float) -> dict[str, Any]:
        """Close the evaluator; write `result.json`, which says that the run is finished, and return it."""
        if self.evaluator is not None:
            self.evaluator.close()
        result = {
            "updates": self.schedule.total,
            "evaluated": self.evaluated and self.failure is None,
            "failure": self.failure,
            "notes": [*self.algorithm.finish(*self.active.first_states()), *self.shared_nothing()],
            "seconds": round(seconds, 1),
            "seconds_evaluating": round(evaluating, 1),
            "updates_per_second": round((self.schedule.total - start) / max(seconds - evaluating, 1e-9), 2),
        }
        self.run.write_json(files.RESULT, result)
        self.run.previous_checkpoint.unlink(missing_ok=True)
        return result


def act_of(algorithm: Algorithm) -> Act:
    """The policy as the evaluation calls it."""
    device, size = algorithm.scaling.mean.device, algorithm.spec.action_size

    def act(observation: np.ndarray, task: np.ndarray, draw: Noise) -> np.ndarray:
        noise = torch.as_tensor(draw(size), device=device) if algorithm.settings.noise_scale > 0 else None
        at = torch.as_tensor(observation, device=device), torch.as_tensor(task, device=device)
        return algorithm.act(*at, noise).cpu().numpy()

    return act
