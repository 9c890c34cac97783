"""All that a policy is, wherever it comes from: the one way from a run, or what left it, to a network that acts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from hcsac.algorithms import DeterministicPolicy, make_policy, recorded_settings
from hcsac.errors import UserError, unknown
from hcsac.settings import Settings
from hcsac.training import checkpoint
from hcsac.training.run_directory import RunDirectory
from hcsac.types import Spec


@dataclass(frozen=True)
class PolicyState:
    """A deterministic policy of R replicas and M tasks, and what is known of it.

    `network` holds the tensors: `scaling.*` [S], and every `actor.*` with the replicas as its first axis.
    """

    agent: str
    tasks: list[str]  # in the order of their indices
    seeds: list[int]  # one a replica
    observation_size: int
    action_size: int
    behaviour: dict[str, float]  # task -> mean return of the logged episodes
    update: int
    settings: Settings
    network: DeterministicPolicy

    @classmethod
    def build(cls, record: Mapping[str, Any], tasks: list[str], update: int, tensors: dict[str, Tensor]) -> PolicyState:
        """From the record of a run or a bundle and the tensors of its network.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: something is missing, or the tensors have other shapes.
        """
        settings = recorded_settings(record["agent"], record["settings"])
        S, A = int(record["observation_size"]), int(record["action_size"])
        seeds = [int(seed) for seed in record["seeds"]]
        network = make_policy(record["agent"], Spec(S, A, tuple(tasks)), settings, len(seeds))
        network.load_state_dict(tensors)
        return cls(record["agent"], tasks, seeds, S, A, dict(record["behaviour"]), update, settings, network)

    @classmethod
    def of_run(cls, run: RunDirectory) -> PolicyState:
        """The policy of a run at its last checkpoint, every seed of it.

        Raises:
            UserError: there is no run, no checkpoint yet, or one of its files is damaged.
        """
        record = run.identity()
        state, update = checkpoint.load(run.checkpoint, ("agent/actor.", "scaling/"))
        tensors = checkpoint.part(state, "agent")
        tensors |= {f"scaling.{name}": tensor for name, tensor in checkpoint.part(state, "scaling").items()}
        with damage_told(run.checkpoint, checkpoint.MEND):
            return cls.build(record, list(record["tasks"]), update, tensors)

    def only(self, seed: int) -> PolicyState:
        """The replica of that seed alone; UserError where there is none."""
        if seed not in self.seeds:
            raise unknown("seed", str(seed), map(str, self.seeds))
        r = self.seeds.index(seed)
        tensors = {
            name: tensor[r : r + 1] if name.startswith("actor.") else tensor
            for name, tensor in self.network.state_dict().items()
        }
        spec = Spec(self.observation_size, self.action_size, tuple(self.tasks))
        network = make_policy(self.agent, spec, self.settings, 1)
        network.load_state_dict(tensors)
        return replace(self, seeds=[seed], network=network)


@contextmanager
def damage_told(path: Path, mend: str) -> Iterator[None]:
    """What goes wrong within, for want of a sound file at `path`, as one sentence that ends with `mend`."""
    try:
        yield
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is damaged ({reason}); {mend}.") from error
