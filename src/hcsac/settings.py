"""Every setting of a run: its name, default, bounds and the sentence `--help` shows. The defaults are the slides'."""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hcsac.errors import UserError, unknown

Embedding = Literal["add", "concat", "onehot", "none"]
NextActions = Literal["none", "target_at_next", "online_at_state", "online_at_next"]
SharingRule = Literal["none", "all", "quantile", "cds", "uds", "utds"]
RewardRule = Literal["keep", "zero", "recompute"]
Pessimism = Literal["min", "lcb"]


def setting(default: Any, text: str, low: float = -math.inf, high: float = math.inf, listed: bool = False) -> Any:
    """A dataclass field with its help text, inclusive bounds, and whether it is a list of words set apart by commas."""
    return field(default=default, metadata={"help": text, "low": low, "high": high, "listed": listed})


@dataclass(frozen=True)
class Settings:
    """One complete set of settings. Immutable; `replace` makes a changed copy.

    Raises:
        UserError: a value of the wrong type, out of bounds, or not among the choices.
    """

    # networks
    hidden_layers: int = setting(3, "hidden layers of every network", 1)
    hidden_size: int = setting(256, "units in each hidden layer", 1)
    critics: int = setting(2, "critics whose minimum is taken (E)", 1)
    critic_layer_norm: bool = setting(False, "normalise the critic's first layer")
    embedding: Embedding = setting("add", "how the task enters the state: z = s + e, [s, e], [s, one-hot] or z = s")
    standardise_observations: bool = setting(False, "scale observations by the dataset's own mean and std")
    # optimisation
    batch_size: int = setting(256, "transitions in a minibatch", 1)
    actor_learning_rate: float = setting(3e-4, "Adam's rate for the actor and the temperature", 0)
    critic_learning_rate: float = setting(3e-4, "Adam's rate for the critics", 0)
    target_rate: float = setting(0.005, "share of the critic that enters its target at each update", 0, 1)
    # soft actor-critic
    discount: float = setting(0.99, "discount factor gamma", 0, 1)
    backup_entropy: bool = setting(True, "keep the entropy term in the TD target")
    target_pessimism: Pessimism | None = setting(
        None, "the TD target's value over the critics: minimum or lower confidence bound (default: min; utds: lcb)"
    )
    lcb_weight: float = setting(1.0, "weight beta of the lower confidence bound mean - beta std", 0)
    initial_temperature: float = setting(1.0, "temperature at the first update", 1e-8)
    target_entropy: float | None = setting(None, "entropy the temperature aims at (default: minus the action size)")
    bc_weight: float = setting(0.0, "weight of imitation in the actor's loss, against Q scaled to size 1 (TD3+BC)", 0)
    bc_warmup: int = setting(0, "first updates in which the actor imitates the data instead of climbing Q", 0)
    # the conservative term
    cql_weight: float = setting(5.0, "weight w of MSE + w CQL (twice the slides' alpha)", 0)
    cql_samples: int = setting(10, "actions from each proposal of the log-sum-exp (K)", 1)
    next_actions: NextActions = setting("none", "a third proposal, pi at s': valued where and by whom")
    cql_backward: Literal["all", "sampled"] = setting("all", "proposals that the log-sum-exp's gradient passes through")
    cql_picks: int = setting(2, "proposals drawn for it per state and critic, when sampled", 1)
    # sharing
    sharing: SharingRule = setting("quantile", "which rows HCSAC borrows from other tasks")
    reward_rule: RewardRule | None = setting(
        None, "what a borrowed row is worth to its new task (default: keep; uds: zero)"
    )
    share_quantile: float = setting(0.95, "quantile of a task's own values that a borrowed row must reach", 0, 1)
    cds_quantile: float = setting(0.9, "the same for cds (its k)", 0, 1)
    cds_soft: bool = setting(False, "cds borrows every row and weighs its losses by sigma(Delta / temperature)")
    cds_decay: float = setting(0.995, "what that temperature, a running average, keeps at each update", 0, 1)
    share: str | None = setting(
        None, "directions in which rows are lent, as walk:run, that is from:to (default: every one)", listed=True
    )
    own_fraction: float | None = setting(
        None, "share of a task's part of a minibatch drawn from its own rows (default: uniform over D*)", 0, 1
    )
    share_interval: int = setting(100, "epochs between two sharings", 1)
    # schedule
    epochs: int = setting(1000, "length in epochs of ceil(rows / batch size) updates", 1)
    updates: int | None = setting(None, "length in updates; takes the place of epochs", 1)
    evaluate_interval: int = setting(10, "epochs between two evaluations", 1)
    evaluation_episodes: int = setting(20, "episodes of each task in an evaluation", 1)
    final_episodes: int = setting(20, "episodes of each task in the last evaluation", 1)
    log_interval: int = setting(500, "updates between two lines of metrics", 1)
    # the machine
    precision: Literal["float32", "bf16", "auto"] = setting("float32", "matrix products of the hidden layers")
    compile: Literal["on", "off", "auto"] = setting("auto", "compile the update (auto: from 10,000 updates on)")
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "where to train")

    def __post_init__(self) -> None:
        check_fields(self)

    def replace(self, changes: Mapping[str, Any]) -> Settings:
        """A copy with `changes`; an unknown name is a UserError that says the nearest right one."""
        names = [entry.name for entry in fields(self)]
        for name in changes:
            if name not in names:
                raise unknown("setting", name, names)
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Name -> value, ready for JSON."""
        return dataclasses.asdict(self)


def check_fields(instance: Any) -> None:
    """Check the types, bounds and choices of all fields of a frozen dataclass made with `setting`; ints become floats.

    Raises:
        UserError: a value of the wrong type, out of bounds, or not among the choices.
    """
    hints = get_type_hints(type(instance))
    for entry in fields(instance):
        value = _checked(entry.name, getattr(instance, entry.name), hints[entry.name], entry.metadata)
        object.__setattr__(instance, entry.name, value)


def read_toml(path: str | Path) -> dict[str, Any]:
    """The flat table of settings in a TOML file.

    Raises:
        UserError: the file is missing or is not TOML.
    """
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UserError(f"cannot read settings file {path}: {error.strerror}; give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"settings file {path} is not valid TOML ({error}); mend the line it names.") from error


def choices(hint: Any) -> tuple[str, ...]:
    """The words a Literal allows, or nothing."""
    hint = _given(hint)
    return get_args(hint) if get_origin(hint) is Literal else ()


def plain_type(hint: Any) -> type:
    """int, float, bool or str behind a field's annotation."""
    hint = _given(hint)
    return str if get_origin(hint) is Literal else hint


def _given(hint: Any) -> Any:
    """The annotation without its `| None`."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    return next(part for part in get_args(hint) if part is not type(None))


def _checked(name: str, value: Any, hint: Any, metadata: Mapping[str, Any]) -> Any:
    if value is None and type(None) in get_args(hint):
        return None
    words = choices(hint)
    if words:
        if value not in words:
            near = difflib.get_close_matches(str(value), words, n=1)
            mend = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(words)}."
            raise UserError(f"setting {name} = {value!r} is not a choice; {mend}")
        return value
    kind = plain_type(hint)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**1023 else math.inf
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise UserError(f"setting {name} = {value!r} is not of type {kind.__name__}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"setting {name} = {value} is out of bounds; it must be a finite number.")
    if kind in (int, float) and not metadata["low"] <= value <= metadata["high"]:
        bounds = f"at least {metadata['low']}" + (
            f" and at most {metadata['high']}" if metadata["high"] < math.inf else ""
        )
        raise UserError(f"setting {name} = {value} is out of bounds; it must be {bounds}.")
    return value
