"""A video of a run's last policy."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import numpy as np

from hcsac.errors import UserError, unknown
from hcsac.evaluation import FIRST_SEED
from hcsac.evaluation.render import Frame, Rollout, View
from hcsac.evaluation.video import Video, captioned, check_output, tiled
from hcsac.policy.policy import load_policy
from hcsac.training.progress import Progress

FASTEST = 60  # pictures a second that any screen shows


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
) -> Path:
    """Write a video of the deterministic policy at the last checkpoint of the run in `directory`; its path.

    Args:
        output: the MP4 file; None for `video.mp4` in `directory`.
        tasks: what it does, side by side; None for all tasks of the run.
        seed: which replica; None for the first.
        episode: which of the evaluation's initial states it begins in, from 0.
        seconds: how much of the episode, in the time of the simulator; an episode that ends earlier stands still.
        speed: 1 is real time, 0.5 half as fast.
        width: of each task's picture, in pixels; None for 480, or what the environment draws.
        height: the same; None for 360.
        camera: number or name; None for the environment's own, which follows the walker.
        overwrite: replace a file that is there.

    Raises:
        RenderUnavailable: nothing on this machine draws without a screen. A `UserError`, as for any other bad input.
    """
    policy = load_policy(directory)
    tasks = list(tasks or policy.tasks)
    for task in tasks:
        if task not in policy.tasks:
            raise unknown("task", task, policy.tasks)
    if seed is not None and seed not in policy.seeds:
        raise unknown("seed", str(seed), map(str, policy.seeds))
    for name, value in (("seconds", seconds), ("speed", speed)):
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"{name} = {value} is out of bounds; give a number above 0.")
    if episode < 0:
        raise UserError(f"episode = {episode} is out of bounds; give 0 or more.")
    path = Path(output) if output else Path(directory) / "video.mp4"
    check_output(path, overwrite)

    view, replica = View(width, height, camera), policy.seeds[0] if seed is None else seed
    title = f"{Path(directory).name}: {', '.join(tasks)}, seed {replica}, episode {episode}, update {policy.update}"
    with ExitStack() as stack:
        rollouts = [
            stack.enter_context(
                closing(Rollout(task, partial(policy.act, task=task, seed=seed), FIRST_SEED + episode, view))
            )
            for task in tasks
        ]
        fps = rollouts[0].fps * speed
        every = math.ceil(fps / FASTEST)
        count = round(seconds * rollouts[0].fps / every) + 1  # the initial state, and one for each step
        video = stack.enter_context(Video(path, fps / every, title, overwrite))
        shown = stack.enter_context(closing(Progress(count, label=str(path), unit="frames", enabled=progress)))
        for image in _pictures(rollouts, count, every):
            video.add(image)
            shown.advance(1)
    return path


def _pictures(rollouts: Sequence[Rollout], count: int, every: int) -> Iterator[np.ndarray]:
    """All rollouts side by side, until the last of them ends; one that ended before keeps its last picture."""
    playing = [rollout.frames(count, every) for rollout in rollouts]
    images: list[np.ndarray] = [np.empty(0)] * len(rollouts)
    while True:
        frames: list[Frame | None] = [next(frames, None) for frames in playing]
        if not any(frames):
            return
        for i, frame in enumerate(frames):
            if frame:
                text = f"{rollouts[i].task}   step {frame.step}   return {frame.total:.1f}"
                images[i] = captioned(frame.image, text)
        yield tiled(images)
