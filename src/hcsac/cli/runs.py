"""Commands on one run: evaluate, sharing-history."""

from __future__ import annotations

from pathlib import Path

import click

from hcsac.cli.options import threads_option, use_threads


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--episodes", default=20, show_default=True, type=click.IntRange(1), help="Episodes for each seed and task."
)
@click.option(
    "--seed",
    default=10_000,
    show_default=True,
    help="Seed of the first episode's initial state; the next episodes have the next seeds.",
)
@threads_option
def evaluate(run: Path, episodes: int, seed: int, threads: int | None) -> None:
    """Evaluate the policy of RUN's last checkpoint in the simulator, with deterministic actions.

    RUN is the directory of a run or a policy bundle made by `hcsac export`. Prints a table of undiscounted returns, one
    line a task.
    """
    use_threads(threads)
    from hcsac.evaluation import returns_table
    from hcsac.policy import evaluate, load_policy

    policy = load_policy(run)
    click.echo(f"{run} after {policy.update} updates")
    returns = evaluate(run, episodes, seed)
    click.echo(returns_table(returns, policy.tasks, policy.dataset_returns))


@click.command("sharing-history")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--transition",
    "--row",
    "transition",
    type=int,
    help="Show with which tasks this transition of the data was shared, when and why.",
)
def sharing_history(run: Path, transition: int | None) -> None:
    """Show the transitions that RUN shared between tasks.

    Prints a line per sharing step and direction, and draws sharing.png in RUN. Transitions of the data are numbered
    from 0, task after task, episode after episode, each in time order.
    """
    from hcsac import experiments, training

    directory = training.RunDirectory(run)
    if transition is not None:
        click.echo(experiments.transition_history_text(training.transition_history(directory, transition)))
    else:
        directory.identity()
        click.echo(experiments.sharing_history_table(directory))
        if chart := experiments.draw_sharing_history(directory):
            click.echo(f"\nwritten: {chart}")
    for sentence in directory.corruption():
        click.echo(sentence)
