"""The command line: arguments in, calls out."""

import sys
from collections.abc import Sequence

import click

from hcsac.cli.data import data
from hcsac.cli.export import export
from hcsac.cli.options import Commands
from hcsac.cli.runs import collect, evaluate, report, train
from hcsac.cli.studies import reproduce, sharing
from hcsac.cli.study import grid
from hcsac.cli.video import render
from hcsac.errors import UserError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="hcsac")
def cli() -> None:
    """Multi-task offline reinforcement learning: logged data of several tasks in, one policy that does them all out.

    \b
    A first tour, on the data that ship in the package:
      hcsac data list
      hcsac train hcsac --data sample/walker-walk-medium-v0 --data sample/walker-run-medium-v0 --preset quick
      hcsac evaluate runs/hcsac
      hcsac reproduce --preset quick
    """


for command in (data, collect, train, evaluate, render, export, report, reproduce, sharing, grid):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; bad input is one sentence on stderr and exit status 2."""
    try:
        status = cli.main(args=arguments, prog_name="hcsac", standalone_mode=False)
    except UserError as error:
        click.echo(f"hcsac: {error}", err=True)
        sys.exit(2)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        message = error.format_message().replace("\n", " ")
        click.echo(f"hcsac: {message}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nhcsac: stopped; the same command continues (`train` with --resume).", err=True)
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)
