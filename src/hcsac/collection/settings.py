"""Settings of a collection: what a learner learns by, when it stops, and which datasets are made of its episodes."""

import math
from dataclasses import dataclass
from typing import Any

from hcsac.algorithms.td3 import TD3Settings
from hcsac.collection.keep import DATASETS
from hcsac.errors import UserError, unknown
from hcsac.settings import check_fields, setting

# Settings that one kind of datasets has, and no other.
_FOR = {"level": "medium", "replay_episodes": "medium", "returns": "slice", "shares": "mixture"}
_LEARNER = ("noise", "random_steps", "hidden_size", "batch_size", "learning_rate")  # decide every step of a learner


@dataclass(frozen=True)
class CollectSettings:
    """Settings of a collection.

    Raises:
        UserError: a value of the wrong type or out of bounds, or a setting that the kinds of datasets do not use or
            that they lack.
    """

    keep: str = setting("medium", "kinds of datasets to make: medium, all, final, slice, mixture", listed=True)
    steps: int = setting(120_000, "most environment steps of training, of each learner", 1)
    level: float | None = setting(
        None, "medium: mean return at which learning stops (default: half the expert's); other kinds learn on to steps"
    )
    episodes: int = setting(50, "episodes of each dataset medium, final and mixture; most episodes of slice", 1)
    replay_episodes: int | None = setting(
        None, "medium: episodes kept for medium-replay, evenly spaced (default: all)", 1
    )
    returns: str | None = setting(None, "slice: LOW:HIGH, the returns of its episodes; LOW: or :HIGH for one bound")
    shares: str | None = setting(
        None, "mixture: L,M,H, shares of the lower, middle and upper third of the training episodes by return"
    )
    learners: int = setting(1, "learners, with seeds SEED, SEED + 1 and so on, whose episodes make one set", 1)
    seed: int = setting(0, "seed of weights, noise and initial states", 0)
    noise: float = setting(0.2, "standard deviation of the exploration noise", 0)
    random_steps: int = setting(2_500, "first steps, with uniformly random actions", 1)
    hidden_size: int = setting(256, "units in each of the two hidden layers", 1)
    batch_size: int = setting(256, "transitions in a minibatch", 1)
    learning_rate: float = setting(3e-4, "learning rate of actor and critics", 0)

    def __post_init__(self) -> None:
        check_fields(self)
        for kind in self.kinds:
            if kind not in DATASETS:
                raise unknown("kind of dataset to keep", kind, DATASETS)
        for name, kind in _FOR.items():
            if getattr(self, name) is not None and kind not in self.kinds:
                raise UserError(f"setting {name} is for datasets of kind {kind} alone; leave it out, or keep {kind}.")
        if "slice" in self.kinds:
            _ = self.bounds
        if "mixture" in self.kinds:
            _ = self.thirds
        if self.episodes < self.learners and {"medium", "final"} & set(self.kinds):
            raise UserError(f"{self.learners} learners cannot share {self.episodes} episodes; give more --episodes.")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The words of `keep`, each once."""
        return tuple(dict.fromkeys(word.strip() for word in self.keep.split(",")))

    @property
    def seeds(self) -> range:
        """One learner each."""
        return range(self.seed, self.seed + self.learners)

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest return of `slice`.

        Raises:
            UserError: `returns` is missing, or is no pair of bounds.
        """
        low, colon, high = (self.returns or "").partition(":")
        try:
            found = float(low or -math.inf), float(high or math.inf)
        except ValueError:
            found = (math.nan, math.nan)
        if not colon or not found[0] <= found[1]:
            raise UserError(
                f"kind slice needs the returns of its episodes, not {self.returns!r}; give --returns LOW:HIGH, as "
                "--returns 200:400."
            )
        return found

    @property
    def thirds(self) -> tuple[float, float, float]:
        """The shares of `mixture`, which sum to one.

        Raises:
            UserError: `shares` is missing, or is no three numbers.
        """
        try:
            lower, middle, upper = map(float, (self.shares or "").split(","))
        except ValueError:
            lower = middle = upper = math.nan
        total = lower + middle + upper
        if not (min(lower, middle, upper) >= 0 and 0 < total < math.inf):
            raise UserError(
                f"kind mixture needs three shares of at least 0, not {self.shares!r}; give --shares L,M,H, as "
                "--shares 0.5,0.3,0.2."
            )
        return lower / total, middle / total, upper / total

    def learner(self, task: str, seed: int) -> dict[str, Any]:
        """What decides every step of the learner with that seed; steps and level only say where it stops."""
        return {"task": task, "seed": seed, **{name: getattr(self, name) for name in _LEARNER}}

    def agent_settings(self) -> TD3Settings:
        """The settings of TD3."""
        return TD3Settings(
            hidden_layers=2,
            hidden_size=self.hidden_size,
            critic_layer_norm="first",
            batch_size=self.batch_size,
            actor_learning_rate=self.learning_rate,
            critic_learning_rate=self.learning_rate,
            device="cpu",
        )
