"""`hcsac choose`: which of several policies to use, from logged data alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hcsac.cli.options import _refs, fitted_q_updates_option, threads_option, use_threads
from hcsac.errors import UserError


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--data", "refs", multiple=True, callback=_refs, metavar="DATASETS",
    help="Names or paths of datasets to evaluate on, best ones that were not trained on (default: those of the first "
    "RUN).",
)  # fmt: skip
@click.option(
    "--baseline", type=click.Path(path_type=Path), metavar="RUN",
    help="A cloned policy, as of `hcsac train bc`: another one replaces it only where it is surely better.",
)  # fmt: skip
@click.option(
    "--simulate", "episodes", type=click.IntRange(1),
    help="Also evaluate every policy in the simulator, so many episodes a task: how good was the choice?",
)  # fmt: skip
@fitted_q_updates_option
@threads_option
def choose(
    runs: Sequence[Path],
    refs: Sequence[str],
    baseline: Path | None,
    episodes: int | None,
    updates: int | None,
    threads: int | None,
) -> None:
    """Estimate from logged data alone what the policies of RUNs are worth, and recommend one for each task.

    Each RUN is the directory of a run or a policy bundle, of any algorithm; they must have the same tasks. Critics are
    fitted to the logged behaviour, then to every policy (fitted Q evaluation). Printed are the estimated discounted
    returns from the logged first states. An estimate is no measurement: it can be wrong where a policy goes where no
    data are.
    """
    use_threads(threads)
    from hcsac.data import store
    from hcsac.policy import evaluate, load_policy
    from hcsac.policy.fitted_q import FittedQSettings, choice_table, fitted_q_evaluation
    from hcsac.policy.fitted_q import choose as choose_from

    paths = list(dict.fromkeys([*runs, *([baseline] if baseline else [])]))
    policies = [load_policy(path) for path in paths]
    if not refs and not policies[0].data:
        raise UserError(f"{paths[0]} does not record its data; name them with --data.")
    dataset = store.load(list(refs or policies[0].data), tasks=policies[0].tasks)
    labels = [f"{path}, seed {seed}" for path, policy in zip(paths, policies, strict=True) for seed in policy.seeds]
    value = fitted_q_evaluation(policies, dataset, FittedQSettings.of_length(updates))
    clone = None if baseline is None else _first_replica(paths, policies, baseline)
    choices = choose_from(value, dataset, clone)
    returns = None
    if episodes is not None:
        import numpy as np

        returns = np.concatenate([evaluate(path, episodes) for path in paths]).mean(-1)  # [G, M]
    for m, choice in enumerate(choices):
        click.echo(f"\n{choice_table(choice, labels, None if returns is None else returns[:, m])}")


def _first_replica(paths: Sequence[Path], policies: Sequence[Any], baseline: Path) -> int:
    """Index of the first seed of the baseline among the seeds of all policies."""
    at = list(paths).index(baseline)
    return sum(len(policy.seeds) for policy in policies[:at])
