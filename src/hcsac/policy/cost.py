"""What one policy costs beside another: its returns from the same initial states, time per action, parameters."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from hcsac.evaluation import Evaluator
from hcsac.policy.policy import Policy
from hcsac.policy.state import PolicyState

ROUNDS = 500  # of timing; in each, every policy acts once


def paired_returns(policies: Sequence[PolicyState], episodes: int) -> list[np.ndarray]:
    """Undiscounted returns [R, M, episodes] of each policy; episode e starts from the same state for all of them.

    Raises:
        UserError: a task has no simulator.
    """
    first = policies[0]
    evaluator = Evaluator(first.tasks, episodes, len(first.seeds), workers=torch.get_num_threads())
    try:
        return [evaluator(Policy(state).act_all) for state in policies]
    finally:
        evaluator.close()


def networks(state: PolicyState) -> int:
    """The actors of one seed that an action takes: P of each of the C candidates."""
    return len(next(state.network.actor.parameters())) // len(state.seeds)


def parameters(state: PolicyState) -> int:
    """Their weights."""
    return sum(weight.numel() for weight in state.network.actor.parameters()) // len(state.seeds)


def seconds_per_action(policies: Sequence[PolicyState]) -> list[float]:
    """Median seconds in which the first seed of each policy finds one action: in PyTorch, float32, on one thread.

    The policies act in turn, so that other processes of the machine slow all of them alike.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        calls = [state.only(state.seeds[0]).single() for state in policies]
        by_number = policies[0].parameter is not None
        given = (
            policies[0].network.scaling.mean[None],
            torch.zeros(1, dtype=torch.float32 if by_number else torch.int64),
        )
        seconds = np.empty((ROUNDS, len(calls)))
        for row in seconds:
            for i, act in enumerate(calls):
                began = time.perf_counter()
                act(*given)
                row[i] = time.perf_counter() - began
    finally:
        torch.set_num_threads(threads)
    return np.median(seconds, axis=0).tolist()
