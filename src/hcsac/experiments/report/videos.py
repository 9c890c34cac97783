"""Short videos of the last policies, small enough to be part of the page."""

import base64
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from hcsac.errors import UserError
from hcsac.evaluation import RenderUnavailable
from hcsac.experiments.report.load import Finished
from hcsac.experiments.report.styles import series_of
from hcsac.policy import render

WIDTH, HEIGHT, SECONDS = 240, 180, 5.0
MAX_BYTES = 12_000_000  # of all videos of a page
_WORKERS = 4  # videos rendered at once, if there are cores: each in a process of its own


class Clip(NamedTuple):
    """A video and its caption."""

    heading: str  # the dataset and the task
    caption: str  # the series and the seed
    source: str  # a data URI


class _Wanted(NamedTuple):
    """A video to render."""

    dataset: str
    task: str
    name: str  # of the series
    finished: Finished


def render_clips(
    finished: Sequence[Finished], log: Callable[[str], None], max_bytes: int = MAX_BYTES
) -> tuple[list[Clip], str]:
    """A clip of the first seed of every series on every task of every dataset, and why some or all are missing.

    Args:
        log: called with a line per video.
        max_bytes: of all videos together; the remaining videos are left out.
    """
    wanted = _wanted(finished)
    clips: list[Clip] = []
    missing: dict[str, list[str]] = {}  # reason -> what there is no video of
    failed_tasks: dict[str, UserError] = {}
    size = 0
    with tempfile.TemporaryDirectory() as folder:
        pool = ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1))
        try:
            paths = [Path(folder) / f"{number}.mp4" for number in range(len(wanted))]
            videos = [
                pool.submit(_rendered, one.finished, one.task, path, failed_tasks)
                for one, path in zip(wanted, paths, strict=True)
            ]
            for number, (one, video) in enumerate(zip(wanted, videos, strict=True), 1):
                label = f"{one.name}, {one.dataset}: {one.task}"
                log(f"video {number} of {len(wanted)}: {label}")
                try:
                    content = video.result()
                except RenderUnavailable as error:
                    return [], f"No videos: {error}"
                except UserError as error:
                    reason = str(error).replace(str(one.finished.directory.path), "its run")
                    missing.setdefault(reason, []).append(label)
                    continue
                if size + len(content) > max_bytes:
                    reason = f"the limit of {max_bytes / 1e6:.1f} MB for all videos of a page is reached."
                    missing[reason] = [f"the last {len(wanted) - number + 1}"]
                    break
                size += len(content)
                source = "data:video/mp4;base64," + base64.b64encode(content).decode()
                caption = f"{one.name}, seed {one.finished.run.seeds[0]}"
                clips.append(Clip(f"{one.dataset}: {one.task}", caption, source))
        finally:
            pool.shutdown(cancel_futures=True)
    return clips, " ".join(f"No video of {'; '.join(labels)}: {reason}" for reason, labels in missing.items())


def _wanted(finished: Sequence[Finished]) -> list[_Wanted]:
    """The first run of every series on every task of every dataset, by dataset and task."""
    series = series_of(one.run for one in finished)
    shown: dict[tuple[str, str], dict[str, Finished]] = {}  # (dataset, task) -> name -> run
    for one in finished:
        for task in one.run.tasks:
            shown.setdefault((one.run.dataset, task), {}).setdefault(series[one.run.key].name, one)
    return [_Wanted(*place, name, one) for place, by_name in shown.items() for name, one in by_name.items()]


def _rendered(one: Finished, task: str, path: Path, failed_tasks: dict[str, UserError]) -> bytes:
    """The content of a video. `failed_tasks` collects tasks that cannot be rendered, so that no other run tries."""
    if task in failed_tasks:
        raise failed_tasks[task]
    try:
        render(one.directory.path, path, [task], seconds=SECONDS, width=WIDTH, height=HEIGHT, progress=False)
    except RenderUnavailable:
        raise
    except UserError as error:
        if f"task {task!r}" not in str(error):  # the problem is the run, not the task
            raise
        try:  # some environments render at their own size only
            render(one.directory.path, path, [task], seconds=SECONDS, progress=False)
        except UserError as again:
            failed_tasks[task] = again
            raise
    return path.read_bytes()
