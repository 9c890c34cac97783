"""How updates reach the device: one by one, or on a GPU several in one launch of a captured graph."""

from collections.abc import Callable, Sequence

import torch

from hcsac.algorithms.base import Agent
from hcsac.sharing.active import ActiveDataset
from hcsac.types import Info

SPAN = 20  # updates in one launch: Python costs a GPU more than the update itself

# Takes work of fixed shapes and gives a way to repeat it; the Info is refilled by every repetition.
Capture = Callable[[Callable[[], Info]], Callable[[], Info]]


class Steps:
    """Draws minibatches and makes updates, `span` of them in one launch where work can be captured.

    Args:
        capture: None to make every update anew.
    """

    def __init__(self, agent: Agent, active: ActiveDataset, batch_size: int, capture: Capture | None):
        self.agent, self.active, self.batch_size, self._capture = agent, active, batch_size, capture
        self.span = SPAN if capture else 1
        self._launch: Callable[[], Info] | None = None
        self._captured_for: object = None

    def advance(self, count: int) -> Info:
        """`count` (1 .. span) updates; the metrics of the last one."""
        # A graph repeats what it saw: other rows borrowed, or the warm-up over, need another one.
        now = (self.agent.phase(), self.active.changes)
        if self._capture is None or count < self.span or self.agent.phase(count - 1) != now[0]:
            return self._one_by_one(count)
        if self._launch is None or self._captured_for != now:
            return self._capture_after(self._one_by_one(count))  # these also load every library
        info = self._launch()
        self.agent.updates += count
        return info

    def _capture_after(self, info: Info) -> Info:
        assert self._capture is not None
        before = self.agent.updates
        self._captured_for = (self.agent.phase(), self.active.changes)
        self._launch = self._capture(lambda: self._one_by_one(self.span))
        self.agent.updates = before  # captured, not made
        return info

    def _one_by_one(self, count: int) -> Info:
        for _ in range(count):
            info = self.agent.update(self.active.sample(self.batch_size))
        return info


def cuda_capture(generators: Sequence[torch.Generator]) -> Capture:
    """Capture into a CUDA graph that draws on from `generators`, all that the work draws from."""

    def capture(work: Callable[[], Info]) -> Callable[[], Info]:
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph):
            info = work()

        def launch() -> Info:
            graph.replay()
            return info

        return launch

    return capture
