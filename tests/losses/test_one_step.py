"""The equations of one-step improvement, and the scale of a task, against NumPy."""

import numpy as np
import pytest
import torch

from hcsac.losses.one_step import improvement_loss, n_step_target
from hcsac.losses.scale import SMALLEST, mean_size_by_task

random = np.random.default_rng(0)
TASK = np.array([[0, 1, 1, 0, 1], [1, 1, 1, 1, 1]])  # the second replica has no row of task 0, none has one of task 2


def test_n_step_target_is_one_for_each_critic():
    reward, discount, q = random.normal(size=(2, 3)), random.uniform(size=(2, 3)), random.normal(size=(2, 4, 3))
    target = n_step_target(*map(torch.tensor, (reward, discount, q)))
    for r in range(2):
        for e in range(4):
            np.testing.assert_allclose(target[r, e], reward[r] + discount[r] * q[r, e])


def size_by_task(q, weight=None):
    sizes, weight = np.empty_like(q), np.ones_like(q) if weight is None else weight
    for r in range(len(q)):
        for b in range(q.shape[1]):
            same = [c for c in range(q.shape[1]) if TASK[r, c] == TASK[r, b]]
            sizes[r, b] = np.average(np.abs(q[r, same]), weights=weight[r, same])
    return sizes


def test_the_scale_of_a_row_is_that_of_its_task():
    q = random.normal(size=(2, 5))
    np.testing.assert_allclose(mean_size_by_task(torch.tensor(q), torch.tensor(TASK), 3), size_by_task(q))


def test_the_scale_of_values_that_are_all_zero_is_not_zero():
    sizes = mean_size_by_task(torch.zeros(1, 4), torch.zeros(1, 4, dtype=torch.int64), 1)
    assert sizes[0].tolist() == pytest.approx([SMALLEST] * 4)


@pytest.mark.parametrize("weighted", [False, True])
def test_improvement_loss(weighted):
    q, imitation, w = random.normal(size=(2, 5)), random.uniform(size=2), np.array([0.1, 3.0])
    weight = random.uniform(size=(2, 5)) if weighted else np.ones((2, 5))
    given = torch.tensor(weight) if weighted else None
    loss = improvement_loss(torch.tensor(q), torch.tensor(TASK), 3, torch.tensor(imitation), torch.tensor(w), given)
    expected = w * imitation - (weight * q / size_by_task(q, weight)).mean(1)
    np.testing.assert_allclose(loss, expected)


def test_the_scale_carries_no_gradient():
    q = torch.tensor(random.normal(size=(2, 5)), requires_grad=True)
    loss = improvement_loss(q, torch.tensor(TASK), 3, torch.zeros(2), torch.ones(2))
    (gradient,) = torch.autograd.grad(loss.sum(), q)
    np.testing.assert_allclose(gradient, -1 / (5 * size_by_task(q.detach().numpy())))


def test_rewards_a_thousand_times_larger_change_nothing():
    """A task's part of the loss does not depend on the unit of its rewards."""
    q = random.normal(size=(2, 5))
    larger = np.where(TASK == 1, 1000 * q, q)
    arguments = torch.tensor(TASK), 3, torch.zeros(2), torch.ones(2)
    np.testing.assert_allclose(
        improvement_loss(torch.tensor(larger), *arguments), improvement_loss(torch.tensor(q), *arguments)
    )


def test_an_infinite_weight_is_imitation_alone():
    q = torch.tensor(random.normal(size=(2, 5)), requires_grad=True)
    imitation = torch.tensor([0.3, 0.4], dtype=torch.float64, requires_grad=True)
    loss = improvement_loss(q, torch.tensor(TASK), 3, imitation, torch.tensor([float("inf"), 2.0]))
    gradient, of_imitation = torch.autograd.grad(loss.sum(), (q, imitation))
    assert loss[0].item() == 0.3
    assert gradient[0].tolist() == [0.0] * 5
    assert of_imitation.tolist() == [1.0, 2.0]
