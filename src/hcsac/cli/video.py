"""The command that films a run: render."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from hcsac.cli.options import threads_option, use_threads


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--task", "tasks", multiple=True, help="Show this task only; give it again for more (default: all).")
@click.option("--output", type=click.Path(path_type=Path), help="The MP4 file (default: RUN/video.mp4).")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option("--seconds", default=10.0, show_default=True, help="How much of the episode (walker: 25 at most).")
@click.option("--speed", default=1.0, show_default=True, help="1 is real time, 0.5 half as fast, 2 twice.")
@click.option("--seed", type=int, help="Which replica acts (default: the first of the run).")
@click.option("--episode", default=0, show_default=True, help="Which of the evaluation's initial states, from 0.")
@click.option("--width", type=click.IntRange(1), help="Of each task's picture, in pixels (default: 480).")
@click.option("--height", type=click.IntRange(1), help="The same (default: 360).")
@click.option("--camera", help="Name or number of a camera (default: the first; walker: side or back).")
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
    threads: int | None,
) -> None:
    """Make a video of RUN's last policy: deterministic actions, all tasks side by side, no screen needed."""
    use_threads(threads)
    from hcsac import policy

    chosen = int(camera) if camera and camera.lstrip("-").isdecimal() else camera
    path = policy.render(
        run, output, tasks, seed, episode, seconds, speed, width, height, chosen, overwrite
    )  # fmt: skip
    click.echo(f"written: {path}")
