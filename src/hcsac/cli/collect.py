"""`hcsac collect`: make datasets of a task from nothing, or all datasets that a file asks for."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import click

from hcsac.cli.options import options_of, threads_option, use_threads
from hcsac.errors import UserError


class CollectCommand(click.Command):
    """With an option for every setting of a collection, made when it runs: until then torch is not imported."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        *own, asked_for_help = super().get_params(ctx)
        return [*own, *_options(), asked_for_help]


@cache
def _options() -> list[click.Parameter]:
    from hcsac.collection import NAMESPACE, CollectSettings

    text = f"Datasets are named NAMESPACE/TASK-KIND-v0 (default: {NAMESPACE})."
    return [click.Option(["--namespace"], help=text), *options_of(CollectSettings)]


@click.command(cls=CollectCommand)
@click.argument("task", metavar="TASK|FILE.toml")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Directory of the learners (default: runs/collect/TASK; for a file runs/collect, with a directory for each "
    "of its collections).",
)
@click.option("--jobs", type=click.IntRange(1), help="FILE: collections at once (default: one for each core).")
@threads_option
@click.pass_context
def collect(
    ctx: click.Context,
    /,
    task: str,
    namespace: str | None,
    output: Path | None,
    jobs: int | None,
    threads: int | None,
    **given: Any,
) -> None:
    """Learn TASK online with TD3, and write the episodes as datasets of one or several kinds (--keep):

    \b
    medium   a policy of medium return: learning stops when the mean return of the last
             five episodes is --level. Two datasets: medium, --episodes of that policy
             frozen, and medium-replay, all training episodes until then.
    all      full-replay: every training episode up to --steps, from random to good. Mixed.
    final    --episodes of the policy after the last step, frozen. Narrow and good.
    slice    training episodes whose returns lie in --returns LOW:HIGH. Narrow.
    mixture  --episodes drawn from the lower, middle and upper third of the training
             episodes by return, with --shares L,M,H.

    \b
    hcsac collect walker-walk
    hcsac collect cheetah-run --keep all,final --namespace lab
    hcsac collect walker-run --keep slice --returns 100:300 --learners 3
    hcsac collect experiments/development.toml --jobs 2

    The same command continues an interrupted collection, with the same datasets as without the interruption; at most
    one episode is lost. The learners in --output serve other kinds, too: what they have learned is not learned again.
    Policies act with exploration noise.

    FILE.toml has a table [collections.TASK] for each collection, and [defaults] for all: the options below as keys,
    with _ for -, and namespace. Finished collections are skipped. Options win over the file.

    Exit status: 0 if all datasets are written, 1 if a collection of the file failed, 2 for invalid input.
    """
    from hcsac import collection

    chosen = {name: value for name, value in given.items() if value is not None}
    command = "hcsac " + " ".join(sys.argv[1:])
    if task.endswith(".toml"):
        chosen |= {} if namespace is None else {"namespace": namespace}
        requests = collection.read_collections(Path(task), output or Path("runs") / "collect", chosen)
        failed = collection.collect_all(requests, jobs, threads, command)
        for failure in failed:
            click.echo(f"\nfailed: {failure.request.name}\n{failure.error}", err=True)
        click.echo(f"{len(requests) - len(failed)} of {len(requests)} collections finished.")
        ctx.exit(1 if failed else 0)
    if jobs is not None:
        raise UserError(f"--jobs is for a file of collections, and {task!r} is one task; leave it out.")
    use_threads(threads)
    from hcsac.data import describe

    directory = output or Path("runs") / "collect" / task
    settings = collection.CollectSettings(**chosen)
    for name in collection.collect(task, namespace or collection.NAMESPACE, directory, settings, command):
        click.echo(f"\n{describe.describe(name)}")
