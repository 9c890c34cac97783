"""The equations of implicit Q-learning against NumPy and SciPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import expectile as scipy_expectile

from hcsac.losses.iql import LARGEST_WEIGHT, advantage_weight, expectile_loss, implicit_target
from hcsac.losses.scale import mean_size_by_task

random = np.random.default_rng(0)


@pytest.mark.parametrize("weighted", [False, True])
def test_expectile_loss(weighted):
    u = random.normal(size=(2, 5))
    weight = random.uniform(size=(2, 5)) if weighted else np.ones((2, 5))
    loss = expectile_loss(torch.tensor(u), 0.7, torch.tensor(weight) if weighted else None)
    np.testing.assert_allclose(loss, (weight * np.abs(0.7 - (u < 0)) * u**2).mean(1))


@settings(deadline=None)
@given(st.floats(0.1, 0.9), st.lists(st.floats(-5, 5), min_size=2, max_size=8))
def test_its_minimum_is_the_expectile(tau, values):
    q = np.array(values)
    value = torch.tensor(scipy_expectile(q, tau), requires_grad=True)
    expectile_loss((torch.tensor(q) - value)[None], tau).sum().backward()
    assert value.grad.item() == pytest.approx(0, abs=1e-6)


def test_implicit_target():
    reward, discount, value = (random.normal(size=(2, 3)) for _ in range(3))
    np.testing.assert_allclose(
        implicit_target(*map(torch.tensor, (reward, discount, value))), reward + discount * value
    )


@pytest.mark.parametrize("scaled", [False, True])
def test_advantage_weight(scaled):
    u, scale = 3 * random.normal(size=(2, 50)), random.uniform(0.5, 2, size=(2, 50))
    weight = advantage_weight(torch.tensor(u), torch.tensor(scale) if scaled else None, 2.0)
    expected = np.minimum(np.exp(2 * u / (scale if scaled else 1)), 100)
    np.testing.assert_allclose(weight, expected)
    assert (expected == LARGEST_WEIGHT).any()


def test_an_advantage_that_overflows_has_the_largest_weight():
    weight = advantage_weight(torch.tensor([[1e30, -1e30]]), None, 3.0)
    assert weight.tolist() == [[LARGEST_WEIGHT, 0.0]]


@settings(deadline=None)
@given(st.floats(1e-3, 1e3))
def test_weights_do_not_depend_on_the_unit_of_a_tasks_rewards(unit):
    u, task = np.random.default_rng(1).normal(size=(1, 6)), torch.tensor([[0, 1, 1, 0, 1, 0]])
    weights = []
    for advantage in (u, np.where(task == 1, unit * u, u)):
        scale = mean_size_by_task(torch.tensor(advantage), task, 2)
        weights.append(advantage_weight(torch.tensor(advantage), scale, 1.0))
    torch.testing.assert_close(*weights)


def test_the_only_row_of_a_task_counts_for_no_more_than_one_size():
    """Its size is its own; a standard deviation would be 0, and its weight 0 or the largest one."""
    u = torch.tensor([[-0.3]])
    weight = advantage_weight(u, mean_size_by_task(u, torch.zeros(1, 1, dtype=torch.int64), 1), 1.0)
    assert weight.item() == pytest.approx(np.exp(-1))
