"""Options that several commands have, and one option for every setting of an algorithm."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, fields
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import click

from hcsac.errors import UserError, unknown
from hcsac.files import read_toml
from hcsac.settings import choices, groups, plain_type


def numbers_of(text: str) -> list[float]:
    """Numbers of an option: 0.5,1.7, or FIRST:LAST:STEP with both ends."""
    try:
        if ":" not in text:
            return [float(word) for word in text.split(",")]
        first, last, step = (float(word) for word in text.split(":"))
        count = round((last - first) / step)
        if step <= 0 or not 0 <= count <= 1000:
            raise ValueError
        numbers = (first + k * step for k in range(count + 1))
        return [min(number, last) for number in numbers if number <= last + 1e-9 * step]  # 3 x 0.1 is above 0.3
    except (ValueError, OverflowError, ZeroDivisionError):
        raise UserError(f"--at {text!r} is neither a list of numbers, as 0.5,1.7, nor a range, as 0:3:0.25.") from None


class Commands(click.Group):
    """A group that names the nearest command when it does not know one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            names = [name for name in self.list_commands(ctx) if not self.commands[name].hidden]
            raise unknown("command", args[0], names)
        return super().resolve_command(ctx, args)


class SettingsCommand(click.Command):
    """A command with an option for every setting of some algorithms, in the groups of these settings.

    The options are made when the command runs or its help is asked for: until then no algorithm is imported. Help
    shows the value that the chosen preset gives.

    Args:
        algorithms: gives their names; where they differ in a setting's value the first one's is shown.
    """

    def __init__(self, *args: Any, algorithms: Callable[[], Sequence[str]], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.algorithms = algorithms
        self.preset = ""
        self._sections: dict[str, list[click.Option]] | None = None

    def sections(self) -> dict[str, list[click.Option]]:
        """Heading -> options."""
        if self._sections is None:
            from hcsac.algorithms import settings_of

            self._sections, known = {}, set()
            for kind in map(settings_of, self.algorithms()):
                hints = get_type_hints(kind)
                for title, entries in groups(kind).items():
                    new = [entry for entry in entries if entry.name not in known]
                    known |= {entry.name for entry in new}
                    options = [_option(entry, hints[entry.name]) for entry in new]
                    self._sections.setdefault(title, []).extend(options)
        return self._sections

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *(option for options in self.sections().values() for option in options)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        self.preset = option_value("--preset", args)  # --help is acted on before other options are read
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name.lstrip("-").replace("-", "_").removeprefix("no_")
            raise self._no_such(error, name) from None

    def _no_such(self, error: click.NoSuchOption, name: str) -> Exception:
        from hcsac.algorithms import owners_of

        if owners := owners_of(name):
            return UserError(
                f"{', '.join(self.algorithms())} has no setting {name!r} ({', '.join(owners)} have it); leave out "
                f"{error.option_name}."
            )
        flags = [flag for option in self.get_params(click.Context(self)) for flag in option.opts]
        return unknown("option", error.option_name, flags)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [param.get_help_record(ctx) for param in super().get_params(ctx) if isinstance(param, click.Option)]
        with formatter.section("Options"):
            formatter.write_dl([record for record in own if record is not None])
        values = self._preset_values()
        for title, options in self.sections().items():
            records = [_with_value(option.get_help_record(ctx), values.get(option.name)) for option in options]
            with formatter.section(title):
                formatter.write_dl(records)

    def _preset_values(self) -> dict[str | None, Any]:
        from hcsac.algorithms import preset

        default = next((param.default for param in self.params if param.name == "preset_name"), None)
        if default is None:
            return {}
        values: dict[str | None, Any] = {}
        for name in self.algorithms():
            for setting, value in preset(self.preset or str(default), name).as_dict().items():
                values.setdefault(setting, value)
        return values


def _with_value(record: tuple[str, str] | None, value: Any) -> tuple[str, str]:
    """The line of an option, with the value of its setting in the preset."""
    assert record is not None
    if isinstance(value, bool):
        value = "on" if value else "off"
    elif isinstance(value, float):
        value = f"{value:g}"
    return record if value is None else (record[0], f"{record[1]}  [{value}]")


def option_value(flag: str, args: Iterable[str]) -> str:
    """The value of an option among arguments that are not parsed yet; "" where it is not there."""
    text = " ".join(args)
    found = re.findall(rf"(?:^| ){flag}[ =](\S+)", text)
    return found[-1] if found else ""


def options_of(kind: type) -> list[click.Parameter]:
    """One option per field of a settings dataclass, with the field's own help, type, choices and default."""
    hints, options = get_type_hints(kind), list[click.Parameter]()
    for entry in fields(kind):
        option = _option(entry, hints[entry.name])
        if entry.default is not None:
            option.help = f"{option.help}  [{entry.default}]"
        options.append(option)
    return options


def _option(entry: Field[Any], hint: Any) -> click.Option:
    flag = "--" + entry.name.replace("_", "-")
    kind = plain_type(hint)
    words = choices(hint, entry.metadata)
    text = entry.metadata["help"] + (f" ({' | '.join(words)})" if words else "")
    if kind is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}", entry.name], default=None, help=text)
    if entry.metadata.get("listed"):
        text += "; repeat the option or separate by commas for more"
        return click.Option([flag, entry.name], multiple=True, callback=_join, help=text)
    # Words are checked by the settings, which name the nearest right one.
    return click.Option([flag, entry.name], type=kind, default=None, help=text)


def _join(context: click.Context, parameter: click.Parameter, words: Sequence[str]) -> str | None:
    return ",".join(words) if words else None


def given_settings(config: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a TOML file and those of the command line, which win."""
    changes = dict(read_toml(config)) if config else {}
    return changes | {name: value for name, value in options.items() if value is not None}


def _numbers(context: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    """0,1,2 or 0-4 or both."""
    found: list[int] = []
    for word in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", word)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            raise UserError(f"{parameter.opts[0]} {text!r} is not a list of whole numbers like 0,1,2 or 0-4.")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return found


def _words(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> list[str]:
    return [word.strip() for text in texts for word in text.split(",")]


def _refs(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> list[str]:
    """Names or paths of datasets; a path that holds a comma is one."""
    found: list[str] = []
    for text in texts:
        found += [text] if Path(text.partition("=")[2] or text).exists() else [word.strip() for word in text.split(",")]
    return found


_DATA_HELP = (
    "Names or paths of datasets; repeat the option or separate by commas for more; NAME[:10] has its first ten episodes"
)
_data_option = partial(click.option, "--data", "refs", multiple=True, callback=_refs, metavar="DATASETS")
data_option = _data_option(required=True, help=f"{_DATA_HELP}.")
data_of_run_option = _data_option(help=f"{_DATA_HELP} (default: those of RUN).")
seeds_option = click.option(
    "--seeds", default="0", show_default=True, callback=_numbers, help="Seeds, as 0,1,2 or 0-4: one replica each."
)
config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file of settings; options win over it."
)
fitted_q_updates_option = click.option(
    "--updates", type=click.IntRange(1), help="Updates of the critics of each policy (default: 2000); those of the "
    "logged behaviour, where they begin, get 1.5 times as many.",
)  # fmt: skip
threads_option = click.option("--threads", type=click.IntRange(1), help="CPU threads (default: PyTorch's choice).")
track_option = click.option(
    "--track", "trackers", multiple=True, callback=_words, metavar="TRACKERS",
    help="Trackers besides TensorBoard (wandb | mlflow | trackio); repeat the option or separate by commas for more.",
)  # fmt: skip
resume_option = click.option("--resume", is_flag=True, help="Continue from the last checkpoint.")
alignment_option = click.option(
    "--alignment",
    type=click.Choice(["correct", "off_by_one"]),
    default="correct",
    show_default=True,
    help="off_by_one pairs each state with the action that led to it: the mistake behind the slides' table.",
)


def use_threads(threads: int | None) -> None:
    if threads:
        import torch

        torch.set_num_threads(threads)
