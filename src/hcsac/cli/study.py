"""`hcsac grid`: run a study from a file, see how far it is, and read its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hcsac.cli.options import Commands, track_option

if TYPE_CHECKING:
    from hcsac.experiments import Record

LOG = "events.jsonl"
study_argument = click.argument("study")


@click.group(cls=Commands)
def grid() -> None:
    """Run a study from a file, see how far it is, read its report.

    A study is a TOML file that names agents, datasets, seeds and the settings that vary (experiments/*.toml are the
    published ones). Each combination is a cell, each cell a run directory below runs/NAME.
    """


@grid.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", help="Where to (default: runs/NAME): a folder, or a URL as s3://bucket/study.")
@click.option("--jobs", type=click.IntRange(1), help="Cells at once (default: one per core, or one on a GPU).")
@click.option("--launcher", type=click.Choice(["local", "ray"]), default="local", show_default=True,
              help="Where: on this machine, or on a Ray cluster.")  # fmt: skip
@click.option("--address", help="Of the Ray cluster: auto on one of its machines, or HOST:PORT of its head.")
@click.option("--cpus-per-cell", type=click.IntRange(1), default=1, show_default=True, help="With ray: cores.")
@click.option("--gpus-per-cell", type=click.FloatRange(0), help="With ray (default: 1 where device is cuda, else 0).")
@track_option
@click.option("--changed", is_flag=True, help="Go on although the file is no longer the one that began here.")
@click.pass_context
def grid_run(
    ctx: click.Context,
    file: Path,
    output: str | None,
    jobs: int | None,
    launcher: str,
    address: str | None,
    cpus_per_cell: int,
    gpus_per_cell: float | None,
    trackers: list[str],
    changed: bool,
) -> None:
    """Bring every cell of the study in FILE to its end.

    Finished cells are skipped, interrupted ones go on from their last checkpoint, failed ones are tried once more and
    then reported with their error. Stop it whenever you like; the same command goes on.

    On a Ray cluster (--launcher ray) every node must see --output, as a shared folder or a URL, and the datasets. A
    node that dies costs what its cells did since their last checkpoints: they go on elsewhere.

    Exit status 0 when every cell is finished, 1 when one failed, 2 for bad input.
    """
    from hcsac import experiments
    from hcsac.training import require_trackers

    study = experiments.read_grid(file)
    require_trackers(trackers)
    place = output or str(Path("runs") / file.stem)
    with experiments.opened(place) as (folder, mirror):
        record = experiments.begin(study, folder, changed, mirror)
        click.echo(f"{record.name}: {len(record.cells)} cells in {place}")
        where: experiments.Launcher
        if launcher == "ray":
            gpus = experiments.gpus_for(record.cells) if gpus_per_cell is None else gpus_per_cell
            where = experiments.RayLauncher(address, folder, mirror, cpus_per_cell, gpus, jobs, trackers)
        else:
            where = experiments.LocalLauncher(jobs, mirror, trackers)
        failed = experiments.run_cells(record.cells, where, folder / LOG, mirror=mirror)
    for end in failed:
        click.echo(f"\nfailed: {end.cell.label}\n{end.error}", err=True)
    click.echo(f"{len(record.cells) - len(failed)} of {len(record.cells)} cells are finished.")
    ctx.exit(1 if failed else 0)


@grid.command("status")
@study_argument
def grid_status(study: str) -> None:
    """Tell how far STUDY is: state, updates and last returns of every cell.

    STUDY is its TOML file or its output, a directory or a URL.
    """
    from hcsac import experiments

    record = _record(study)
    click.echo(experiments.status_table(record, record.output / LOG))


@grid.command("report")
@study_argument
@click.option("--output", type=click.Path(path_type=Path),
              help="The page (default: report.html in the output; of a URL, NAME.html here).")  # fmt: skip
@click.option("--videos/--no-videos", default=True, show_default=True, help="Show the last policies in short videos.")
def grid_report(study: str, output: Path | None, videos: bool) -> None:
    """Write the report of STUDY: one HTML page that needs nothing else.

    STUDY is its TOML file or its output, a directory or a URL; videos need a directory, as checkpoints stay at the URL.

    Returns against the data and against published numbers, last policy and best of run, interquartile means with
    intervals, performance profiles, learning curves, what sharing moved, every seed, run times, settings that differ,
    videos. The tables also go to a Markdown file beside it, every return to returns.parquet. A study that still runs
    is reported as far as it is; an earlier report is replaced.
    """
    from hcsac import experiments

    record = _record(study)
    if experiments.is_url(study):
        output, videos = output or Path(f"{study.rstrip('/').rsplit('/', 1)[-1]}.html"), False
    written = experiments.write_report(record, output, record.output / LOG, videos, click.echo)
    if written.note:
        click.echo(written.note)
    size = written.page.stat().st_size / 1e6
    click.echo(f"written: {written.page} ({size:.1f} MB), {written.twin}, {written.returns}")


def _record(study: str) -> Record:
    """The grid that began in a directory or at a URL, or by a file in the directory it has by default."""
    from hcsac import experiments

    if experiments.is_url(study):
        return experiments.read_record(experiments.local_copy(study))
    path = Path(study)
    return experiments.read_record(Path("runs") / path.stem if path.suffix == ".toml" else path)
