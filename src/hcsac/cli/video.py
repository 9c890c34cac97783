"""`hcsac render`: write a video of a policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from hcsac.cli.options import numbers_of, threads_option, use_threads


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--task", "tasks", multiple=True, help="Show this task; repeat the option for several (default: all).")
@click.option("--output", type=click.Path(path_type=Path), help="The MP4 file (default: RUN/video.mp4).")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option("--seconds", default=10.0, show_default=True, help="Length in simulated time (walker: 25 at most).")
@click.option("--speed", default=1.0, show_default=True, help="1 is real time, 0.5 half of it, 2 twice.")
@click.option("--seed", type=int, help="Seed of the replica that acts (default: the first of the run).")
@click.option("--episode", default=0, show_default=True, help="Index of the evaluation's initial state, from 0.")
@click.option("--width", type=click.IntRange(1), help="Width of each task's frame in pixels (default: 480).")
@click.option("--height", type=click.IntRange(1), help="Height of each task's frame in pixels (default: 360).")
@click.option("--camera", help="Name or number of a camera (default: the first; walker: side or back).")
@click.option("--at", metavar="NUMBERS", help="Ask a policy that acts by a number (train --task-parameter) for these "
              "one after the other, as 0.5,1.7 or 0:3:0.05, instead of showing tasks.")  # fmt: skip
@threads_option
def render(
    run: Path,
    tasks: Sequence[str],
    output: Path | None,
    overwrite: bool,
    seconds: float,
    speed: float,
    seed: int | None,
    episode: int,
    width: int | None,
    height: int | None,
    camera: str | None,
    at: str | None,
    threads: int | None,
) -> None:
    """Write an MP4 video of the policy of RUN's last checkpoint, with deterministic actions and all tasks side by side.

    RUN is the directory of a run or a policy bundle made by `hcsac export`. No display is needed.
    """
    use_threads(threads)
    from hcsac import policy

    chosen = int(camera) if camera and camera.lstrip("-").isdecimal() else camera
    path = policy.render(
        run, output, tasks, seed, episode, seconds, speed, width, height, chosen, overwrite,
        at=None if at is None else numbers_of(at),
    )  # fmt: skip
    click.echo(f"written: {path}")
