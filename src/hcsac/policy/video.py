"""A video of the policy of a run or bundle."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hcsac import files
from hcsac.errors import UserError, unknown
from hcsac.evaluation import FIRST_SEED
from hcsac.evaluation.render import Frame, Rollout, View
from hcsac.evaluation.video import Video, captioned, check_output, tiled
from hcsac.policy.asked import measured, require_numbers
from hcsac.policy.policy import Policy, load_with_tasks
from hcsac.tasks import get_task
from hcsac.training.progress import Progress

MAX_FPS = 60  # of the video; displays show no more
SMOOTHED = 40  # steps that the achieved number in the caption is the mean of: about one of a walker's strides


def render(
    directory: str | Path,
    output: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    seed: int | None = None,
    episode: int = 0,
    seconds: float = 10.0,
    speed: float = 1.0,
    width: int | None = None,
    height: int | None = None,
    camera: int | str | None = None,
    overwrite: bool = False,
    progress: bool = True,
    at: Sequence[float] | None = None,
) -> Path:
    """Write a video of the deterministic policy of the run or bundle in `directory`, and return its path.

    Args:
        output: the MP4 file; None for `video.mp4` in `directory`.
        tasks: shown side by side; None for all tasks of the policy.
        seed: of the replica that acts; None for the first.
        episode: index of the evaluation's initial state, from 0.
        seconds: length in simulated time; an episode that ends earlier shows its last frame.
        speed: 1 is real time, 0.5 half of it.
        width: of each task's frame in pixels; None for 480, or the environment's own.
        height: of each task's frame in pixels; None for 360, or the environment's own.
        camera: number or name; None for the environment's own, which follows the walker.
        overwrite: replace an existing file.
        at: numbers that a policy which acts by a number is asked for one after the other, each for an equal part of the
            video, in place of `tasks`.

    Raises:
        RenderUnavailable: no rendering backend works on this machine; a `UserError`.
        UserError: an unknown task or seed, a value out of bounds, `at` for a policy that acts by task, or a file that
            exists.
    """
    policy = load_with_tasks(directory)
    if tasks and at is not None:
        raise UserError("a video shows tasks, or what the policy does at numbers; leave out --task or --at.")
    shown = list(tasks or policy.tasks)
    for task in shown:
        if task not in policy.tasks:
            raise unknown("task", task, policy.tasks)
    asked = None if at is None else _Asked(policy, at, seed)
    if asked is not None:
        shown = [asked.task]
    if seed is not None and seed not in policy.seeds:
        raise unknown("seed", str(seed), map(str, policy.seeds))
    for name, value in (("seconds", seconds), ("speed", speed)):
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"{name} = {value} is out of bounds; choose a number above 0.")
    if episode < 0:
        raise UserError(f"episode = {episode} is out of bounds; choose 0 or more.")
    path = Path(output) if output else Path(directory) / files.VIDEO
    check_output(path, overwrite)

    view, replica = View(width, height, camera), policy.seeds[0] if seed is None else seed
    title = f"{Path(directory).name}: {', '.join(shown)}, seed {replica}, episode {episode}, update {policy.update}"
    with ExitStack() as stack:
        rollouts = [
            stack.enter_context(
                closing(Rollout(task, asked or partial(policy.act, task=task, seed=seed), FIRST_SEED + episode, view))
            )
            for task in shown
        ]
        fps = rollouts[0].fps * speed
        every = math.ceil(fps / MAX_FPS)
        count = round(seconds * rollouts[0].fps / every) + 1  # the initial state, and one for each step
        if asked is not None:
            asked.steps = (count - 1) * every
        video = stack.enter_context(Video(path, fps / every, title, overwrite))
        progress_bar = stack.enter_context(closing(Progress(count, label=str(path), unit="frames", enabled=progress)))
        for image in _images(rollouts, count, every, asked):
            video.add(image)
            progress_bar.advance(1)
    return path


class _Asked:
    """Acts for one number after the other, and says what was asked and achieved."""

    def __init__(self, policy: Policy, values: Sequence[float], seed: int | None):
        self.parameter, names = require_numbers(policy, values)
        self.policy, self.values, self.seed = policy, values, seed
        self.task, self.steps, self.step = names[len(names) // 2], 1, 0
        self.measure, self.achieved = get_task(self.task).measure, deque[float](maxlen=SMOOTHED)

    def value(self, step: int) -> float:
        """What is asked for after `step` steps."""
        return float(self.values[min(step * len(self.values) // self.steps, len(self.values) - 1)])

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        if self.measure is not None:
            self.achieved.append(float(measured(self.measure, observation)))
        number: dict[str, Any] = {self.parameter.name: self.value(self.step)}
        action = self.policy.act(observation, seed=self.seed, **number)
        self.step += 1
        return action

    def caption(self, step: int) -> str:
        """For the frame after `step` steps."""
        text = f"{self.parameter.name} {self.value(step):.2f} asked"
        return f"{text}   {np.mean(self.achieved):.2f} achieved   step {step}" if self.achieved else text


def _images(rollouts: Sequence[Rollout], count: int, every: int, asked: _Asked | None) -> Iterator[np.ndarray]:
    """All rollouts side by side, until the last of them ends; one that ended before shows its last frame."""
    iterators = [rollout.frames(count, every) for rollout in rollouts]
    images: list[np.ndarray] = [np.empty(0)] * len(rollouts)
    while True:
        frames: list[Frame | None] = [next(frames, None) for frames in iterators]
        if not any(frames):
            return
        for i, frame in enumerate(frames):
            if frame:
                text = f"{rollouts[i].task}   step {frame.step}   return {frame.total:.1f}"
                if asked is not None:
                    text = asked.caption(frame.step)
                images[i] = captioned(frame.image, text)
        yield tiled(images)
