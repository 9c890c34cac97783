"""Launching several updates at once changes nothing; a graph is captured anew when what it repeats has changed."""

import numpy as np
import pytest
import torch

from hcsac.algorithms import make_algorithm, resolve, settings_of
from hcsac.algorithms.algorithm import generators
from hcsac.settings import applicable
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.pairs import SharedPairs
from hcsac.training.cuda_graph import UPDATES_PER_GRAPH as SPAN
from hcsac.training.cuda_graph import Updates, cuda_capture
from hcsac.types import Spec

CPU = torch.device("cpu")
TINY = {"hidden_size": 8, "hidden_layers": 2, "batch_size": 16, "cql_samples": 3}


def build(name, data, capture, device="cpu", row_weight=None, **changes):
    kind = settings_of(name)
    changes = applicable(kind, TINY) | {"device": device} | changes
    settings = resolve(name, kind().replace(changes), data.task_names)
    agent = make_algorithm(name, Spec(3, 2, data.task_names), settings, [0])
    minibatches = generators([0], 2, device)
    active = ActiveDataset(data, 0.99, "keep", minibatches, torch.device(device), row_weight=row_weight)
    drawn_from = [*agent.random.generators, *active.generators]
    steps = Updates(agent, active, capture(drawn_from) if capture else None)
    if capture is Recorder:
        steps._capture.agent = agent
    return agent, active, steps


class Recorder:
    """Stands in for a graph: captured work is done when it is launched, and Python's own counters are left alone."""

    agent = None

    def __init__(self, drawn_from):
        self.captures, self.launches = 0, 0

    def __call__(self, work):
        self.captures += 1

        def launch():
            self.launches += 1
            before = self.agent.updates
            info = work()
            self.agent.updates = before
            return info

        return launch


def advance(steps, lengths):
    for length in lengths:
        info = steps.advance(length)
    return info


@pytest.mark.parametrize("name", ["bc", "hcsac", "iql", "rebrac", "td3_bc"])
def test_a_launch_equals_its_updates(name, slides):
    agent, active, steps = build(name, slides, Recorder)
    single, other, one_by_one = build(name, slides, None)
    lengths = [SPAN, SPAN, 3, SPAN, SPAN]
    together, alone = advance(steps, lengths), advance(one_by_one, [1] * sum(lengths))
    for metric, value in alone.items():
        assert torch.equal(together[metric], value), metric
    for key, value in single.state().items():
        assert torch.equal(agent.state()[key], value), key
    assert torch.equal(active.state()["sampler.0"], other.state()["sampler.0"])
    recorder = steps._capture
    alternates = name in ("rebrac", "td3_bc")  # after the 3 a span begins with the other stage
    assert (recorder.captures, recorder.launches) == ((2, 2) if alternates else (1, 3))


def test_captures_anew_when_the_warm_up_ends_and_when_d_star_changes(slides):
    agent, active, updates = build("hcsac", slides, Recorder, bc_warmup=2 * SPAN + 5)
    recorder = updates._capture
    advance(updates, [SPAN] * 2)
    assert (recorder.captures, recorder.launches, agent.updates) == (1, 1, 2 * SPAN)
    advance(updates, [SPAN])  # the warm-up ends within
    assert (recorder.captures, recorder.launches) == (1, 1)
    advance(updates, [SPAN] * 2)
    assert (recorder.captures, recorder.launches) == (2, 2)
    active.set_shared([SharedPairs(np.array([0]), np.array([1], np.int16))])
    advance(updates, [SPAN] * 2)
    assert (recorder.captures, recorder.launches, agent.updates) == (3, 4, 7 * SPAN)


@pytest.mark.parametrize(("delay", "graphs"), [(2, 1), (3, 3)])
def test_an_update_that_alternates_is_captured_once_for_each_way_to_begin(delay, graphs, slides):
    agent, _, updates = build("td3_bc", slides, Recorder, policy_delay=delay)
    single, _, one_by_one = build("td3_bc", slides, None, policy_delay=delay)
    advance(updates, [SPAN] * 10)
    advance(one_by_one, [1] * 10 * SPAN)
    assert (updates._capture.captures, updates._capture.launches) == (graphs, 10 - graphs)
    for key, value in single.state().items():
        assert torch.equal(agent.state()[key], value), key


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("row_weight", [None, 1.0 + np.arange(96)], ids=["uniform", "weighted"])
@pytest.mark.parametrize("name", ["bc", "hcsac", "iql", "rebrac", "td3_bc"])
def test_a_cuda_graph_equals_its_updates(name, row_weight, slides):
    agent, _, steps = build(name, slides, cuda_capture, "cuda", row_weight, compile="off")
    single, _, one_by_one = build(name, slides, None, "cuda", row_weight, compile="off")
    lengths = [SPAN] * 4
    together, alone = advance(steps, lengths), advance(one_by_one, [1] * sum(lengths))
    for metric, value in alone.items():
        torch.testing.assert_close(together[metric], value, rtol=1e-4, atol=1e-4)
    for key, value in single.state().items():
        torch.testing.assert_close(agent.state()[key], value, rtol=1e-4, atol=1e-4, msg=key)
