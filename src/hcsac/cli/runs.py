"""Commands on one run: evaluate, sharing-history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hcsac.cli.options import data_of_run_option, fitted_q_updates_option, numbers_of, threads_option, use_threads
from hcsac.errors import UserError


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
@click.option("--offline", is_flag=True, help="Judge by logged episodes alone, also where there is a simulator.")
@click.option("--at", metavar="NUMBERS", help="Ask a policy that acts by a number (train --task-parameter) for these, "
              "as 0.5,1.7 or 0:3:0.25, and print what it achieves.")  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False),
              help="With --at, also draw the curves of what is achieved and returned here (PNG).")  # fmt: skip
@data_of_run_option
@fitted_q_updates_option
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Also write the numbers here.")
@threads_option
def evaluate(
    run: Path,
    episodes: int,
    seed: int,
    offline: bool,
    at: str | None,
    plot: Path | None,
    refs: Sequence[str],
    updates: int | None,
    file: Path | None,
    threads: int | None,
) -> None:
    """Evaluate the policy of RUN's last checkpoint in the simulator, with deterministic actions.

    RUN is the directory of a run or a policy bundle made by `hcsac export`. Prints a table of undiscounted returns, one
    line a task.

    Where a task has no simulator, or with --offline, the policy is judged by the episodes that `hcsac train
    --held-out` left out: how far its actions are from the logged ones, beside the noise in these; and its discounted
    return as fitted Q evaluation estimates it, beside the logged one. An estimate is no measurement. --data and
    --updates are for this alone.
    """
    use_threads(threads)
    from hcsac.evaluation import returns_table
    from hcsac.experiments import draw_asked
    from hcsac.files import write_atomically
    from hcsac.policy import evaluate, evaluate_offline
    from hcsac.policy.asked import asked_table, evaluate_at
    from hcsac.policy.fitted_q import FittedQSettings
    from hcsac.policy.offline import offline_table
    from hcsac.policy.policy import load_with_tasks
    from hcsac.tasks import has_simulator

    if at is not None and (offline or refs):
        raise UserError("--at asks in the simulator; leave out --offline and --data.")
    if plot is not None and at is None:
        raise UserError("--plot draws what --at asks for; give numbers, as --at 0:3:0.25.")
    policy = load_with_tasks(run)
    click.echo(f"{run} after {policy.update} updates")
    numbers: dict[str, Any] = {"update": policy.update, "seeds": policy.seeds}
    if at is not None:
        asked = evaluate_at(policy, numbers_of(at), episodes, seed)
        click.echo(asked_table(asked))
        if plot is not None:
            draw_asked(asked, plot)
            click.echo(f"written: {plot}")
        numbers |= {"asked": asked.values, "returns": asked.returns.tolist()}
        numbers["achieved"] = None if asked.achieved is None else asked.achieved.tolist()
    elif offline or refs or not all(map(has_simulator, policy.tasks)):
        judged = evaluate_offline(run, refs, FittedQSettings.of_length(updates))
        click.echo(f"judged without a simulator\n\n{offline_table(judged)}")
        numbers |= {"unseen": judged.unseen, "tasks": [one.as_dict() for one in judged.tasks]}
    else:
        returns = evaluate(run, episodes, seed)
        click.echo(returns_table(returns, policy.tasks, policy.dataset_returns))
        numbers["returns"] = dict(zip(policy.tasks, returns.swapaxes(0, 1).tolist(), strict=True))
    if file is not None:
        with write_atomically(file) as temporary:
            temporary.write_text(json.dumps(numbers, indent=2) + "\n")


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
    from 0, task after task, episode after episode, each in time order, without held-out episodes.
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
