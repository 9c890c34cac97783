"""The state of a policy: the one way from a run, or from an exported bundle, to a network that acts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from hcsac.algorithms import ALGORITHMS, DeterministicPolicy, SingleReplicaPolicy, make_policy, recorded_settings
from hcsac.errors import UserError, unknown
from hcsac.files import RUN, fits, require_form
from hcsac.registry import SHARING_RULES, require_plugins
from hcsac.settings import Settings
from hcsac.tasks import ActionBounds
from hcsac.training import checkpoint
from hcsac.training.run_directory import RunDirectory
from hcsac.types import Parameter, Spec

# What the metadata of a policy must have.
_FORM = {
    "agent": str, "plugins": list[str], "settings": dict[str, Any], "seeds": list[int],
    "observation_size": int, "action_size": int, "behaviour": dict[str, float], "best_steps": dict[str, float],
}  # fmt: skip


def require_policy(metadata: Mapping[str, Any], tasks: list[str]) -> None:
    """Raise a ValueError unless `run.json` or `policy.json` describes a policy of these tasks."""
    require_form({"plugins": [], "best_steps": {}, **metadata}, _FORM)
    if not tasks or not fits(tasks, list[str]) or not metadata["seeds"]:
        raise ValueError("it has no task or no seed")


@dataclass(frozen=True)
class PolicyState:
    """A deterministic policy of R replicas and M tasks, and its metadata.

    The tensors of `network` are those of `DeterministicPolicy`.
    """

    algorithm: str
    tasks: list[str]  # in the order of their indices
    seeds: list[int]  # one a replica
    observation_size: int
    action_size: int
    dataset_returns: dict[str, float]  # task -> mean return of the logged episodes
    update: int
    settings: Settings
    network: DeterministicPolicy
    data: tuple[str, ...] = ()  # the names of the datasets it was trained on
    plugins: tuple[str, ...] = ()  # the modules that registered its algorithm, sharing rule, tasks and data
    teacher: str | None = None  # the algorithm of the policy that it was distilled from
    best_steps: Mapping[str, float] = field(default_factory=dict)  # new task -> the best 100 logged steps, a step

    @property
    def parameter(self) -> Parameter | None:
        """The number that it acts by in place of a task; None where it acts by task."""
        return Parameter.of(self.tasks) if self.settings.embedding == "number" else None

    def single(self) -> SingleReplicaPolicy:
        """The network without the replica axis, of a state with one seed."""
        return SingleReplicaPolicy(self.network, len(self.tasks), self.parameter).eval()

    @property
    def bounds(self) -> ActionBounds:
        """Those of its actions."""
        low, high = self.network.scaling.action_low, self.network.scaling.action_high
        if low is None or high is None:
            return ActionBounds.unit(self.action_size)
        return ActionBounds(low.numpy(), high.numpy())

    @classmethod
    def build(
        cls, path: Path, metadata: Mapping[str, Any], tasks: list[str], update: int, tensors: dict[str, Tensor]
    ) -> PolicyState:
        """From `run.json` or `policy.json` in `path` and the tensors of the network.

        Raises:
            UserError: its algorithm or sharing rule is a plug-in's that is not loaded.
            KeyError, TypeError, ValueError, RuntimeError: something is missing, or the tensors have other shapes.
        """
        name, plugins = metadata["agent"], tuple(metadata.get("plugins", ()))
        if name not in ALGORITHMS or metadata["settings"].get("sharing", "none") not in ("none", *SHARING_RULES):
            require_plugins(plugins, f"the policy in {path}")
        settings = recorded_settings(name, metadata["settings"])
        S, A = metadata["observation_size"], metadata["action_size"]
        seeds = list(metadata["seeds"])
        network = _network(name, Spec(S, A, tuple(tasks)), settings, len(seeds), tensors)
        data = metadata.get("data", ())  # of a run; a bundle has more about them
        data = tuple(data["names"] if isinstance(data, dict) else data)
        teacher = metadata["distilled"]["teacher"]["agent"] if "distilled" in metadata else None
        returns = dict(metadata["behaviour"])
        best = dict(metadata.get("best_steps", {}))
        return cls(name, tasks, seeds, S, A, returns, update, settings, network, data, plugins, teacher, best)

    @classmethod
    def of_run(cls, run: RunDirectory) -> PolicyState:
        """The policy of a run at its last checkpoint, with all its seeds; of several candidates only those that act.

        Raises:
            UserError: there is no run, no checkpoint yet, or one of its files is corrupt.
        """
        identity = run.identity()
        with corrupt(run.path / RUN, checkpoint.FIX):
            require_policy(identity, identity["tasks"])
            acting = "average." if identity["settings"].get("policy_average", 0) > 0 else "actor."
        state, update = checkpoint.load(run.checkpoint, (f"agent/{acting}", "agent/choice", "scaling/"))
        tensors = {name.replace(acting, "actor.", 1): t for name, t in checkpoint.part(state, "agent").items()}
        tensors |= {f"scaling.{name}": tensor for name, tensor in checkpoint.part(state, "scaling").items()}
        with corrupt(run.checkpoint, checkpoint.FIX):
            return cls.build(run.path, identity, list(identity["tasks"]), update, tensors).pruned()

    def only(self, seed: int) -> PolicyState:
        """Only the replica of that seed; UserError where there is none."""
        if seed not in self.seeds:
            raise unknown("seed", str(seed), map(str, self.seeds))
        r = self.seeds.index(seed)
        tensors = dict(self.network.state_dict())
        for name, tensor in tensors.items():
            if not name.startswith("scaling."):  # a replica's own: its actors, and the choice among them
                tensors[name] = tensor.unflatten(0, (len(self.seeds), -1))[r]
        return self._with(tensors, self.settings, [seed]).pruned()

    def pruned(self) -> PolicyState:
        """The same policy without the candidates that act in no task, where its algorithm can leave them out."""
        choice, kind = self.network.choice, ALGORITHMS.get(self.algorithm)
        if choice is None:
            return self
        kept = choice.unique()  # ascending
        settings = kind.with_candidates(self.settings, kept.tolist())
        if kind.candidates_of(settings) != len(kept):
            return self
        shape = len(self.seeds), -1, self.network.actors  # R, C, P
        tensors = dict(self.network.state_dict())
        for name, tensor in tensors.items():
            if name.startswith("actor."):
                tensors[name] = tensor.unflatten(0, shape)[:, kept].flatten(0, 2)
        tensors["choice"] = torch.searchsorted(kept, choice)
        if len(kept) == 1:
            del tensors["choice"]
        return self._with(tensors, settings, self.seeds)

    def _with(self, tensors: dict[str, Tensor], settings: Settings, seeds: list[int]) -> PolicyState:
        spec = Spec(self.observation_size, self.action_size, tuple(self.tasks))
        network = _network(self.algorithm, spec, settings, len(seeds), tensors)
        return replace(self, settings=settings, seeds=seeds, network=network)


def _network(
    name: str, spec: Spec, settings: Settings, replicas: int, tensors: dict[str, Tensor]
) -> DeterministicPolicy:
    """The network with these tensors; a KeyError, RuntimeError or ValueError where they do not fit."""
    numbers = sum(tensor.numel() for tensor in tensors.values())
    if spec.observation_size != tensors["scaling.mean"].numel() or max(spec.action_size, replicas) > numbers:
        raise ValueError("its tensors have other sizes")  # before a network of absurd ones is made
    network = make_policy(name, spec, settings, replicas)
    if "scaling.action_low" in tensors:
        network.scaling.action_low, network.scaling.action_high = torch.zeros(2, spec.action_size)
    network.load_state_dict(tensors)
    choice = network.choice
    candidates = len(next(network.actor.parameters())) // (network.actors * replicas)
    if choice is not None and not ((choice >= 0) & (choice < candidates)).all():
        raise ValueError("it chooses a candidate that it does not have")
    return network


@contextmanager
def corrupt(path: Path, fix: str) -> Iterator[None]:
    """Turn errors of the block, which reads the file at `path`, into one sentence that ends with `fix`."""
    try:
        yield
    except (SafetensorError, ArithmeticError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is corrupt ({reason}); {fix}.") from error
