"""`hcsac grid`: run a study from a file, see how far it is, and read its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hcsac.cli.options import Commands

if TYPE_CHECKING:
    from hcsac.experiments import Record

LOG = "events.jsonl"
study_argument = click.argument("study", type=click.Path(path_type=Path))


@click.group(cls=Commands)
def grid() -> None:
    """Run a study from a file, see how far it is, read its report.

    A study is a TOML file that names agents, datasets, seeds and the settings that vary (experiments/*.toml are the
    published ones). Each combination is a cell, each cell a run directory below runs/NAME.
    """


@grid.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Where to (default: runs/NAME).")
@click.option("--jobs", type=click.IntRange(1), help="Cells at once (default: one per core, or one on a GPU).")
@click.option("--changed", is_flag=True, help="Go on although the file is no longer the one that began here.")
@click.pass_context
def grid_run(ctx: click.Context, file: Path, output: Path | None, jobs: int | None, changed: bool) -> None:
    """Bring every cell of the study in FILE to its end.

    Finished cells are skipped, interrupted ones go on from their last checkpoint, failed ones are tried once more and
    then reported with their error. Stop it whenever you like; the same command goes on.

    Exit status 0 when every cell is finished, 1 when one failed, 2 for bad input.
    """
    from hcsac import experiments

    study = experiments.read_grid(file)
    record = experiments.begin(study, output or Path("runs") / file.stem, changed)
    click.echo(f"{record.name}: {len(record.cells)} cells in {record.output}")
    failed = experiments.run_cells(record.cells, experiments.LocalLauncher(jobs), record.output / LOG)
    for end in failed:
        click.echo(f"\nfailed: {end.cell.label}\n{end.error}", err=True)
    click.echo(f"{len(record.cells) - len(failed)} of {len(record.cells)} cells are finished.")
    ctx.exit(1 if failed else 0)


@grid.command("status")
@study_argument
def grid_status(study: Path) -> None:
    """Tell how far STUDY is, its TOML file or its output directory: state, updates and last returns of every cell."""
    from hcsac import experiments

    record = _record(study)
    click.echo(experiments.status_table(record, record.output / LOG))


def _record(study: Path) -> Record:
    """The grid that began in a directory, or by a file in the directory it has by default."""
    from hcsac import experiments

    return experiments.read_record(Path("runs") / study.stem if study.suffix == ".toml" else study)
