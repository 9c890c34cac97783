"""How updates reach the device: one by one, or on a GPU several in one launch of a captured graph."""

from collections.abc import Callable, Hashable, Sequence

import torch

from hcsac.algorithms import Algorithm
from hcsac.sharing.active import ActiveDataset
from hcsac.types import Batch, Info

UPDATES_PER_GRAPH = 20  # in one launch: Python costs a GPU more than the update itself

# Takes work of fixed shapes and gives a way to repeat it; the Info is refilled by every repetition.
Capture = Callable[[Callable[[], Info]], Callable[[], Info]]


class Updates:
    """Draws minibatches and makes updates, `span` of them in one launch where work can be captured.

    A graph repeats what was captured: it serves every span of updates with the same stages, while D* stays as it is.
    So a warm-up has its graph, what follows has another, and an update that alternates has one for each way in which
    a span may begin.

    Args:
        capture: None to make every update anew.
    """

    def __init__(self, algorithm: Algorithm, active: ActiveDataset, capture: Capture | None):
        self.algorithm, self.active, self._capture = algorithm, active, capture
        self.span = UPDATES_PER_GRAPH if capture else 1
        self._graphs: dict[tuple[Hashable, ...], Callable[[], Info]] = {}
        self._seen: set[tuple[Hashable, ...]] = set()
        self._captured_of = active.changes
        self.batch: Batch | None = None  # the last one, where updates are made one by one

    def advance(self, count: int) -> Info:
        """`count` (1 .. span) updates; the metrics of the last one."""
        if self._capture is None or count < self.span:
            return self._one_by_one(count)
        if self._captured_of != self.active.changes:  # graphs of a D* that is gone
            self._graphs.clear()
            self._captured_of = self.active.changes
        stages = self.algorithm.stages(count)
        if stages not in self._seen:  # made once without a graph, which also loads every library
            self._seen.add(stages)
            return self._one_by_one(count)
        if stages not in self._graphs:
            before = self.algorithm.updates
            self._graphs[stages] = self._capture(lambda: self._one_by_one(count))
            self.algorithm.updates = before  # captured, not made
        info, self.batch = self._graphs[stages](), None
        self.algorithm.updates += count
        return info

    def _one_by_one(self, count: int) -> Info:
        for _ in range(count):
            self.batch = self.active.sample(*self.algorithm.next_draw())
            info = self.algorithm.advance(self.batch)
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
