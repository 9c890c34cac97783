"""`hcsac train NAME`: a command for every algorithm, plug-ins' too, with the settings of that algorithm alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hcsac.cli.options import (
    Commands,
    SettingsCommand,
    alignment_option,
    config_option,
    data_option,
    given_settings,
    option_value,
    resume_option,
    seeds_option,
    threads_option,
    track_option,
    use_threads,
)
from hcsac.errors import UserError, unknown
from hcsac.registry import require_plugins
from hcsac.settings import applicable

if TYPE_CHECKING:
    from hcsac.settings import Settings

_HELP = """{sentence}

Every setting below has its value from the preset (in brackets); a TOML file given by --config overrides the preset, and
an option overrides both."""


class _Algorithms(Commands):
    """One command an algorithm; made when it is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from hcsac.algorithms import ALGORITHMS

        return list(ALGORITHMS.names())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from hcsac.algorithms import ALGORITHMS, DEFAULT_PRESET, preset_names, sentence

        if cmd_name not in ALGORITHMS:
            return None
        text = sentence(ALGORITHMS.get(cmd_name))
        options = list(_train.__click_params__)[::-1]  # type: ignore[attr-defined]
        chosen = click.Option(
            ["--preset", "preset_name"], default=DEFAULT_PRESET, show_default=True,
            help=f"Where settings begin: {', '.join(preset_names(cmd_name))}.",
        )  # fmt: skip
        return SettingsCommand(
            cmd_name, callback=partial(_train, cmd_name), params=[*options, chosen], short_help=text,
            help=_HELP.format(sentence=text), algorithms=lambda: [cmd_name],
        )  # fmt: skip

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        _require_plugins_of_run(args)
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise unknown("algorithm", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The algorithm may also stand behind options, and is put first; without one it is the default."""
        from hcsac.algorithms import DEFAULT_ALGORITHM

        if args and args[0].startswith("--") and args[0] != "--help":
            names = [word for word in args if word in self.list_commands(ctx)]
            first = names[0] if names else DEFAULT_ALGORITHM
            args = [first, *(word for word in args if word is not first)]
        return super().parse_args(ctx, args)


def _require_plugins_of_run(args: list[str]) -> None:
    """Before a run is continued: without its plug-ins neither its algorithm nor its settings are known."""
    from hcsac.training import RunDirectory

    run = RunDirectory(option_value("--output", args) or Path("runs") / args[0])
    if "--resume" in args and run.started:
        require_plugins(run.identity().get("plugins", ()), f"the run in {run.path}")


@click.command(cls=_Algorithms, subcommand_metavar="[ALGORITHM] [OPTIONS]")
def train() -> None:
    """Train ALGORITHM on logged data (default: one_step); `hcsac train ALGORITHM --help` shows its settings.

    Settings begin at the preset `best`. At the start it says how many updates there will be and about how long
    they take on this machine.
    """


@data_option
@click.option("--tasks", help="Train on these tasks only, as walker-walk,walker-run. A task that "
              "nothing was logged for learns from all the data, under its own reward.")  # fmt: skip
@click.option("--task-parameter", metavar="NAME:LOW..HIGH", help="Train one policy for tasks that differ by a number, "
              "as speed:0..4 (walker-speed:0..4/17 for 17 tasks instead of 9): all data are used for each, under its "
              "own reward, and the policy is given the number.")  # fmt: skip
@click.option("--map", "folder", type=click.Path(path_type=Path), help="Folder for data larger than memory: "
              "they are laid out there once, and mapped.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), help="The run's directory (default: runs/ALGORITHM).")
@config_option
@seeds_option
@alignment_option
@threads_option
@track_option
@resume_option
def _train(
    algorithm: str,
    refs: Sequence[str],
    tasks: str | None,
    task_parameter: str | None,
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
    from hcsac.algorithms import changed

    begin = _first_settings(algorithm, preset_name, output or Path("runs") / algorithm, resume)
    by_number = {} if task_parameter is None else {"embedding": "number", "sharing": "none"}
    settings = changed(algorithm, begin, applicable(type(begin), by_number) | given_settings(config, given))
    use_threads(threads)
    from hcsac import training
    from hcsac.data import store
    from hcsac.data.formats import OpenedDataset
    from hcsac.tasks import tasks_between

    names = tasks.split(",") if tasks else None
    if task_parameter is not None:
        if names is not None:
            raise UserError("--task-parameter names the tasks; leave --tasks out.")
        names = list(tasks_between(task_parameter, [OpenedDataset(ref).task for ref in refs]))
    dataset = store.load(list(refs), alignment=alignment, tasks=names, folder=folder)
    run = training.train(
        algorithm, dataset, output or Path("runs") / algorithm, settings, seeds, resume, trackers=trackers
    )  # fmt: skip
    click.echo(f"\n{run.path}\n{training.summary(run)}")


def _first_settings(algorithm: str, preset_name: str, output: Path, resume: bool) -> Settings:
    """The settings that options change: those of the preset; of a run that goes on its own, unless one is named."""
    from hcsac.algorithms import preset, recorded_settings
    from hcsac.training import RunDirectory

    context = click.get_current_context()
    chosen = context.get_parameter_source("preset_name") is not click.core.ParameterSource.DEFAULT
    run = RunDirectory(output)
    if resume and run.started and not chosen:
        record = run.identity()
        if record["agent"] == algorithm:
            return recorded_settings(algorithm, record.get("given", record["settings"]))
    return preset(preset_name, algorithm)
