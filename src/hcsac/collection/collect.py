"""Making datasets: online TD3 learns a task up to a medium return, and its episodes are written as datasets."""

import dataclasses
import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from hcsac.algorithms.algorithm import generators
from hcsac.algorithms.td3 import TD3, TD3Settings
from hcsac.collection.buffer import ReplayBuffer, load_episode, save_episode
from hcsac.data import refs, store
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.settings import check_fields, setting
from hcsac.tasks import get_task, make_env
from hcsac.training import Progress, checkpoint
from hcsac.training.memory import keep_freed_memory
from hcsac.types import Spec

RECENT = 5  # the level is reached when the mean return of so many last episodes is at least that


@dataclass(frozen=True)
class CollectSettings:
    """Settings of a collection.

    Raises:
        UserError: a value of the wrong type or out of bounds.
    """

    steps: int = setting(120_000, "most environment steps of training", 1)
    level: float | None = setting(None, "mean return at which training stops (default: half the expert's)")
    episodes: int = setting(50, "episodes of the medium dataset", 1)
    replay_episodes: int | None = setting(None, "episodes kept for medium-replay, evenly spaced (default: all)", 1)
    seed: int = setting(0, "seed of weights, noise and initial states", 0)
    noise: float = setting(0.2, "standard deviation of the exploration noise", 0)
    random_steps: int = setting(2_500, "first steps, with uniformly random actions", 1)
    hidden_size: int = setting(256, "units in each of the two hidden layers", 1)
    batch_size: int = setting(256, "transitions in a minibatch", 1)
    learning_rate: float = setting(3e-4, "learning rate of actor and critics", 0)

    def __post_init__(self) -> None:
        check_fields(self)

    def agent_settings(self) -> TD3Settings:
        """The settings of TD3."""
        return TD3Settings(
            hidden_layers=2,
            hidden_size=self.hidden_size,
            critic_layer_norm="first",
            batch_size=self.batch_size,
            actor_learning_rate=self.learning_rate,
            critic_learning_rate=self.learning_rate,
            device="cpu",
        )


def collect(
    task: str,
    namespace: str,
    directory: str | Path,
    settings: CollectSettings,
    command: str = "",
    progress: bool = True,
) -> list[str]:
    """Collect and write `NAMESPACE/TASK-medium-v0` and `NAMESPACE/TASK-medium-replay-v0` (`refs.name_of`).

    `medium-replay` is all training episodes until the mean return of the last five reached `level` (or until `steps`:
    the metadata have the return). `medium` is the policy at that point, frozen, with the same exploration noise.
    Simulator states are stored as float32, which keeps the files small and replays a step to within rounding. Work in
    progress is kept in `directory`; calling again with the same arguments continues it and gives the same datasets as
    an uninterrupted collection.

    Returns:
        The names of the two datasets.

    Raises:
        UserError: an unknown task, a level that must be given, a dataset name that is taken, or a directory of
            another collection.
    """
    level = settings.level
    if level is None:
        expert = get_task(task).expert_return
        if expert is None:
            raise UserError(f"no expert return is known for task {task!r}; give the return to reach with --level.")
        level = expert / 2
    names = [refs.name_of(namespace, task, kind) for kind in ("medium", "medium-replay")]
    for name in names:
        refs.require_free_name(name)

    work = _Collection(task, Path(directory), settings, level)
    reached = work.learn(progress)
    medium = work.demonstrate(progress)
    replay = _evenly(work.buffer.episodes, settings.replay_episodes)
    common = {
        "seed": settings.seed,
        "level": level,
        "level_reached": reached,
        "steps_seen": work.buffer.size,
        "exploration_noise": settings.noise,
        "command": command,
    }
    for name, episodes in zip(names, (medium, replay), strict=True):
        store.write(name, task, episodes, common)
    return names


class _Collection:
    """One collection in its directory: episode files, and a checkpoint with the number of them that count."""

    def __init__(self, task: str, directory: Path, settings: CollectSettings, level: float):
        keep_freed_memory()
        self.task, self.settings, self.level, self.directory = task, settings, level, directory
        self.env = make_env(task)
        self._create_directory()
        assert self.env.observation_space.shape is not None
        assert self.env.action_space.shape is not None
        sizes = self.env.observation_space.shape[0], self.env.action_space.shape[0]
        agent_settings = settings.agent_settings()
        self.agent = TD3(Spec(*sizes, (task,)), agent_settings, [settings.seed])
        self.sampler = generators([settings.seed], 2)[0]
        # An episode started before the last step is finished, so the buffer has room for one more episode.
        longest = (self.env.spec.max_episode_steps if self.env.spec else None) or 10_000
        self.buffer = ReplayBuffer(settings.steps + longest, *sizes, agent_settings.discount)

    def learn(self, progress: bool) -> float:
        """Train until the level or the last step; returns the mean return of the last episodes."""
        self._restore()
        steps = self.settings.steps
        with closing(Progress(steps, self.buffer.size, f"{self.task} learn", "steps", progress)) as shown:
            while self.buffer.size < steps and self._recent() < self.level:
                number = len(self.buffer.episodes)
                episode = self._episode((self.settings.seed, 0, number), self._learning_action, self._learn_step)
                self.buffer.episodes.append(episode)
                save_episode(self._file("replay", number), episode)
                self._save(number + 1)
                shown.status = f"return {episode.episode_return:.0f}, last {RECENT}: {self._recent():.0f}"
                shown.advance(len(episode))
            reached = float(np.mean([episode.episode_return for episode in self.buffer.episodes[-RECENT:]]))
            if reached < self.level:
                size = self.buffer.size
                shown.write_line(f"{self.task}: {size} steps reached {reached:.0f}, short of level {self.level:.0f}.")
        return reached

    def demonstrate(self, progress: bool) -> list[Episode]:
        """Episodes of the frozen policy with exploration noise."""
        episodes: list[Episode] = []
        count = self.settings.episodes
        with closing(Progress(count, 0, f"{self.task} medium", "episodes", progress)) as shown:
            for number in range(count):
                file = self._file("medium", number)
                if not file.exists():
                    save_episode(file, self._episode((self.settings.seed, 1, number), self._noisy_action))
                episodes.append(load_episode(file))
                shown.status = f"return {episodes[-1].episode_return:.0f}"
                shown.advance(1)
        return episodes

    def _episode(
        self,
        key: tuple[int, int, int],
        choose: Callable[[np.ndarray, np.random.Generator], np.ndarray],
        after_step: Callable[[np.ndarray, np.ndarray, float, np.ndarray, bool], None] | None = None,
    ) -> Episode:
        """One episode; noise and initial state depend on `key` alone, so that resuming changes nothing."""
        random = np.random.default_rng(key)
        observation, info = self.env.reset(seed=int(random.integers(2**31)))
        observations, physics = [observation], [info.get("physics")]
        actions, rewards, ends = [], [], []
        done = False
        while not done:
            action = choose(observation, random)
            next_observation, reward, terminated, truncated, info = self.env.step(action)
            if after_step is not None:
                after_step(observation, action, float(reward), next_observation, terminated)
            observations.append(next_observation)
            physics.append(info.get("physics"))
            actions.append(action)
            rewards.append(float(reward))
            ends.append((terminated, truncated))
            observation, done = next_observation, terminated or truncated
        complete = all(state is not None for state in physics)
        return Episode(
            observation=np.stack(observations).astype(np.float32),
            action=np.stack(actions).astype(np.float32),
            reward=np.array(rewards, dtype=np.float32),
            terminated=np.array([terminated for terminated, _ in ends]),
            truncated=np.array([truncated for _, truncated in ends]),
            physics=np.stack(physics).astype(np.float32) if complete else None,  # type: ignore[arg-type]
        )

    def _noisy_action(self, observation: np.ndarray, random: np.random.Generator) -> np.ndarray:
        state = torch.as_tensor(observation)[None, None]
        action = self.agent.act(state, torch.zeros(1, 1, dtype=torch.int64))[0, 0].numpy()
        return (action + self.settings.noise * random.normal(size=action.shape)).clip(-1, 1).astype(np.float32)

    def _learning_action(self, observation: np.ndarray, random: np.random.Generator) -> np.ndarray:
        if self.buffer.size < self.settings.random_steps:
            shape = self.env.action_space.shape
            return random.uniform(-1, 1, shape).astype(np.float32)
        return self._noisy_action(observation, random)

    def _learn_step(
        self, observation: np.ndarray, action: np.ndarray, reward: float, next_observation: np.ndarray, terminal: bool
    ) -> None:
        self.buffer.add(observation, action, reward, next_observation, terminal)
        if self.buffer.size >= self.settings.random_steps:
            self.agent.advance(self.buffer.sample(self.settings.batch_size, self.sampler))

    def _recent(self) -> float:
        last = self.buffer.episodes[-RECENT:]
        return float(np.mean([e.episode_return for e in last])) if len(last) == RECENT else float("-inf")

    def _file(self, kind: str, number: int) -> Path:
        return self.directory / kind / f"{number:06d}.npz"

    def _save(self, episodes: int) -> None:
        state = checkpoint.join(agent=self.agent.state(), sampler={"state": self.sampler.get_state()})
        checkpoint.save(self.directory / "checkpoint.safetensors", state, episodes)

    def _restore(self) -> None:
        file = self.directory / "checkpoint.safetensors"
        if not file.exists():
            return
        state, episodes = checkpoint.load(file)
        self.agent.load_state(checkpoint.part(state, "agent"))
        self.sampler.set_state(state["sampler/state"])
        for number in range(episodes):
            self.buffer.restore(load_episode(self._file("replay", number)))

    def _create_directory(self) -> None:
        identity = {"task": self.task, "level": self.level, **dataclasses.asdict(self.settings)}
        file = self.directory / "collection.json"
        if file.exists():
            try:
                content = json.loads(file.read_text())
            except ValueError as error:
                raise UserError(f"{file} is corrupt ({error}); collect in another directory with --output.") from error
            for entry in ("task", *(entry.name for entry in fields(self.settings))):
                if content.get(entry) != identity[entry]:
                    raise UserError(
                        f"{self.directory} has another collection in it: its {entry} is {content.get(entry)!r}, not "
                        f"{identity[entry]!r}; choose another directory with --output."
                    )
            return
        if self.directory.exists() and (not self.directory.is_dir() or any(self.directory.iterdir())):
            raise UserError(f"{self.directory} exists and is not a collection; choose another with --output.")
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = self.directory / ".collection.json.tmp"
        temporary.write_text(json.dumps(identity, indent=2) + "\n")
        os.replace(temporary, file)


def _evenly(episodes: list[Episode], count: int | None) -> list[Episode]:
    """`count` of the episodes, evenly spaced from the first to the last; all of them for None."""
    if count is None or count >= len(episodes):
        return episodes
    return [episodes[i] for i in np.linspace(0, len(episodes) - 1, count).round().astype(int)]
