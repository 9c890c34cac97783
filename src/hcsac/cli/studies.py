"""Commands that make many runs and compare them: reproduce, sharing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hcsac.cli.options import SettingsCommand, alignment_option, config_option, given_settings, seeds_option


@click.command(cls=SettingsCommand, algorithms=lambda: ["hcsac"])
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--rules", default="quantile", show_default=True,
              help="Rules to measure, as quantile:keep,quantile:recompute,all:recompute,uds.")  # fmt: skip
@click.option("--each-direction", is_flag=True, help="Measure every direction alone, too.")
@click.option("--output", type=click.Path(path_type=Path), help="Where to train (default: SOURCE-sharing).")
@click.option("--jobs", type=click.IntRange(1), help="Runs at once (default: one per core, or one on a GPU).")
def sharing(
    source: Path, rules: str, each_direction: bool, output: Path | None, jobs: int | None, **given: Any
) -> None:
    """Measure what sharing was worth in SOURCE, a run of hcsac or a folder of them.

    Trains every rule beside a twin that shares nothing, on the data and with the settings and seeds of the run, and
    prints the difference in return of the last policies, task by task, with a 95 % bootstrap interval. The same
    command continues what was interrupted. Every setting is that of the run, the reward rule where a rule of --rules
    names none and the directions, too; an option changes it in all trainings.
    """
    from hcsac import experiments

    runs = experiments.find_runs(source)
    output = output or experiments.sharing_output(source)
    places = {run.path: output / run.path.relative_to(source) if run.path != source else output for run in runs}
    changes = {name: value for name, value in given.items() if value is not None}
    studies = [experiments.twin_cells(run, rules.split(","), each_direction, places[run.path], changes) for run in runs]
    every = [cell for cells in studies for cell in cells]
    experiments.require_all(experiments.run_cells(every, experiments.LocalLauncher(jobs)))
    for run, cells in zip(runs, studies, strict=True):
        table = experiments.gains_table(experiments.gains(cells), len(cells[0].seeds))
        (places[run.path] / "sharing.md").write_text(table + "\n")
        click.echo(f"\n{run.path}\n\n{table}\n\nwritten: {places[run.path] / 'sharing.md'}")


@click.command(cls=SettingsCommand, algorithms=lambda: ["hcsac", "bc", "csac", "mtcsac", "td3_bc"])
@click.option("--preset", "preset_name", default="quick", show_default=True, help="quick, slides or report.")
@click.option("--data", "namespace", default="sample", show_default=True, help="Namespace of NAMESPACE/TASK-LEVEL-v0.")
@click.option("--agents", default="bc,csac,mtcsac,hcsac", show_default=True, help="Agents, separated by commas.")
@click.option("--levels", default="medium,medium-replay", show_default=True, help="Dataset levels.")
@click.option("--tasks", default="walker-walk,walker-run", show_default=True, help="Tasks.")
@click.option("--output", type=click.Path(path_type=Path), help="Directory of runs and report (default: runs/PRESET).")
@click.option("--jobs", type=click.IntRange(1), help="Runs at once (default: one per core, or one on a GPU).")
@click.option("--videos/--no-videos", default=True, show_default=True, help="Put videos of the policies in the report.")
@config_option
@seeds_option
@alignment_option
def reproduce(
    preset_name: str,
    namespace: str,
    agents: str,
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

    All agents on every level and task: BC and CSAC on each task alone, MTCSAC and HCSAC on the union. Finished runs are
    not run again, interrupted ones continue. Writes the report of `hcsac grid report` (report.html, report.md) and
    table.csv.
    """
    from hcsac import experiments

    changes = given_settings(config, given)
    suffix = "" if alignment == "correct" else f"-{alignment}"
    output = output or Path("runs") / f"{preset_name}{suffix}"
    grid = experiments.slides_grid(
        preset_name, namespace, seeds, agents.split(","), levels.split(","), tasks.split(","), alignment, changes
    )
    record = experiments.begin(grid, output)
    cells = record.cells
    click.echo(f"preset {preset_name}: {_stated(cells[-1].settings)}")
    experiments.require_all(experiments.run_cells(cells, experiments.LocalLauncher(jobs), output / "events.jsonl"))
    written = experiments.write_report(record, videos=videos, tell=click.echo)
    experiments.write_csv(written.summary, output / "table.csv")
    count = f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    click.echo(f"\n{count}, alignment {alignment}\n\n{written.tables}\n")
    if written.note:
        click.echo(written.note)
    click.echo(f"written: {written.page}, {written.twin}, {output / 'table.csv'}, {written.returns}")


def _stated(settings: Any) -> str:
    length = f"{settings.updates} updates" if settings.updates else f"{settings.epochs} epochs"
    return (
        f"{settings.hidden_layers} x {settings.hidden_size} units, batch {settings.batch_size}, {length}, "
        f"warm-up {settings.bc_warmup}, rates {settings.actor_learning_rate:g} / {settings.critic_learning_rate:g}"
    )
