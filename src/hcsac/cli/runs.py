"""Commands that make one run or tell of one: collect, train, evaluate, report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hcsac import collection
from hcsac.cli.options import (
    alignment_option,
    config_option,
    options_of,
    read_settings,
    resume_option,
    seeds_option,
    threads_option,
    track_option,
    use_threads,
)
from hcsac.collection import CollectSettings
from hcsac.errors import UserError
from hcsac.settings import Settings


@click.command()
@click.argument("task")
@click.option(
    "--namespace", default="collected", show_default=True, help="Datasets are named NAMESPACE/TASK-medium-v0."
)
@click.option("--output", type=click.Path(path_type=Path), help="Work in progress (default: runs/collect/TASK).")
@threads_option
@options_of(CollectSettings)
def collect(task: str, namespace: str, output: Path | None, threads: int | None, **given: Any) -> None:
    """Train an online TD3 agent in TASK and write the datasets medium and medium-replay.

    medium-replay is everything seen until the agent is medium good; medium is that policy, frozen, with exploration
    noise. The same command continues an interrupted collection; at most one episode is lost.
    """
    use_threads(threads)
    from hcsac.data import describe

    settings = CollectSettings(**{name: value for name, value in given.items() if value is not None})
    command = "hcsac " + " ".join(sys.argv[1:])
    directory = output or Path("runs") / "collect" / task
    for name in collection.collect(task, namespace, directory, settings, command):
        click.echo(f"\n{describe.describe(name)}")


@click.command()
@click.argument("agent")
@click.option("--data", "refs", required=True, multiple=True, help="A dataset; give the option once for each.")
@click.option("--tasks", help="Train on these tasks of the data only, as walker-walk,walker-run.")
@click.option("--map", "folder", type=click.Path(path_type=Path), help="Folder for data larger than memory: "
              "they are laid out there once, and mapped.")  # fmt: skip
@click.option("--preset", "preset_name", default="slides", show_default=True, help="slides, report or quick.")
@click.option("--output", type=click.Path(path_type=Path), help="The run's directory (default: runs/AGENT).")
@config_option
@seeds_option
@alignment_option
@threads_option
@track_option
@resume_option
@options_of(Settings)
def train(
    agent: str,
    refs: Sequence[str],
    tasks: str | None,
    folder: Path | None,
    preset_name: str,
    output: Path | None,
    config: Path | None,
    seeds: list[int],
    alignment: str,
    threads: int | None,
    trackers: list[str],
    resume: bool,
    **given: Any,
) -> None:
    """Train AGENT (bc, csac, mtcsac or hcsac) on logged data.

    Every setting below has its value from the preset; a TOML file given by --config overrides the preset, and an
    option overrides both.
    """
    settings = read_settings(agent, preset_name, config, given)
    use_threads(threads)
    from hcsac import training
    from hcsac.algorithms import resolve
    from hcsac.data import store

    names = tasks.split(",") if tasks else None
    dataset = store.load(list(refs), alignment=alignment, tasks=names, folder=folder)
    rule = given["sharing"]
    if rule not in (None, resolve(agent, settings, dataset.task_names).sharing):
        raise UserError(f"{agent} shares nothing, whatever --sharing {rule} says; leave it out, or train hcsac.")
    run = training.train(agent, dataset, output or Path("runs") / agent, settings, seeds, resume, trackers=trackers)
    click.echo(f"\n{run.path}\n{training.summary(run)}")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--episodes", default=20, show_default=True, type=click.IntRange(1), help="Episodes of each task.")
@click.option("--seed", default=10_000, show_default=True, help="Seed of the first episode's initial state.")
@threads_option
def evaluate(run: Path, episodes: int, seed: int, threads: int | None) -> None:
    """Evaluate the last policy of RUN in the simulator: deterministic actions, all episodes stepping together.

    RUN is the directory of a run or a bundle made by `hcsac export`.
    """
    use_threads(threads)
    from hcsac.evaluation import returns_table
    from hcsac.policy import evaluate, load_policy

    policy = load_policy(run)
    click.echo(f"{run} after {policy.update} updates")
    returns = evaluate(run, episodes, seed)
    click.echo(returns_table(returns, policy.tasks, policy.behaviour))


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--row", type=int, help="Tell who borrowed this row of the data, when and why.")
def report(run: Path, row: int | None) -> None:
    """Show what RUN shared: a line for every sharing and direction, and a picture, sharing.png in RUN.

    Rows of the data are numbered from 0, task after task, episode after episode, each in time order.
    """
    from hcsac import experiments, training

    directory = training.RunDirectory(run)
    if row is not None:
        click.echo(experiments.row_story(training.borrowers(directory, row)))
    else:
        directory.identity()
        click.echo(experiments.flow_table(directory))
        if picture := experiments.draw_flow(directory):
            click.echo(f"\nwritten: {picture}")
    for sentence in directory.damage():
        click.echo(sentence)
