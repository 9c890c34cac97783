"""`hcsac distil`: make one small network of the policy of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from hcsac.cli.export import echo_written
from hcsac.cli.options import data_of_run_option, threads_option, use_threads


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Directory of the bundle (default: RUN/distilled).")
@data_of_run_option
@click.option("--hidden-size", type=int, help="Units in each hidden layer (default: those of RUN).")
@click.option("--hidden-layers", type=int, help="Hidden layers (default: those of RUN).")
@click.option("--updates", default=20_000, show_default=True, help="Length of the training in updates.")
@click.option(
    "--noise",
    default=0.1,
    show_default=True,
    help="Standard deviation of the noise that half of the states get, as a part of each observation's own.",
)
@click.option(
    "--episodes", default=20, show_default=True, help="Episodes for each seed and task, of the comparison in return."
)
@threads_option
def distil(
    run: Path,
    output: Path | None,
    refs: Sequence[str],
    hidden_size: int | None,
    hidden_layers: int | None,
    updates: int,
    noise: float,
    episodes: int,
    threads: int | None,
) -> None:
    """Train one network to act as the policy of RUN, and write it as a bundle, as `hcsac export` does.

    For policies of several actors: the distilled one needs a part of their time and memory. It learns their actions at
    logged states and near them; each seed of RUN gets a network of its own. Prints how far the two differ: actions at
    states of episodes that were held out, returns from the same initial states, parameters, time per action.

    An unchanged bundle that was distilled from the same RUN is replaced; nothing else is overwritten.
    """
    use_threads(threads)
    from hcsac.policy import distil_policy
    from hcsac.policy.model_card import distillation

    made = distil_policy(
        run, output, list(refs) or None, hidden_size, hidden_layers, updates, noise, episodes
    )  # fmt: skip
    teacher = made.metadata["distilled"]["teacher"]
    click.echo(f"{teacher['agent']} after {teacher['update']} updates, distilled in {updates} updates")
    click.echo(f"\n{distillation(made.metadata)}\n")
    echo_written(made.exported)
