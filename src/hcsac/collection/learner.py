"""One online learner in its directory: it learns a task by TD3 as far as asked, and shows the policy it has got."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from hcsac.algorithms.algorithm import generators
from hcsac.algorithms.td3 import TD3
from hcsac.collection.buffer import ReplayBuffer, load_episode, save_episode
from hcsac.collection.settings import CollectSettings
from hcsac.data.build import bounds_of_task
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.evaluation import LONGEST
from hcsac.files import is_vacant, parse_json, write_atomically
from hcsac.tasks import make_env, time_limit
from hcsac.training import Progress, checkpoint
from hcsac.training.memory import keep_freed_memory
from hcsac.types import Spec

IDENTITY, REPLAY, CHECKPOINT = "collection.json", "replay", "checkpoint.safetensors"
RECENT = 5  # a level is reached when the mean return of so many last episodes is at least that


class Learner:
    """A learner in its directory: episode files, and a checkpoint with the number of them that count.

    What it learns depends on its identity alone (`CollectSettings.learner`), not on where it is stopped in between: it
    can be taken further at any time, with the same episodes as if it had never been stopped.

    Args:
        on_steps: called with the number of steps that it has more, found in the directory or new.

    Raises:
        UserError: an unknown task, or a directory of another learner.
    """

    def __init__(
        self,
        task: str,
        directory: Path,
        settings: CollectSettings,
        seed: int,
        progress: bool = True,
        on_steps: Callable[[int], None] | None = None,
    ):
        keep_freed_memory()
        self.task, self.directory, self.settings, self.seed = task, directory, settings, seed
        self.progress, self.on_steps = progress, on_steps or (lambda count: None)
        self.env = make_env(task)
        self._create_directory()
        assert self.env.observation_space.shape is not None
        assert self.env.action_space.shape is not None
        sizes = self.env.observation_space.shape[0], self.env.action_space.shape[0]
        self.bounds = bounds_of_task(task, sizes[1])
        agent_settings = settings.agent_settings()
        self.agent = TD3(Spec(*sizes, (task,)), agent_settings, [seed])
        self.sampler = generators([seed], 2)[0]
        held = self._restore()
        # An episode started before the last step is finished, so the buffer has room for one more episode.
        self.longest = time_limit(task) or LONGEST
        capacity = max(settings.steps, sum(map(len, held))) + self.longest
        self.buffer = ReplayBuffer(capacity, *sizes, agent_settings.discount)
        for episode in held:
            self.buffer.restore(episode, self.bounds)
        self.on_steps(self.buffer.size)

    @property
    def episodes(self) -> list[Episode]:
        """The training episodes so far, oldest first."""
        return self.buffer.episodes

    def close(self) -> None:
        """Free the simulator."""
        self.env.close()

    def learn(self, level: float = float("inf")) -> int:
        """How many episodes it takes until the level or the last step; those that are not there yet are learned."""
        steps, size, number = self.settings.steps, 0, 0
        start = min(self.buffer.size, steps)
        with closing(Progress(steps, start, f"{self.task} learn", "steps", self.progress)) as shown:
            while size < steps and not (number >= RECENT and self.recent(number) >= level):
                if number == len(self.episodes):
                    episode = self._learn_episode(number)
                    shown.status = f"return {episode.episode_return:.0f}, last {RECENT}: {self.recent(number + 1):.0f}"
                    shown.advance(len(episode))
                size += len(self.episodes[number])
                number += 1
            if np.isfinite(level) and self.recent(number) < level:
                reached = self.recent(number)
                shown.write_line(f"{self.task}: {size} steps reached {reached:.0f}, short of level {level:.0f}.")
        return number

    def recent(self, number: int) -> float:
        """The mean return of the last episodes among the first `number`."""
        last = self.episodes[max(0, number - RECENT) : number]
        return float(np.mean([episode.episode_return for episode in last]))

    def demonstrate(self, label: str, stream: int, after: int, count: int) -> list[Episode]:
        """Episodes of the policy after `after` training episodes, frozen, with exploration noise.

        Args:
            label: of the files.
            stream: of the seed's random numbers, other than 0.

        Raises:
            UserError: the learner has learned further, so that this policy is no more.
        """
        files = [self.directory / f"{label}-{after:06d}" / f"{number:06d}.npz" for number in range(count)]
        if len(self.episodes) != after and not all(file.exists() for file in files):
            raise UserError(
                f"the learner in {self.directory} has learned on to episode {len(self.episodes)}; its policy after "
                f"episode {after}, which dataset {label} is made by, is no more: collect in another directory with "
                "--output."
            )
        episodes: list[Episode] = []
        with closing(Progress(count, 0, f"{self.task} {label}", "episodes", self.progress)) as shown:
            for number, file in enumerate(files):
                if not file.exists():
                    save_episode(file, self._episode((self.seed, stream, number), self._noisy_action))
                episodes.append(load_episode(file))
                shown.status = f"return {episodes[-1].episode_return:.0f}"
                shown.advance(1)
        return episodes

    def _learn_episode(self, number: int) -> Episode:
        episode = self._episode((self.seed, 0, number), self._learning_action, self._learn_step)
        self.episodes.append(episode)
        save_episode(self._file(number), episode)
        state = checkpoint.join(agent=self.agent.state(), sampler={"state": self.sampler.get_state()})
        checkpoint.save(self.directory / CHECKPOINT, state, number + 1)
        self.on_steps(len(episode))
        return episode

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
        actions: list[np.ndarray] = []
        rewards, ends = [], []
        done = False
        while not done:
            action = choose(observation, random)
            taken = self.bounds.outside(action)
            next_observation, reward, terminated, truncated, info = self.env.step(taken)
            truncated = truncated or (not terminated and len(actions) + 1 >= self.longest)
            if after_step is not None:
                after_step(observation, action, float(reward), next_observation, terminated)
            observations.append(next_observation)
            physics.append(info.get("physics"))
            actions.append(taken)
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

    def _file(self, number: int) -> Path:
        return self.directory / REPLAY / f"{number:06d}.npz"

    def _restore(self) -> list[Episode]:
        """Load the checkpoint; the episodes that it knows of."""
        file = self.directory / CHECKPOINT
        if not file.exists():
            return []
        state, count = checkpoint.load(file)
        self.agent.load_state(checkpoint.part(state, "agent"))
        self.sampler.set_state(state["sampler/state"])
        return [load_episode(self._file(number)) for number in range(count)]

    def _create_directory(self) -> None:
        identity = self.settings.learner(self.task, self.seed)
        if (held := read_identity(self.directory)) is not None:
            for entry, value in identity.items():
                if held.get(entry) != value:
                    raise UserError(
                        f"{self.directory} has another collection in it: its {entry} is {held.get(entry)!r}, not "
                        f"{value!r}; choose another directory with --output."
                    )
            return
        if self.directory.exists() and not is_vacant(self.directory):
            raise UserError(f"{self.directory} exists and is not a collection; choose another with --output.")
        self.directory.mkdir(parents=True, exist_ok=True)
        with write_atomically(self.directory / IDENTITY) as temporary:
            temporary.write_text(json.dumps(identity, indent=2) + "\n")


def read_identity(directory: Path) -> dict[str, object] | None:
    """The identity of the learner in a directory; None where there is none.

    Raises:
        UserError: it is corrupt.
    """
    file = directory / IDENTITY
    if not file.exists():
        return None
    try:
        return dict(parse_json(file.read_text()))
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} is corrupt ({error}); collect in another directory with --output.") from error
