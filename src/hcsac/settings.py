"""Settings: names, defaults, bounds and the sentence that `--help` shows, in groups that algorithms put together.

An algorithm's settings are one flat frozen dataclass, made of the groups below and of its own fields. Names are unique
over all algorithms, so that a TOML file, a preset or a study can serve several of them.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

from hcsac.errors import UserError, unknown
from hcsac.registry import SHARING_RULES

Embedding = Literal["add", "concat", "onehot", "none", "number"]
LayerNorm = Literal["none", "first", "all"]
Decay = Literal["constant", "linear", "cosine"]
RewardRule = Literal["keep", "zero", "recompute"]
SHORTEST = 0.001  # part of a run that an interval may be


def setting(
    default: Any,
    text: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    listed: bool = False,
    choices: Callable[[], Sequence[str]] | None = None,
    resolved: Any = None,
    free: bool = False,
) -> Any:
    """A field of a settings class.

    Args:
        text: what `--help` says of it; units where it has any.
        low: inclusive lower bound of a number.
        high: inclusive upper bound.
        listed: whether it is a list of words separated by commas.
        choices: gives the words that are allowed, where a plug-in may add some.
        resolved: what None stands for unless a sharing rule implies something else.
        free: whether it may be another one when a run is resumed, because it changes none of its results.
    """
    return field(
        default=default,
        metadata={
            "help": text, "low": low, "high": high, "listed": listed, "choices": choices, "resolved": resolved,
            "free": free,
        },
    )  # fmt: skip


def sharing_names() -> tuple[str, ...]:
    """The sharing rules, none, and the choice between none and all by whether rewards can be recomputed."""
    return "none", "auto", *SHARING_RULES.names()


@dataclass(frozen=True)
class Fields:
    """Base of every group of settings: checked when made, immutable; `replace` makes a changed copy.

    Raises:
        UserError: a value of the wrong type, out of bounds, or not among the choices.
    """

    group: ClassVar[str] = ""  # the heading in `--help`

    def __init_subclass__(cls, group: str = "", **kwargs: Any):
        super().__init_subclass__(**kwargs)
        cls.group = group

    def __post_init__(self) -> None:
        check_fields(self)

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """A copy with `changes`; an unknown name is a UserError that says the nearest right one."""
        names = [entry.name for entry in fields(self)]
        for name in changes:
            if name not in names:
                raise unknown("setting", name, names)
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Name -> value, ready for JSON."""
        return dataclasses.asdict(self)

    def require_consistent(self) -> None:
        """Raise a `UserError` where settings exclude each other; an algorithm's own settings may extend it."""

    def __repr__(self) -> str:
        changed = [e for e in fields(self) if getattr(self, e.name) != e.default]
        inside = ", ".join(f"{entry.name}={getattr(self, entry.name)!r}" for entry in changed)
        return f"{type(self).__name__}({inside or 'the defaults'})"


@dataclass(frozen=True, repr=False)
class Network(Fields, group="Networks"):
    """What every network is built by."""

    hidden_layers: int = setting(3, "hidden layers of every network", 1, 16)
    hidden_size: int = setting(256, "units in each hidden layer", 1, 8192)
    standardise_observations: bool = setting(False, "normalize observations by the dataset's mean and std")


@dataclass(frozen=True, repr=False)
class TaskInput(Fields, group="Networks"):
    """How a network learns which task it is for; algorithms of one task alone leave it out."""

    embedding: Embedding = setting("add", "how the task enters the state: s + e, [s, e], [s, one-hot], s, [s, number]")


@dataclass(frozen=True, repr=False)
class Optimisation(Fields, group="Optimisation"):
    """Minibatches and the actor's optimiser."""

    batch_size: int = setting(256, "transitions in a minibatch", 1)
    actor_learning_rate: float = setting(3e-4, "Adam's learning rate of the actor (and of a temperature)", 0)
    actor_decay: Decay = setting("constant", "how the actor's learning rate falls to 0 over its updates")


@dataclass(frozen=True, repr=False)
class Acting(Fields, group="Policy"):
    """Which policy is evaluated and saved."""

    actors: int = setting(1, "actors P, each with its own initial weights and minibatches; the policy is the mean of "
                          "their actions", 1, 100)  # fmt: skip
    disagreement_noise: float = setting(
        0.0, "noise on the action of several actors, in standard deviations of their actions: none where they agree; "
        "where no data say what to do, it moves a robot on that would lie still", 0,
    )  # fmt: skip
    policy_average: float = setting(
        0.0, "decay of the running mean of the actor's weights that acts (0: the last act; 1: the mean of all)", 0, 1
    )

    @property
    def noise_scale(self) -> float:
        """The `disagreement_noise` that it acts with: a single actor disagrees with none."""
        return self.disagreement_noise if self.actors > 1 else 0.0


@dataclass(frozen=True, repr=False)
class HoldingOut(Fields, group="Data"):
    """Which of the data are not trained on (`hcsac.data.held_out`)."""

    held_out: float = setting(
        0.0, "share of each task's episodes that nothing in the training sees, to judge the policy on without a "
        "simulator (hcsac evaluate)", 0, 0.9,
    )  # fmt: skip


@dataclass(frozen=True, repr=False)
class Drawing(Fields, group="Drawing"):
    """How often transitions are drawn for minibatches (`hcsac.sharing.drawing`), for the actor and the critics."""

    start_weight: float = setting(
        1.0, "the first start_steps steps of every episode are drawn so many times as often as the others", 1, 1000
    )
    start_steps: int = setting(100, "steps at the start of an episode that start_weight counts for", 1)
    sparse_weight: float = setting(
        1.0, "the tenth of a task's transitions that is farthest from the task's other episodes (from the 5th nearest, "
        "in normalized observations) is drawn so many times as often as the others", 1, 1000,
    )  # fmt: skip


@dataclass(frozen=True, repr=False)
class Critics(Fields, group="Critics"):
    """An ensemble of critics with slowly moving targets."""

    critics: int = setting(2, "size E of the ensemble; its minimum is taken", 1, 100)
    critic_layer_norm: LayerNorm = setting("none", "layer normalisation after which hidden layers of the critics")
    critic_learning_rate: float = setting(3e-4, "Adam's learning rate of the critics", 0)
    critic_decay: Decay = setting("constant", "how the critics' learning rate falls to 0 over their updates")
    target_rate: float = setting(0.005, "Polyak rate tau: target <- (1 - tau) target + tau critic", 0, 1)
    discount: float = setting(0.99, "discount factor gamma of one step", 0, 1)


@dataclass(frozen=True, repr=False)
class Settling(Fields, group="Critics"):
    """For critics that learn beside the actor."""

    critic_freeze: float = setting(0.0, "last part of the updates in which critics and targets stay as they are", 0, 1)


@dataclass(frozen=True, repr=False)
class ActorImitation(Fields, group="Actor"):
    """For an actor that climbs values scaled to size 1 and imitates the data (DDPG+BC)."""

    actor_bc_weight: float = setting(0.4, "weight of imitation, E||pi(s) - a||^2 / A, against values of size 1", 0)


@dataclass(frozen=True, repr=False)
class AdvantageWeights(Fields, group="Actor"):
    """For an actor that imitates a transition the more, the better its action is than the policy's."""

    inverse_temperature: float = setting(
        3.0, "beta of the weights exp(beta A / scale) of advantage-weighted imitation, A = Q - V", 0
    )


@dataclass(frozen=True, repr=False)
class Sharing(Fields, group="Sharing"):
    """Which transitions of other tasks a task also learns from; a sharing rule may add settings of its own."""

    sharing: str = setting(
        "none", "rule that selects transitions of other tasks; auto is all with reward_rule = recompute where the "
        "rewards of all tasks can be recomputed, else none", choices=sharing_names,
    )  # fmt: skip
    reward_rule: RewardRule | None = setting(
        None,
        "reward of a transition used by another task: as logged (keep), 0 (zero) or that task's own (recompute); "
        "default: what the sharing rule implies, else keep",
        resolved="keep",
    )
    share: str | None = setting(
        None, "directed pairs SOURCE:TARGET between which transitions are shared, as walk:run (default: all)",
        listed=True,
    )  # fmt: skip
    own_fraction: float | None = setting(
        None, "fraction of a task's part of a minibatch drawn from its own transitions (default: uniform over D*)", 0, 1
    )
    share_interval: float = setting(
        100.0, "epochs between two sharings; below 1 a part of the run, as 0.1 for ten sharings", SHORTEST
    )


@dataclass(frozen=True, repr=False)
class Schedule(Fields, group="Schedule (an epoch is ceil(transitions / batch_size) updates)"):
    """How long, and how often what."""

    epochs: int = setting(1000, "length in epochs", 1)
    updates: int | None = setting(None, "length in updates; takes the place of epochs", 1)
    evaluate_interval: float = setting(
        10.0, "epochs between two evaluations; below 1 a part of the run, as 0.25 for four evaluations", SHORTEST
    )
    evaluation_episodes: int = setting(20, "episodes of each task in an evaluation", 1)
    final_episodes: int = setting(20, "episodes of each task in the last evaluation", 1)
    evaluation_steps: int | None = setting(
        None, "most steps of an episode in an evaluation (default: the task's time limit, else 10,000)", 1
    )
    log_interval: int = setting(500, "updates between two lines of metrics", 1)
    checkpoint_minutes: float = setting(
        2.0, "minutes between two checkpoints, besides those before an evaluation and at a signal to stop", 0, free=True
    )
    on_divergence: Literal["stop", "rollback"] = setting(
        "stop", "where a loss, value or weight is no number, or a value beyond what rewards can sum to: stop, or go "
        "back to the last checkpoint and on with other minibatches, three times at most", free=True,
    )  # fmt: skip


@dataclass(frozen=True, repr=False)
class Machine(Fields, group="Machine"):
    """Where and how numbers are computed."""

    precision: Literal["float32", "bf16", "auto"] = setting("float32", "of the hidden layers' matrix products")
    compile: Literal["on", "off", "auto"] = setting("auto", "compile the update (auto: from 10,000 updates on)")
    device: str = setting("auto", "where to train: auto, cpu, cuda or cuda:N", free=True)


@dataclass(frozen=True, repr=False)
class Settings(Machine, Schedule, Acting, HoldingOut, Drawing, Optimisation, Network):
    """What every algorithm has. An algorithm adds `TaskInput`, `Critics`, `Sharing` and fields of its own."""

    embedding: ClassVar[Any] = "none"  # where an algorithm leaves `TaskInput` out

    def length(self, transitions: int) -> int:
        """Updates of a run on so many transitions."""
        return self.updates or self.epochs * self.epoch(transitions)

    def epoch(self, transitions: int) -> int:
        """Updates of an epoch on so many transitions."""
        return math.ceil(transitions / self.batch_size)


def interval_in_updates(interval: float, epoch: int, length: int) -> int:
    """Updates between two events, for an interval given in epochs or, below 1, as a part of the run.

    Args:
        epoch: updates of an epoch.
        length: updates of the run.
    """
    return max(1, round(interval * (length if interval < 1 else epoch)))


def deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a run's recorded settings that decide its results: all but the free ones."""
    free = {entry.name for entry in fields(Settings) if entry.metadata["free"]}
    return {name: value for name, value in settings.items() if name not in free}


def applicable(kind: type[Fields], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the changes that a settings class has."""
    names = {entry.name for entry in fields(kind)}
    return {name: value for name, value in changes.items() if name in names}


def groups(kind: type[Fields]) -> dict[str, list[dataclasses.Field[Any]]]:
    """Heading -> fields of a settings class, in the order of its base classes."""
    found: dict[str, list[dataclasses.Field[Any]]] = {}
    for entry in fields(kind):
        found.setdefault(_home(kind, entry.name).group or "Algorithm", []).append(entry)
    return found


_HOMES: dict[str, tuple[str, str]] = {}  # name of a setting -> module and class that define it


def require_unique_names(kind: type[Fields]) -> None:
    """Note the names of a settings class that is being registered.

    Raises:
        UserError: one of them is the name of another algorithm's or rule's setting with its own definition.
    """
    homes = {}
    for entry in fields(kind):
        home = _home(kind, entry.name)
        homes[entry.name] = home.__module__, home.__qualname__
        held = _HOMES.get(entry.name, homes[entry.name])
        if held != homes[entry.name]:
            raise UserError(
                f"setting {entry.name!r} of {home.__module__}.{home.__qualname__} is defined by {'.'.join(held)} "
                "already; rename it, or inherit that definition."
            )
    _HOMES.update(homes)


def _home(kind: type[Fields], name: str) -> type[Fields]:
    """The class that first defines a field; a subclass may only give it another default."""
    for cls in reversed(kind.__mro__):
        annotation = inspect.get_annotations(cls).get(name)
        if annotation is not None and "ClassVar" not in str(annotation):
            return cls
    raise KeyError(name)


_hints = cache(get_type_hints)  # evaluating annotations is most of what a check takes


def check_fields(instance: Any) -> None:
    """Check the types, bounds and choices of all fields of a frozen dataclass made with `setting`; ints become floats.

    Raises:
        UserError: a value of the wrong type, out of bounds, or not among the choices.
    """
    hints = _hints(instance.__class__)
    for entry in fields(instance):
        value = _checked(entry.name, getattr(instance, entry.name), hints[entry.name], entry.metadata)
        object.__setattr__(instance, entry.name, value)


def choices(hint: Any, metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The words a setting allows, or nothing where it is no choice."""
    if metadata.get("choices"):
        return tuple(metadata["choices"]())
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
    words = choices(hint, metadata)
    if words:
        if value not in words:
            near = difflib.get_close_matches(str(value), words, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(words)}."
            raise UserError(f"setting {name} = {value!r} is not a choice; {advice}")
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
