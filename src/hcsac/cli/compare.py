"""`hcsac compare`: evaluate policies on the same initial states, beside their data and a baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from hcsac.cli.options import threads_option, use_threads


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="RUN_OR_STUDY...", type=click.Path(path_type=Path))
@click.option(
    "--episodes",
    default=50,
    show_default=True,
    type=click.IntRange(1),
    help="Episodes for each seed and task; fewer than 50 cannot tell close policies apart.",
)
@click.option(
    "--baseline",
    metavar="NAME",
    help='What each is compared with: an algorithm, a variant, or "ALGORITHM VARIANT" (default: bc, if it is there).',
)
@click.option(
    "--seed",
    default=10_000,
    show_default=True,
    help="Seed of the first episode's initial state; the next episodes have the next seeds.",
)
@click.option("--csv", type=click.Path(path_type=Path), help="Also write the numbers to this CSV file.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write them to this JSON file.")
@threads_option
def compare(
    paths: Sequence[Path],
    episodes: int,
    baseline: str | None,
    seed: int,
    csv: Path | None,
    json_file: Path | None,
    threads: int | None,
) -> None:
    """Compare policies on the same initial states: with each other, with their data, with behavioural cloning.

    Each RUN_OR_STUDY is the directory of a run, a policy bundle made by `hcsac export` or `hcsac distil`, or the output
    directory of a study, of which all finished runs are compared. The policies of their last checkpoints are evaluated
    in the simulator with deterministic actions, episode e of each from the same initial state.

    \b
      hcsac compare runs/bc runs/hcsac
      hcsac compare runs/quick --episodes 100 --csv returns.csv
      hcsac compare runs/plain runs/shared --baseline "hcsac sharing=none"

    There is a row for each algorithm on each task, over all its seeds: mean and std over seeds, median, lowest return,
    share of failed episodes (below half of the median), and the differences to the data's mean return and to the
    baseline, with 95 % bootstrap intervals. A policy beats its data only where the whole interval is above zero; it is
    not told apart where the interval contains zero.

    Returns are kept in compared.json in the directory of each run: the same command evaluates nothing again, and more
    --episodes evaluates only the new ones. They count for this checkpoint alone.
    """
    use_threads(threads)
    from hcsac import experiments
    from hcsac.experiments.files import write_text

    found = experiments.compare(paths, episodes, baseline, seed)
    count = experiments.plural(len(found.policies), "policy", "policies")
    click.echo(f"{count}, {experiments.plural(episodes, 'episode')} a seed and task, from seed {seed} on\n")
    click.echo(found.text())
    if csv is not None:
        experiments.write_csv(found.summary, csv, best=False)
    if json_file is not None:
        write_text(json_file, json.dumps(found.to_dict(), indent=1) + "\n")
    if written := [str(path) for path in (csv, json_file) if path is not None]:
        click.echo(f"\nwritten: {', '.join(written)}")
