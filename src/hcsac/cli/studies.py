"""Commands that train several runs and compare them: reproduce, sharing-gain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hcsac import files
from hcsac.cli.options import SettingsCommand, alignment_option, config_option, given_settings, seeds_option
from hcsac.settings import Settings

jobs_option = click.option(
    "--jobs", type=click.IntRange(1), help="Runs at once (default: one per core, or one on a GPU)."
)


@click.command("sharing-gain", cls=SettingsCommand, algorithms=lambda: ["hcsac"])
@click.argument("source", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--rules",
    default="quantile",
    show_default=True,
    help="Rules to measure, as quantile:keep,quantile:recompute,all:recompute,uds.",
)
@click.option("--each-direction", is_flag=True, help="Also measure each direction alone.")
@click.option("--output", type=click.Path(path_type=Path), help="Output directory (default: RUN-sharing).")
@jobs_option
def sharing_gain(
    source: Path, rules: str, each_direction: bool, output: Path | None, jobs: int | None, **given: Any
) -> None:
    """Measure the sharing gain of RUN: a run of hcsac (or another algorithm that can share), or a directory of runs.

    Trains every rule and a no-sharing baseline on the data and seeds of RUN. Prints the difference in return of the
    last policies per task, with a 95 % bootstrap interval. The same command resumes what was interrupted.

    Settings and directions are taken from RUN, and so is the reward rule unless --rules names one. Options override
    them in every training.
    """
    from hcsac import experiments

    bases = experiments.find_runs(source)
    output = output or experiments.sharing_output(source)
    targets = {base.path: output / base.path.relative_to(source) if base.path != source else output for base in bases}
    changes = {name: value for name, value in given.items() if value is not None}
    groups = [
        experiments.gain_runs(base, rules.split(","), each_direction, targets[base.path], changes) for base in bases
    ]
    runs = [run for group in groups for run in group]
    experiments.require_all(experiments.run_all(runs, experiments.LocalLauncher(jobs)))
    for base, group in zip(bases, groups, strict=True):
        table = experiments.gain_table(experiments.sharing_gains(group), len(group[0].seeds))
        file = targets[base.path] / "sharing.md"
        file.write_text(table + "\n")
        click.echo(f"\n{base.path}\n\n{table}\n\nwritten: {file}")


@click.command(cls=SettingsCommand, algorithms=lambda: ["hcsac", "bc", "csac", "mtcsac", "td3_bc"])
@click.option("--preset", "preset_name", default="quick", show_default=True, help="quick, slides or paper.")
@click.option("--data", "namespace", default="sample", show_default=True, help="Namespace of NAMESPACE/TASK-LEVEL-v0.")
@click.option(
    "--algorithms",
    "--agents",
    "algorithms",
    default="bc,csac,mtcsac,hcsac",
    show_default=True,
    help="Algorithms, separated by commas.",
)
@click.option("--levels", default="medium,medium-replay", show_default=True, help="Dataset levels.")
@click.option("--tasks", default="walker-walk,walker-run", show_default=True, help="Tasks.")
@click.option("--output", type=click.Path(path_type=Path), help="Output directory (default: runs/PRESET).")
@jobs_option
@click.option("--videos/--no-videos", default=True, show_default=True, help="Include videos of the last policies.")
@config_option
@seeds_option
@alignment_option
def reproduce(
    preset_name: str,
    namespace: str,
    algorithms: str,
    levels: str,
    tasks: str,
    output: Path | None,
    jobs: int | None,
    videos: bool,
    config: Path | None,
    seeds: list[int],
    alignment: str,
    **given: Any,
) -> None:
    """Run the slides' comparison and print its table.

    All algorithms on every level and task: BC and CSAC on each task alone, MTCSAC and HCSAC on all tasks together.
    Finished runs are skipped, interrupted ones resumed. Writes the report of `hcsac study report` (report.html,
    report.md) and table.csv.
    """
    from hcsac import experiments

    changes = given_settings(config, given)
    suffix = "" if alignment == "correct" else f"-{alignment}"
    output = output or Path("runs") / f"{preset_name}{suffix}"
    study = experiments.slides_study(
        preset_name, namespace, seeds, algorithms.split(","), levels.split(","), tasks.split(","), alignment, changes
    )
    record = experiments.start_study(study, output)
    click.echo(f"preset {preset_name}: {_main_settings(record.runs[-1].settings)}")
    experiments.require_all(experiments.run_all(record.runs, experiments.LocalLauncher(jobs), output / files.EVENTS))
    written = experiments.write_report(record, videos=videos, log=click.echo)
    experiments.write_csv(written.summary, output / files.TABLE)
    click.echo(f"\n{experiments.plural(len(seeds), 'seed')}, alignment {alignment}\n\n{written.tables}\n")
    if written.note:
        click.echo(written.note)
    paths = [written.page, written.markdown, output / files.TABLE, written.returns, written.metrics]
    click.echo(f"written: {', '.join(map(str, paths))}")


def _main_settings(settings: Settings) -> str:
    length = f"{settings.updates} updates" if settings.updates else f"{settings.epochs} epochs"
    return (
        f"{settings.hidden_layers} x {settings.hidden_size} units, batch size {settings.batch_size}, {length}, "
        f"learning rate of the actor {settings.actor_learning_rate:g}"
    )
