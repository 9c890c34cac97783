"""`hcsac study`: run a study from a file, show its state, write its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hcsac import files
from hcsac.cli.options import Commands, track_option

if TYPE_CHECKING:
    from hcsac.experiments import StudyRecord

LOG = files.EVENTS
study_argument = click.argument("study")


@click.group(cls=Commands)
def study() -> None:
    """Run a study from a file, show its state, print its tables, write its report.

    A study is a TOML file of configurations: dataset groups, algorithms, seeds and settings that vary
    (experiments/*.toml are the published ones). Each combination is a run with a directory of its own below runs/NAME.
    """


@study.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", help="Output directory or fsspec URL, e.g. s3://bucket/study (default: runs/NAME).")
@click.option("--jobs", type=click.IntRange(1), help="Runs at once (default: one per core, or one on a GPU).")
@click.option(
    "--launcher",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Run on this machine, or on a Ray cluster.",
)
@click.option(
    "--address", help="Ray cluster address: `auto` on a node of the cluster, else HOST:PORT of its head node."
)
@click.option(
    "--cpus-per-run",
    "--cpus-per-cell",
    "cpus_per_run",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Cores of each run (Ray only).",
)
@click.option(
    "--gpus-per-run",
    "--gpus-per-cell",
    "gpus_per_run",
    type=click.FloatRange(0),
    help="GPUs of each run (Ray only; default: 1 where device is cuda, else 0).",
)
@track_option
@click.option("--changed", is_flag=True, help="Continue although FILE has changed since the study was started.")
@click.pass_context
def study_run(
    ctx: click.Context,
    file: Path,
    output: str | None,
    jobs: int | None,
    launcher: str,
    address: str | None,
    cpus_per_run: int,
    gpus_per_run: float | None,
    trackers: list[str],
    changed: bool,
) -> None:
    """Run all configurations of the study in FILE; finished ones are skipped, interrupted ones resumed.

    A run that fails is tried once more, then reported with its error. To stop, press Ctrl-C; the same command resumes
    the study.

    On a Ray cluster (--launcher ray) every node must see the datasets and --output, which is a shared directory or a
    URL. If a node is lost, its runs resume on other nodes from their last checkpoints.

    Exit status: 0 if all runs are finished, 1 if one failed, 2 for invalid input.
    """
    from hcsac import experiments
    from hcsac.training import require_trackers

    content = experiments.read_study(file)
    require_trackers(trackers)
    target = output or str(Path("runs") / file.stem)
    with experiments.opened(target) as (folder, mirror):
        record = experiments.start_study(content, folder, changed, mirror)
        click.echo(f"{record.name}: {experiments.plural(len(record.runs), 'run')} in {target}")
        where: experiments.Launcher
        if launcher == "ray":
            gpus = experiments.gpus_for(record.runs) if gpus_per_run is None else gpus_per_run
            where = experiments.RayLauncher(address, folder, mirror, cpus_per_run, gpus, jobs, trackers)
        else:
            where = experiments.LocalLauncher(jobs, mirror, trackers)
        failed = experiments.run_all(record.runs, where, folder / LOG, mirror=mirror)
    for result in failed:
        click.echo(f"\nfailed: {result.run.label}\n{result.error}", err=True)
    click.echo(f"{len(record.runs) - len(failed)} of {experiments.plural(len(record.runs), 'run')} finished.")
    ctx.exit(1 if failed else 0)


@study.command("status")
@study_argument
def study_status(study: str) -> None:
    """Show state, updates and latest returns of every run of STUDY.

    STUDY is its TOML file or its output, a directory or a URL.
    """
    from hcsac import experiments

    record = _record(study, complete=False)
    click.echo(experiments.status_table(record, record.output / LOG))


@study.command("report")
@study_argument
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="HTML file (default: report.html in the output directory; for a URL, NAME.html here).",
)
@click.option(
    "--videos/--no-videos", default=True, show_default=True, help="Include short videos of the last policies."
)
def study_report(study: str, output: Path | None, videos: bool) -> None:
    """Write the report of STUDY: one HTML file that works offline.

    STUDY is its TOML file or its output, a directory or a URL. Videos need checkpoints, so a URL has none.

    It shows returns beside those of the dataset and published ones, of the last policy and the best of the run,
    interquartile means with intervals, performance profiles, learning curves, shared transitions, every seed, run
    times, settings that differ, and videos. Reports of unfinished studies cover the finished runs. An earlier report is
    replaced.

    Beside it are written a Markdown copy of the tables, returns.parquet with every return, and metrics.parquet with
    every metric of every seed.
    """
    from hcsac import experiments

    record = _record(study)
    if experiments.is_url(study):
        output, videos = output or Path(f"{study.rstrip('/').rsplit('/', 1)[-1]}.html"), False
    written = experiments.write_report(record, output, record.output / LOG, videos, click.echo)
    if written.note:
        click.echo(written.note)
    size = written.page.stat().st_size / 1e6
    click.echo(f"written: {written.page} ({size:.1f} MB), {written.markdown}, {written.returns}, {written.metrics}")


@study.command("table")
@study_argument
@click.option("--csv", type=click.Path(path_type=Path), help="Also write the numbers to this CSV file.")
def study_table(study: str, csv: Path | None) -> None:
    """Print the tables of returns and metrics of STUDY.

    STUDY is its TOML file or its output, a directory or a URL.
    """
    from hcsac import experiments

    record = _record(study)
    summary, text = experiments.summary_tables(record, record.output / LOG)
    click.echo(text)
    if csv is not None:
        experiments.write_csv(summary, csv)
        click.echo(f"\nwritten: {csv}")


def _record(study: str, complete: bool = True) -> StudyRecord:
    """The study in a directory, at a URL, or in the default output directory of a TOML file."""
    from hcsac import experiments

    if experiments.is_url(study):
        return experiments.read_record(experiments.local_copy(study), complete)
    path = Path(study)
    return experiments.read_record(Path("runs") / path.stem if path.suffix == ".toml" else path, complete)
