"""Options that several commands have, and one option per setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, get_type_hints

import click

from hcsac.errors import UserError, unknown
from hcsac.settings import Settings, choices, plain_type, read_toml


class Commands(click.Group):
    """A group that names the nearest command when it does not know one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise unknown("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


def options_of(kind: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """One option per field of a settings dataclass, with the field's own help, type and choices."""
    hints = get_type_hints(kind)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for entry in reversed(fields(kind)):
            command = _option(entry, hints[entry.name])(command)
        return command

    return decorate


def _option(entry: Field[Any], hint: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    flag = "--" + entry.name.replace("_", "-")
    kind = plain_type(hint)
    words = choices(hint)
    text = entry.metadata["help"] + (f" ({' | '.join(words)})" if words else "")
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", entry.name, default=None, help=text)
    if entry.metadata.get("listed"):
        text += "; give it again, or set apart by commas, for more"
        return click.option(flag, entry.name, multiple=True, callback=_join, help=text)
    # Words are checked by Settings, which names the nearest right one.
    return click.option(flag, entry.name, type=kind, default=None, help=text)


def _join(context: click.Context, parameter: click.Parameter, words: Sequence[str]) -> str | None:
    return ",".join(words) if words else None


def read_settings(agent: str, preset_name: str, config: Path | None, given: dict[str, Any]) -> Settings:
    """The preset, then the TOML file, then the options: the later one wins."""
    from hcsac.algorithms import preset

    changes = dict(read_toml(config)) if config else {}
    changes |= {name: value for name, value in given.items() if value is not None}
    return preset(preset_name, agent).replace(changes)


def _numbers(context: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise UserError(f"{parameter.opts[0]} {text!r} is not a list of whole numbers like 0,1,2.") from None


def _words(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> list[str]:
    return [word.strip() for text in texts for word in text.split(",")]


seeds_option = click.option(
    "--seeds", default="0", show_default=True, callback=_numbers, help="Seeds, as 0,1,2: one replica each."
)
config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file of settings; options win over it."
)
threads_option = click.option("--threads", type=click.IntRange(1), help="CPU threads (default: PyTorch's choice).")
track_option = click.option(
    "--track", "trackers", multiple=True, callback=_words, metavar="TRACKERS",
    help="Trackers besides TensorBoard (wandb | mlflow | trackio); give it again, or set apart by commas, for more.",
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
