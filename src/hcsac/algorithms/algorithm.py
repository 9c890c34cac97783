"""What every algorithm is, and what the frame does for it: seeds, scaling, state, compilation, capture and policy."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hcsac.algorithms.compiled import compile_update
from hcsac.algorithms.policy import Scaling, joint_action
from hcsac.networks.embedding import give_numbers
from hcsac.settings import Settings
from hcsac.types import Batch, Draw, Info, Spec

State = dict[str, Tensor]


def generators(seeds: Sequence[int], stream: int, device: torch.device | str = "cpu") -> list[torch.Generator]:
    """One generator a replica; streams of one seed do not overlap.

    They are 0 for weights, 1 for noise, 2 for minibatches, and from 3 on for the weights of further actors.
    """
    return [torch.Generator(device).manual_seed(1_000_003 * seed + stream) for seed in seeds]


class Random:
    """Random numbers of R replicas, each from its own generator, so that a replica equals the run of its seed alone."""

    def __init__(self, seeds: Sequence[int], device: torch.device):
        self.device = device
        self.generators = generators(seeds, 1, device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers [R, *shape]."""
        return torch.stack([torch.randn(*shape, generator=g, device=self.device) for g in self.generators])

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1) of shape [R, *shape]."""
        return torch.stack([torch.rand(*shape, generator=g, device=self.device) for g in self.generators])


class Algorithm(nn.Module):
    """Base class: networks, optimisers and one update. R replicas train at once along the leading axis.

    A subclass gives `settings_type`, `Actor`, `build` and `update`, and what else it needs of the methods below them.
    Every parameter, buffer and module assigned to `self` is part of its state: moved to the device, stored in
    checkpoints, restored.

    Args:
        spec: sizes and tasks.
        settings: resolved settings of `settings_type`; `precision` is float32 or bf16 here.
        seeds: one replica each.
        scaling: between the robot's units and those of the networks; None where they are the same.
        compiled: compile the update.
    """

    settings_type: ClassVar[type[Settings]] = Settings
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # name -> changes, on top of the presets' common ones
    multi_task: ClassVar[bool] = True  # False where it learns one task alone
    several_actors: ClassVar[bool] = False  # True where `update` trains all actors (`of_actors`), not just one
    paper: ClassVar[str] = ""  # where it is from
    value_metrics: ClassVar[frozenset[str]] = frozenset({"q"})  # those of its metrics that are in units of reward
    name: ClassVar[str] = ""  # given at registration

    Actor: ClassVar[Any]  # (S, A, M, settings, weights) -> module whose act(observation, task) gives actions

    choice: Tensor | None  # [R, M], the candidate that acts in each task
    averaged: Tensor

    def __init__(
        self,
        spec: Spec,
        settings: Any,
        seeds: Sequence[int],
        scaling: Scaling | None = None,
        compiled: bool = False,
    ):
        super().__init__()
        self.spec, self.settings, self.seeds, self.updates = spec, settings, tuple(seeds), 0
        self.reward_scale = 1.0  # what the rewards of batches were divided by
        device = torch.device(settings.device)
        self.scaling = scaling or Scaling.identity(spec.observation_size)
        draws = type(self).noise is not Algorithm.noise
        self.random = Random(seeds if draws else (), device)
        self.actors, self.candidates = settings.actors, self.candidates_of(settings)
        weights = generators(seeds, 0)
        others = [generators(seeds, 2 + number) for number in range(1, self.candidates * self.actors)]
        members = [generator for of_seed in zip(weights, *others, strict=True) for generator in of_seed]
        self.actor = self.Actor(spec.observation_size, spec.action_size, len(spec.tasks), settings, members)
        choice = torch.zeros(len(seeds), len(spec.tasks), dtype=torch.int64) if self.candidates > 1 else None
        self.register_buffer("choice", choice)
        self.build(spec, settings, weights)
        if settings.policy_average > 0:
            self.average = copy.deepcopy(self.actor).requires_grad_(False)
            self.register_buffer("averaged", torch.zeros(()))
        give_numbers(self, spec.tasks)
        self.to(device)
        self._update = compile_update(self._advance) if compiled else self._advance

    # What a subclass gives.

    def build(self, spec: Spec, settings: Any, weights: Sequence[torch.Generator]) -> None:
        """Make everything but `self.actor`: critics, targets, optimisers.

        Args:
            weights: a generator a replica, on the CPU, from which initial weights are drawn.
        """
        raise NotImplementedError

    def update(self, batch: Batch, noise: Any, stage: Any) -> Info:
        """One step on one minibatch per replica; observations are normalised already.

        It runs compiled and captured, too: no data-dependent Python, nothing moved to the host.

        Args:
            batch: see `Batch`; `weight` is how much a transition counts, None for 1.
            noise: what `noise` drew.
            stage: what `stage` gave.

        Returns:
            Metrics by name, each [R], detached, on the device.
        """
        raise NotImplementedError

    def noise(self, random: Random, batch_size: int) -> Any:
        """The random numbers of one update: a tensor or a tuple of tensors; None for an algorithm without any."""
        return None

    def stage(self, update: int) -> Hashable:
        """What kind of update number `update` (from 0) is, where kinds differ: a warm-up, a delayed actor."""
        return None

    def draw(self, stage: Any) -> Draw:
        """The minibatch of an update: what to draw from D* for it; one minibatch for each of the `actors`."""
        return Draw(self.settings.batch_size * self.actors)

    def moves_actor(self, stage: Any) -> bool:
        """Whether the actor moves in such an update; the running mean of its weights then moves, too."""
        return True

    @classmethod
    def candidates_of(cls, settings: Any) -> int:
        """C: how many policies it trains for the choice of one."""
        return 1

    @classmethod
    def with_candidates(cls, settings: Any, kept: Sequence[int]) -> Any:
        """The settings of these candidates alone, so that what leaves the run can leave out those that never act.

        An algorithm that returns the same settings keeps them all.
        """
        return settings

    def finish(self, start: Tensor, task: Tensor) -> list[str]:
        """Called after the last update, and before the last evaluation: to choose among candidates, say.

        Args:
            start: first observations of all logged episodes, [n, S], not normalised.
            task: their tasks, [n].

        Returns:
            Sentences that say what was done and why; the same ones if it is called again.
        """
        return []

    def score(self, observation: Tensor, action: Tensor, task: Tensor) -> Tensor:
        """Values Q(s, a) by which sharing rules select: [R, n, S] normalised, [R, n, A], [R, n] -> [R, n].

        An algorithm without values leaves it out, and rules that need them refuse it.
        """
        raise NotImplementedError

    def state_value(self, observation: Tensor, task: Tensor) -> Tensor:
        """V(s), which a rule by advantages takes off `score`: [R, n, S] normalised, [R, n] -> [R, n].

        Unless a subclass has values of states: that of the policy's action, Q(s, pi(s)).
        """
        return self.score(observation, joint_action(self.acting, observation, task, self.actors, self.choice), task)

    # What the frame does.

    @classmethod
    def has_values(cls) -> bool:
        """Whether it gives `score`."""
        return cls.score is not Algorithm.score

    @property
    def discount(self) -> float:
        """Gamma of one step, as batches carry it; 1 for an algorithm without it."""
        return getattr(self.settings, "discount", 1.0)

    def advance(self, batch: Batch, noise: Any = None) -> Info:
        """One update: noise is drawn (unless it is given), observations are normalised, `update` runs."""
        if noise is None:
            noise = self.noise(self.random, batch.action.shape[1])
        info = self._update(self.normalized(batch), noise, self.stage(self.updates))
        self.updates += 1
        return info

    def _advance(self, batch: Batch, noise: Any, stage: Any) -> Info:
        info = self.update(batch, noise, stage)
        if self.settings.policy_average > 0 and self.moves_actor(stage):
            self._average()
        return info

    @torch.no_grad()
    def _average(self) -> None:
        """The running mean of the actor's weights: of all so far at first, then with the decay that was set."""
        self.averaged += 1
        rate = (1 / self.averaged).clamp(min=1 - self.settings.policy_average)
        own, actor = list(self.average.parameters()), list(self.actor.parameters())
        torch._foreach_add_(own, torch._foreach_mul(torch._foreach_sub(actor, own), rate))

    @property
    def acting(self) -> Any:
        """The actor with the weights that act: the last ones, or their running mean."""
        return self.average if self.settings.policy_average > 0 else self.actor

    def next_draw(self) -> Draw:
        """What to draw for the next update."""
        return self.draw(self.stage(self.updates))

    def of_actors(self, batch: Batch) -> Batch:
        """The minibatches of all actors as replicas of their own: [R, P B, ...] -> [R C P, B, ...].

        Candidates share minibatches, so that they differ by what distinguishes them alone.
        """
        return Batch(*(None if x is None else self.fold(torch.cat([x] * self.candidates, 1)) for x in batch))  # type: ignore[arg-type]

    def of_critics(self, batch: Batch) -> Batch:
        """One minibatch of the P that were drawn, for the critics: [R, P B, ...] -> [R, B, ...] by `one_of_each`."""
        return Batch(*(None if x is None else self.one_of_each(self.fold(x)) for x in batch))  # type: ignore[arg-type]

    def one_of_each(self, x: Tensor) -> Tensor:
        """Row b of actor b modulo P, so that every actor has its part: [R P, B, ...] -> [R, B, ...]."""
        if self.actors == 1:
            return x
        row = torch.arange(x.shape[1], device=x.device)
        return x.unflatten(0, (-1, self.actors))[:, row % self.actors, row]

    def joint(self, actor: Any, observation: Tensor, task: Tensor) -> Tensor:
        """The mean action of the P actors, as a training computes it: [R, B, S], [R, B] -> [R, B, A]."""
        if self.actors == 1:
            action: Tensor = actor(observation, task)
            return action
        action = actor(observation.repeat_interleave(self.actors, 0), task.repeat_interleave(self.actors, 0))
        return action.unflatten(0, (-1, self.actors)).mean(1)

    def frozen(self, update: int) -> bool:
        """Whether critics and targets stay as they are in this update (`critic_freeze`)."""
        part, total = self.settings.critic_freeze, self.settings.updates
        return part > 0 and total is not None and update >= round((1 - part) * total)

    def fold(self, x: Tensor) -> Tensor:
        """Rows of a replica to its actors: [R, C P B, ...] -> [R C P, B, ...]."""
        return x.unflatten(1, (self.candidates * self.actors, -1)).flatten(0, 1)

    def unfold(self, x: Tensor) -> Tensor:
        """The reverse of `fold`: rows of a replica's actors to the replica, whose critics value them."""
        return x.unflatten(0, (len(self.seeds), -1)).flatten(1, 2)

    def per_replica(self, x: Tensor) -> Tensor:
        """The mean over the actors of a replica, for the log: [R C P] -> [R]."""
        return x.detach().unflatten(0, (len(self.seeds), -1)).mean(1)

    def normalized(self, batch: Batch) -> Batch:
        """The batch as the networks see it."""
        return batch._replace(
            observation=self.scaling(batch.observation), next_observation=self.scaling(batch.next_observation)
        )

    def stages(self, count: int) -> tuple[Hashable, ...]:
        """The stages of the next `count` updates."""
        return tuple(self.stage(update) for update in range(self.updates, self.updates + count))

    @torch.no_grad()
    def values(self, observation: Tensor, action: Tensor, task: int, advantages: bool = False) -> Tensor:
        """`score`, or `score - state_value`, for one task: observation [n, S], action [n, A] -> [R, n]."""
        shape = (len(self.seeds), -1, -1)
        observation = self.scaling(observation).expand(*shape)
        tasks = torch.full(observation.shape[:2], task, device=observation.device)
        value = self.score(observation, action.expand(*shape), tasks)
        return value - self.state_value(observation, tasks) if advantages else value

    @torch.no_grad()
    def act(self, observation: Tensor, task: Tensor, noise: Tensor | None = None) -> Tensor:
        """Actions [R, n, A] in the robot's units at observation [R, n, S] for task [R, n].

        Args:
            noise: standard normal numbers [R, n, A], for `disagreement_noise`; None for the mean action.
        """
        scaled = None if noise is None else self.settings.noise_scale * noise
        action = joint_action(self.acting, self.scaling(observation), task, self.actors, self.choice, scaled)
        return self.scaling.robot(action)

    def state(self) -> State:
        """Everything that decides the next update, as named tensors; the normaliser, which never changes, is not."""
        state = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("scaling.")}
        state |= {f"noise.{r}": g.get_state() for r, g in enumerate(self.random.generators)}
        return state | {"updates": torch.tensor(self.updates)}

    def load_state(self, state: State) -> None:
        """Continue from `state` exactly."""
        own = {name: t for name, t in state.items() if name != "updates" and not name.startswith("noise.")}
        self.load_state_dict(own | {f"scaling.{name}": t for name, t in self.scaling.state_dict().items()})
        self.updates = int(state["updates"])
        for r, generator in enumerate(self.random.generators):
            generator.set_state(state[f"noise.{r}"].cpu())


@torch.no_grad()
def polyak_update(target: nn.Module, source: nn.Module, rate: float) -> None:
    """Soft target update (slides): target <- (1 - rate) target + rate source."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)
