"""`train`: names and settings checked, the parts of a training put together, its record written, the loop run."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hcsac import files
from hcsac.algorithms import DEFAULT_PRESET, Scaling, make_algorithm, plugins_of, preset, resolve
from hcsac.algorithms.algorithm import generators
from hcsac.algorithms.compiled import wants_compile
from hcsac.data.dataset import Dataset
from hcsac.data.held_out import held_out_episodes, without
from hcsac.data.relabel import best_steps, notes_of_new_tasks
from hcsac.data.rewards import why_not_relabelled
from hcsac.data.scaling import observation_scaling
from hcsac.data.store import load as load_dataset
from hcsac.errors import UserError
from hcsac.evaluation import LONGEST
from hcsac.registry import require_plugins
from hcsac.settings import RewardRule, Settings, Sharing, interval_in_updates
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.drawing import row_weights
from hcsac.sharing.reward_table import RewardsAsDrawn, reward_table, too_large
from hcsac.sharing.rules import SharingRule, rule_of
from hcsac.sharing.selection import Sharer
from hcsac.tasks import ActionBounds, box_size, get_task, has_simulator, make_env, rescales_actions, time_limit
from hcsac.training.callbacks import Callback, Callbacks, require_callbacks
from hcsac.training.cuda_graph import Updates, cuda_capture
from hcsac.training.divergence import ATTEMPTS
from hcsac.training.forecast import seconds_of_updates
from hcsac.training.log import JSONLLog
from hcsac.training.loop import Loop, Schedule
from hcsac.training.memory import keep_freed_memory
from hcsac.training.progress import ProgressBar
from hcsac.training.run_directory import RunDirectory
from hcsac.training.sharing_log import SharingLogWriter
from hcsac.training.trackers import make_trackers, require_trackers

LARGE_REWARD = 1000.0  # networks learn values of ordinary size; larger rewards are divided by the largest one


def train(
    algorithm: str,
    data: Dataset | Sequence[str],
    directory: str | Path,
    settings: Settings | None = None,
    seeds: Sequence[int] = (0,),
    resume: bool = False,
    progress: bool = True,
    trackers: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
) -> RunDirectory:
    """Train an algorithm on `data` and leave everything in `directory`.

    Args:
        algorithm: bc, csac, mtcsac, hcsac, td3_bc, one_step, iql, rebrac or what a plug-in has registered.
        data: a Dataset, or names of datasets to load; `hcsac.load` is where another alignment is chosen.
        settings: complete settings, as `hcsac.preset` gives them; None for the preset `best` of the algorithm.
        seeds: one replica each, trained at once.
        resume: continue from the last checkpoint; a finished run is returned as it is.
        progress: show progress on stderr: a bar in a terminal, else a plain line now and then.
        trackers: wandb, mlflow, trackio: where the numbers go besides TensorBoard.
        callbacks: called in this order at the events of the training, after the run's own logs and trackers.

    Raises:
        UserError: bad names, settings or sizes, episodes that cannot be held out, rewards that cannot be recomputed, a
            tracker without its library, or a directory that holds another run, or one whose plug-ins are not loaded:
            nothing is written then. Or a tracker that cannot start.
        Stopped: SIGINT, SIGTERM or SIGHUP told the process to stop; it has finished an update and written a checkpoint.
        Exception: whatever a callback raises; the run can then be resumed from its last checkpoint.
    """
    run = RunDirectory(directory)
    if resume and run.started:
        require_plugins(run.identity().get("plugins", ()), f"the run in {run.path}")
    require_trackers(trackers)
    require_callbacks(callbacks)
    dataset = data if isinstance(data, Dataset) else load_dataset(list(data))
    given = preset(DEFAULT_PRESET, algorithm) if settings is None else settings
    obstacle = why_not_relabelled(dataset) if getattr(given, "sharing", None) == "auto" else None
    resolved = resolve(algorithm, given, dataset.task_names, obstacle is None)
    if not seeds or len(set(seeds)) != len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise UserError(f"seeds {list(seeds)} must be at least one number from 0 to 4294967295, each given once.")
    _require_sizes_of_tasks(dataset)
    held_out = held_out_episodes(dataset, resolved.held_out)
    dataset = without(dataset, held_out)
    # Put together before the directory is created: what cannot be trained leaves nothing behind.
    loop = None if run.finished else set_up(algorithm, dataset, resolved, seeds, run)
    identity = _identity(algorithm, dataset, held_out, given, resolved, seeds)
    with files.told(run.path), run.writing(identity, resume):
        if loop is not None:
            loop.notes += notes_of_new_tasks(dataset, identity.get("best_steps", {}))
            if obstacle is not None:
                loop.notes.append(f"sharing = auto shares nothing: {obstacle}")
            bar = [ProgressBar(f"{len(dataset):,} transitions", seconds_of_updates(loop))] if progress else []
            loop(Callbacks([JSONLLog(), *make_trackers(trackers), *callbacks, *bar]))
    return run


def set_up(name: str, dataset: Dataset, settings: Settings, seeds: Sequence[int], run: RunDirectory) -> Loop:
    """The parts of a training, from resolved settings; nothing is written.

    Raises:
        UserError: rewards that the reward rule needs cannot be recomputed, no compiler for `compile = on`, or
            `sparse_weight` for a task with a single episode.
    """
    keep_freed_memory()
    device = torch.device(settings.device)
    sharing = settings if isinstance(settings, Sharing) else Sharing()
    rule = rule_of(sharing)
    schedule = _schedule(settings, rule, len(dataset))
    settings = settings.replace({"updates": schedule.total})  # learning rates fall by it
    scaling = _scaling(dataset, settings.standardise_observations)
    algorithm = make_algorithm(name, dataset.spec, settings, seeds, scaling, wants_compile(settings, schedule.total))
    algorithm.reward_scale = _reward_scale(dataset)
    minibatches = generators(seeds, 2, device)
    # Where nothing is shared, no other task's reward is looked up.
    reward_rule: RewardRule = "keep" if rule is None else sharing.reward_rule or "keep"
    weighted = rule is not None and rule.weighted(sharing)
    active = ActiveDataset(
        dataset, algorithm.discount, reward_rule, minibatches, device, sharing.own_fraction, weighted,
        row_weights(dataset, settings), algorithm.reward_scale,
    )  # fmt: skip
    looks = None if rule is None else rule.of_data
    of_data = None if looks is None else lambda task, sources: looks(dataset, task, sources, sharing)
    sharer = Sharer(sharing, dataset.task, dataset.task_names, len(seeds), schedule.share or 0, of_data)
    table = None if isinstance(active.reward, RewardsAsDrawn) else active.reward
    if table is not None and reward_rule == "recompute":
        own_reward: np.ndarray | None = table.cpu().numpy()
    else:
        own_reward = _target_task_reward(dataset, rule)
    by_value = rule is not None and rule.needs_values
    sharing_log = SharingLogWriter(run, dataset, seeds, table, by_value, own_reward)
    drawn_from = [*algorithm.random.generators, *minibatches]
    updates = Updates(algorithm, active, cuda_capture(drawn_from) if device.type == "cuda" else None)
    evaluated = all(map(has_simulator, dataset.task_names))
    loop = Loop(run, algorithm, active, updates, sharer, sharing_log, schedule, dataset.task_names, evaluated)
    endless = [] if not evaluated or schedule.evaluation_steps else [t for t in dataset.task_names if not time_limit(t)]
    if endless:
        loop.notes.append(
            f"{', '.join(endless)}: without a time limit of the environment, episodes of evaluations end after "
            f"{LONGEST:,} steps (evaluation_steps)."
        )
    if schedule.share and schedule.share >= schedule.total:
        loop.notes.append(
            f"sharing = {sharing.sharing} shares nothing: its first step would come after {schedule.share:,} of "
            f"{schedule.total:,} updates (share_interval); --share-interval 0.1 shares ten times in a run."
        )
    return loop


def _schedule(settings: Settings, rule: SharingRule | None, transitions: int) -> Schedule:
    """Every interval in updates; what a rule without values selects never changes."""
    epoch, total = settings.epoch(transitions), settings.length(transitions)
    share = None
    if rule is not None and isinstance(settings, Sharing):
        share = interval_in_updates(settings.share_interval, epoch, total) if rule.needs_values else 0
    return Schedule(
        total=total,
        log=settings.log_interval,
        share=share,
        evaluate=interval_in_updates(settings.evaluate_interval, epoch, total),
        episodes=settings.evaluation_episodes,
        final_episodes=settings.final_episodes,
        evaluation_steps=settings.evaluation_steps,
        checkpoint_minutes=settings.checkpoint_minutes,
        rollbacks=ATTEMPTS if settings.on_divergence == "rollback" else 0,
    )


def _reward_scale(dataset: Dataset) -> float:
    """What rewards are divided by: 1, or their largest size where values of them would be too large to be learned."""
    largest = float(np.abs(dataset.reward).max())
    return largest if largest > LARGE_REWARD else 1.0


def _require_sizes_of_tasks(dataset: Dataset) -> None:
    """A policy of these data must fit the simulator that evaluates it; found out now, not at the first evaluation."""
    ours = dataset.action_bounds
    for task in filter(has_simulator, dataset.task_names):
        env = make_env(task)
        rescaled = rescales_actions(env)
        spaces = {"observation": env.observation_space, "action": env.action_space}
        env.close()
        for kind, size in (("observation", dataset.observation_size), ("action", dataset.action_size)):
            wanted = box_size(spaces[kind], f"task {task!r}: the {kind} space")
            if size != wanted:
                raise UserError(
                    f"{kind} size is {size} in the data, but {wanted} in task {task!r}; give the data their own task."
                )
        theirs = ActionBounds.of_space(spaces["action"])
        if rescaled and not theirs.equals(ours):
            raise UserError(
                f"actions of the data range over {ours}, but task {task!r} rescales its own to {theirs}; register its "
                "environment without RescaleAction, since actions are scaled by their bounds."
            )
        if theirs.exceeded(ours.low).any() or theirs.exceeded(ours.high).any():
            raise UserError(
                f"actions of the data range over {ours}, but those of task {task!r} over {theirs}; give the data the "
                "bounds that they were logged with, or their own task."
            )


def _target_task_reward(dataset: Dataset, rule: SharingRule | None) -> np.ndarray | None:
    """The reward of every transition in every task, [N, M], where formulas give it: what assigned rewards should be."""
    if rule is None or too_large(dataset) or any(get_task(name).reward is None for name in dataset.task_names):
        return None
    return reward_table(dataset, "recompute")


def _scaling(dataset: Dataset, standardise: bool) -> Scaling:
    """What observations are normalised by, and the bounds of the robot's actions."""
    size = dataset.observation_size
    statistics = observation_scaling(dataset) if standardise else (np.zeros(size), np.ones(size))
    bounds = () if dataset.action_bounds.is_unit else dataset.action_bounds
    return Scaling(*(torch.tensor(part, dtype=torch.float32) for part in (*statistics, *bounds)))


def _identity(
    algorithm: str,
    dataset: Dataset,
    held_out: Mapping[str, Sequence[int]],
    given: Settings,
    resolved: Settings,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """What `run.json` records: what is trained on what, with settings as they were given and as they were resolved."""
    identity = {
        "hcsac": version("hcsac"),
        "torch": torch.__version__,
        "agent": algorithm,
        "plugins": sorted(plugins_of(algorithm, resolved, dataset.task_names) | set(dataset.plugins)),
        "seeds": list(seeds),
        "tasks": list(dataset.task_names),
        "data": list(dataset.refs),
        "alignment": dataset.alignment,
        "held_out": held_out,
        "fingerprint": dataset.fingerprint(),
        "rows": len(dataset),
        "observation_size": dataset.observation_size,
        "action_size": dataset.action_size,
        "behaviour": dataset.mean_returns,
        "settings": resolved.as_dict(),
        "given": given.as_dict(),
    }
    if dataset.alignment == "correct":  # otherwise rewards are not what the episodes earned
        logged = dataset.episode_returns.items()
        identity["behaviour_returns"] = {task: [round(x, 4) for x in returns.tolist()] for task, returns in logged}
    if dataset.new_tasks:
        identity["best_steps"] = {task: round(best, 4) for task, best in best_steps(dataset).items()}
    return identity
