"""The command line: parses arguments and calls the library."""

import copy
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

import click

from hcsac.cli.choose import choose
from hcsac.cli.collect import collect
from hcsac.cli.compare import compare
from hcsac.cli.data import data
from hcsac.cli.distil import distil
from hcsac.cli.doctor import doctor
from hcsac.cli.export import export
from hcsac.cli.options import Commands
from hcsac.cli.runs import evaluate, sharing_history
from hcsac.cli.studies import reproduce, sharing_gain
from hcsac.cli.study import study
from hcsac.cli.train import train
from hcsac.cli.video import render
from hcsac.errors import Stopped, UserError, file_error
from hcsac.registry import VARIABLES, use_plugins


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="hcsac")
@click.option(
    "--plugin",
    multiple=True,
    metavar="MODULE",
    expose_value=False,
    help="Import MODULE, which registers algorithms, sharing rules, dataset formats, metrics or tasks. Repeat the "
    "option for several; it may also follow the command. The environment variable HCSAC_PLUGINS does the same.",
)
def cli() -> None:
    """Multi-task offline reinforcement learning: train one policy for several tasks from logged data.

    \b
    First steps, on the datasets in the package:
      hcsac data list
      hcsac train --data sample/walker-walk-medium-v0,sample/walker-run-medium-v0
      hcsac evaluate runs/one_step
      hcsac reproduce --preset quick
    """


for command in (
    data,
    collect,
    train,
    evaluate,
    compare,
    choose,
    render,
    export,
    distil,
    sharing_history,
    reproduce,
    sharing_gain,
    study,
    doctor,
):
    cli.add_command(command)

# Names of hcsac 0.1, for scripts that use them.
for name, command in {"grid": study, "sharing": sharing_gain, "report": sharing_history}.items():
    alias = copy.copy(command)
    alias.hidden = True
    cli.add_command(alias, name)


def _use_plugins(arguments: list[str]) -> list[str]:
    """Load what --plugin names, wherever it stands: what a command offers may depend on it. The other arguments."""
    modules, others = [], []
    words = iter(arguments)
    for word in words:
        if word == "--plugin":
            modules.append(next(words, ""))
        elif word.startswith("--plugin="):
            modules.append(word.partition("=")[2])
        else:
            others.append(word)
    names = [name.strip() for text in modules for name in text.split(",")]
    if not all(names):
        raise UserError("--plugin needs the name of a module, as --plugin my_package.")
    if names or any(os.environ.get(variable) for variable in VARIABLES):
        use_plugins(names)  # a module that cannot be imported is an error of every command
    return others


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; bad input is one sentence on stderr and exit status 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _stop_at_signals()
    try:
        arguments = _use_plugins(given)
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
    except BrokenPipeError:  # as of `| head`: who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        click.echo("hcsac: not enough memory; give fewer data or episodes at once, or --map for large data.", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"hcsac: {file_error('use', error.filename or 'a file', error)}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ if isinstance(error, click.Abort) else error
        number = cause.number if isinstance(cause, Stopped) else signal.SIGINT
        again = given + ["--resume"] * ("train" in given[:1] and "--resume" not in given)
        name = signal.Signals(number).name
        click.echo(f"\nhcsac: stopped by {name}; this continues it: {shlex.join(['hcsac', *again])}", err=True)
        sys.exit(128 + number)
    sys.exit(status if isinstance(status, int) else 0)


def _stop_at_signals() -> None:
    """Let the signals of a cluster end a command as Ctrl-C does: what is open is closed, and said."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")):
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # not under nohup
            signal.signal(number, _raise)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)
