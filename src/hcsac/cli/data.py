"""`hcsac data`: import, list, describe and check datasets."""

from collections.abc import Sequence
from pathlib import Path

import click

from hcsac.cli.options import Commands


@click.group(cls=Commands)
def data() -> None:
    """Import, list, describe and check datasets."""


@data.command("import")
@click.argument("path")
@click.option("--task", help="The task the episodes were logged for, e.g. walker-walk, where the data do not name it.")
@click.option("--name", required=True, help="Name of the new dataset, e.g. walker/walker-walk-medium-v0.")
def data_import(path: str, task: str | None, name: str) -> None:
    """Read PATH, a file or folder in any dataset format, and write a Minari dataset.

    Built in are folders of .npz episodes and Minari datasets; a plug-in can add formats.

    A .npz episode: row t of `action` and `reward` is what LED to row t of `observation`; row 0 is padding. The arrays
    observation, action, reward, discount have T+1 rows each; physics (qpos and qvel) is kept where present.
    """
    from hcsac.data import describe, store
    from hcsac.data.formats import OpenedDataset

    opened = OpenedDataset(path, task)
    store.write(name, opened.task, list(opened), {"source": opened.format})
    click.echo(describe.describe(name))


@data.command("list")
def data_list() -> None:
    """The datasets that can be named: the local Minari store and the shipped sample."""
    from hcsac.data import refs

    for entry in refs.list_datasets():
        known = entry.metadata
        behaviour = known.get("behaviour_return")
        score = f"return {behaviour:8.1f}" if isinstance(behaviour, float | int) else " " * 15
        click.echo(
            f"{entry.ref:44} {known.get('task', '?'):14} {known.get('total_episodes', '?'):>5} episodes  {score}"
        )


@data.command("info")
@click.argument("name")
@click.option("--task", help="The task, where the dataset does not say it.")
def data_info(name: str, task: str | None) -> None:
    """Sizes, returns and metadata of one dataset."""
    from hcsac.data import describe

    click.echo(describe.describe(name, task))


@data.command("check")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--task", help="The task, where the datasets do not say it (or write TASK=NAME).")
@click.option(
    "--steps",
    default=60_000,
    show_default=True,
    type=click.IntRange(1),
    help="Steps replayed at most; more are sampled.",
)
@click.option("--physics/--no-physics", default=True, help="Replay stored physics states, or judge from observations.")
@click.option(
    "--matrix", type=click.Choice(["sample", "all", "none"]), default="sample", show_default=True,
    help="The matrix of several datasets: from 5000 steps of each, from as many as --steps allows, or not at all.",
)  # fmt: skip
@click.option("--card", type=click.Path(path_type=Path), help="Write a card of each dataset into this folder.")
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
    """Examine datasets, or folders of .npz episodes: every fault named, with its evidence and its mend.

    Looks at shapes, bounds, episode ends, alignment, lost steps, rewards, copies, saturation, columns, coverage and
    returns. Several datasets are also scored under the rewards of each other's tasks: the cross-task matrix.

    --card FOLDER writes FOLDER/NAME.md for people and FOLDER/NAME.json for programs (and matrix.md, matrix.json). It
    replaces the card of the same dataset, and refuses to overwrite anything else.

    Exit status 0 without an error among the findings, 1 with one, 2 for bad input.
    """
    from hcsac.data import checks
    from hcsac.data.checks import card as cards
    from hcsac.data.formats import open_data

    crossed = matrix != "none" and len(names) > 1
    opened = {name: open_data(name, task) for name in dict.fromkeys(names)}
    if card is not None:
        cards.claim(card, opened, crossed)
    sound, reports = {}, []
    for name, (its_task, episodes) in opened.items():
        report = checks.examine(name, its_task, episodes, steps, physics=physics)
        click.echo(f"{report}\n")
        reports.append(report)
        if report.readable:
            sound[name] = (its_task, episodes)
    table = None
    if crossed and sound:
        table = checks.cross_task(sound, steps if matrix == "all" else min(steps, checks.SAMPLED))
        click.echo(f"{table}\n")
    if card is not None:
        written = [path for report in reports for path in cards.write(card, report, table)]
        written += [] if table is None else cards.write_matrix(card, table)
        click.echo(f"written: {', '.join(map(str, written))}")
    ctx.exit(0 if all(report.passed for report in reports) else 1)
