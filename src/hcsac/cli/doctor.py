"""`hcsac doctor`: what is installed, and whether it works."""

from __future__ import annotations

import time
from contextlib import closing

import click


@click.command()
def doctor() -> None:
    """Show what is installed on this machine, and check that it works, from data to an exported policy.

    Takes less than a minute, needs no network, and writes nothing that stays. Exit status 1 where a step fails. Put
    its output into a report of a problem.
    """
    from hcsac.experiments.installation import checks, facts

    for name, text in facts():
        click.echo(f"{name:<10} {text}")
    click.echo()
    with closing(checks()) as steps:
        for name, step in steps:
            began = time.perf_counter()
            try:
                text = step()
            except Exception as error:
                click.echo(f"FAILED     {name}: {type(error).__name__}: {error}", err=True)
                raise SystemExit(1) from error
            click.echo(f"ok         {name}: {text} ({time.perf_counter() - began:.1f} s)")
    click.echo("everything works.")
