"""`hcsac data`: import, list, describe and check datasets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hcsac.cli.options import Commands

if TYPE_CHECKING:
    from hcsac.data.episode import Episode
    from hcsac.data.formats import OpenedDataset
    from hcsac.tasks import ActionBounds


@click.group(cls=Commands)
def data() -> None:
    """Import, list, describe and check datasets."""


@data.command("import")
@click.argument("path")
@click.option("--task", help="The task the episodes were logged for, e.g. walker-walk, where the data do not name it.")
@click.option("--name", required=True, help="Name of the new dataset, e.g. walker/walker-walk-medium-v0.")
@click.option(
    "--columns",
    multiple=True,
    metavar="KIND=COLUMN[,COLUMN...]",
    help="Columns of a table whose names are not known, e.g. observation=x,y or action='u*'; may be repeated.",
)
@click.option("--action-low", help="Lowest value of the actions, or of each, as -2 or -2,-1; with --action-high.")
@click.option(
    "--action-high", help="Highest value of the actions, or of each. Default of both: the task's, or the data's."
)
def data_import(
    path: str, task: str | None, name: str, columns: Sequence[str], action_low: str | None, action_high: str | None
) -> None:
    """Read PATH, a file or folder in any dataset format, and write a Minari dataset.

    \b
    The format is recognised by the content:
      npz      a folder of .npz episodes, rows written on arrival
      hdf5     flat rows as in D4RL's files
      ogbench  OGBench's .npz files
      lerobot  the folder of a LeRobot dataset
      table    .csv or .parquet, with a column for the episode
      minari   the folder of a Minari dataset
    A plug-in can add formats. docs/how-to/import.md says what each must contain.

    One episode at a time is in memory. Where no rewards are logged, those of the task's reward function are written.
    """
    from hcsac.data import describe, store
    from hcsac.data.formats import OpenedDataset

    opened = OpenedDataset(path, task, columns)
    bounds = _given_bounds(action_low, action_high) or opened.bounds
    with _progress(opened) as episodes:
        store.write(name, opened.task, episodes, {"source": opened.format}, bounds=bounds)
    for what in opened.coarse.values():
        click.echo(f"warning: {what}.", err=True)
    if opened.unread:
        click.echo(f"not read: {', '.join(opened.unread)}\n")
    click.echo(describe.describe(name))


@data.command("export")
@click.argument("name")
@click.option("--format", "form", required=True, help="hdf5, npz, parquet, lerobot, or that of a plug-in.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The new file or folder.")
@click.option("--task", help="The task, where the dataset does not name it.")
def data_export(name: str, form: str, output: Path, task: str | None) -> None:
    """Write dataset NAME in another format. `hcsac data import` reads it again, equal to the last bit.

    \b
      hdf5     one file of flat rows as D4RL's, with next observations
      npz      a folder of .npz episodes, rows written on arrival
      parquet  one table; the last row of an episode is its last observation
      lerobot  the folder of a LeRobot dataset of version 2.1, without videos
    """
    from hcsac.data.formats import OpenedDataset, export

    opened = OpenedDataset(name, task)
    with _progress(opened) as episodes:
        export(episodes, opened.task, form, output)
    click.echo(f"{output}  {form}")


def _given_bounds(low: str | None, high: str | None) -> Callable[[int], ActionBounds] | None:
    from hcsac.errors import UserError
    from hcsac.tasks import ActionBounds

    if low is None and high is None:
        return None
    if low is None or high is None:
        raise UserError("--action-low and --action-high belong together; give both.")
    try:
        ends = [[float(word) for word in text.split(",")] for text in (low, high)]
    except ValueError as error:
        raise UserError(f"--action-low {low} --action-high {high}: write numbers, as -2 or -2,-1.") from error
    return lambda size: ActionBounds.given(ends[0], ends[1], size, "--action-low and --action-high")


def _progress(opened: OpenedDataset) -> AbstractContextManager[Iterable[Episode]]:
    """The episodes of a dataset with a bar, which has an end where their number is known."""
    total = len(opened.lengths) if opened.streams else None
    hidden = not sys.stderr.isatty()
    return click.progressbar(opened, length=total, label="episodes", show_pos=True, file=sys.stderr, hidden=hidden)


@data.command("list")
def data_list() -> None:
    """The datasets that can be named: the local Minari store and the shipped sample."""
    from hcsac.data import refs

    for entry in refs.list_datasets():
        known = entry.metadata
        mean = known.get("behaviour_return")
        shown = f"return {mean:8.1f}" if isinstance(mean, float | int) else " " * 15
        click.echo(
            f"{entry.ref:44} {known.get('task', '?'):14} {known.get('total_episodes', '?'):>5} episodes  {shown}"
        )


@data.command("info")
@click.argument("name")
@click.option("--task", help="The task, where the dataset does not name it.")
def data_info(name: str, task: str | None) -> None:
    """Sizes, returns and metadata of one dataset."""
    from hcsac.data import describe

    click.echo(describe.describe(name, task))


@data.command("check")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--task", help="The task, where the datasets do not name it (or write TASK=NAME).")
@click.option(
    "--steps",
    default=60_000,
    show_default=True,
    type=click.IntRange(1),
    help="Most steps to replay; of more, so many are sampled.",
)
@click.option(
    "--physics/--no-physics", default=True, help="Replay stored simulator states, or use the logged data alone."
)
@click.option(
    "--matrix",
    type=click.Choice(["sample", "all", "none"]),
    default="sample",
    show_default=True,
    help="Steps of each dataset for the cross-task matrix: 5000, as many as --steps allows, or none.",
)
@click.option(
    "--card", type=click.Path(path_type=Path), help="Write the results for each dataset as files into this folder."
)
@click.pass_context
def data_check(
    ctx: click.Context,
    names: Sequence[str],
    task: str | None,
    steps: int,
    physics: bool,
    matrix: str,
    card: Path | None,
) -> None:
    """Check datasets: report each problem with the evidence for it and how to fix it.

    NAME is a dataset's name or path, in any dataset format. Checked are shapes, bounds, episode ends, alignment, lost
    steps, rewards, copies, saturation, columns, coverage and returns. For several datasets, the returns of each under
    the rewards of all tasks are shown, too: the cross-task matrix.

    --card FOLDER writes FOLDER/NAME.md and FOLDER/NAME.json (and matrix.md, matrix.json). It replaces the files of the
    same dataset, and never overwrites anything else.

    Exit status: 0 without errors among the findings, 1 with one, 2 for bad input.
    """
    from hcsac.data import checks
    from hcsac.data.checks import card as cards
    from hcsac.data.formats import OpenedDataset

    crossed = matrix != "none" and len(names) > 1
    opened = {name: OpenedDataset(name, task) for name in dict.fromkeys(names)}
    if card is not None:
        cards.require_free(card, opened, crossed)
    readable, reports = {}, []
    for name, dataset in opened.items():
        its_task, episodes = dataset.task, dataset.episodes()
        for what in dataset.coarse.values():
            click.echo(f"warning: {name}: {what}.", err=True)
        limit = dataset.time_limit
        report = checks.examine(name, its_task, episodes, steps, physics=physics, bounds_of=dataset.bounds, limit=limit)
        click.echo(f"{report}\n")
        reports.append(report)
        if report.readable:
            readable[name] = (its_task, episodes)
    table = None
    if crossed and readable:
        table = checks.cross_task(readable, steps if matrix == "all" else min(steps, checks.SAMPLED))
        click.echo(f"{table}\n")
    if card is not None:
        written = [path for report in reports for path in cards.write(card, report, table)]
        written += [] if table is None else cards.write_matrix(card, table)
        click.echo(f"written: {', '.join(map(str, written))}")
    ctx.exit(0 if all(report.passed for report in reports) else 1)
