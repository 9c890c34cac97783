"""Short videos of the last policies, small enough to lie inside the page."""

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
MOST = 12_000_000  # bytes of all videos of a page
_WORKERS = 4  # videos made at once, where there are cores: each is drawn by a process of its own


class Clip(NamedTuple):
    """A video, and what it shows."""

    place: str  # the dataset and the task
    caption: str  # who is seen
    source: str  # a data URI


def film(finished: Sequence[Finished], tell: Callable[[str], None], most: int = MOST) -> tuple[list[Clip], str]:
    """A clip of the first seed of every agent in every task of every dataset, and why some or all are missing.

    Args:
        tell: is told of every video.
        most: bytes of all videos together; the rest is left out.
    """
    series = series_of(one.cell for one in finished)
    shown: dict[tuple[str, str], dict[str, Finished]] = {}  # (dataset, task) -> name -> run
    for one in finished:
        for task in one.cell.tasks:
            name = series[one.cell.variant, one.cell.agent].name
            shown.setdefault((one.cell.dataset, task), {}).setdefault(name, one)
    wanted = [(*where, name, one) for where, by_name in shown.items() for name, one in by_name.items()]
    clips: list[Clip] = []
    without: dict[str, list[str]] = {}  # reason -> what there is no video of
    hopeless: dict[str, UserError] = {}
    size = 0
    with tempfile.TemporaryDirectory() as folder:
        pool = ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1))
        try:
            paths = [Path(folder) / f"{number}.mp4" for number in range(len(wanted))]
            made = [pool.submit(_made, one, task, path, hopeless)
                    for (_, task, _, one), path in zip(wanted, paths, strict=True)]  # fmt: skip
            for number, ((dataset, task, name, one), video) in enumerate(zip(wanted, made, strict=True), 1):
                what = f"{name}, {dataset}: {task}"
                tell(f"video {number} of {len(wanted)}: {what}")
                try:
                    content = video.result()
                except RenderUnavailable as error:
                    return [], f"No videos: {error}"
                except UserError as error:
                    reason = str(error).replace(str(one.run.path), "its run")
                    without.setdefault(reason, []).append(what)
                    continue
                if size + len(content) > most:
                    reason = f"{len(clips)} videos are {size / 1e6:.1f} MB, and the page is to stay small."
                    without[reason] = [f"the last {len(wanted) - number + 1}"]
                    break
                size += len(content)
                source = "data:video/mp4;base64," + base64.b64encode(content).decode()
                clips.append(Clip(f"{dataset}: {task}", f"{name}, seed {one.cell.seeds[0]}", source))
        finally:
            pool.shutdown(cancel_futures=True)
    return clips, " ".join(f"No video of {'; '.join(names)}: {reason}" for reason, names in without.items())


def _made(one: Finished, task: str, path: Path, hopeless: dict[str, UserError]) -> bytes:
    """`hopeless` keeps the tasks that cannot be drawn, so that no other run tries them."""
    if task in hopeless:
        raise hopeless[task]
    try:
        render(one.run.path, path, [task], seconds=SECONDS, width=WIDTH, height=HEIGHT, progress=False)
    except RenderUnavailable:
        raise
    except UserError as error:
        if f"task {task!r}" not in str(error):  # it is the run that is at fault
            raise
        try:  # some environments draw at their own size only
            render(one.run.path, path, [task], seconds=SECONDS, progress=False)
        except UserError as again:
            hopeless[task] = again
            raise
    return path.read_bytes()
