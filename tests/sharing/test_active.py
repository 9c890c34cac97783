"""D*: what it samples, what a row is worth there, and that it is an index."""

import numpy as np
import pytest
import torch

from hcsac.agents.base import generators
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.rewards import reward_table
from hcsac.sharing.rules import Borrowed

CPU = torch.device("cpu")


def active(data, rule="keep", seeds=(0,)):
    return ActiveDataset(data, 0.99, rule, generators(seeds, 2), CPU)


def test_samples_rows_of_d_under_their_own_task(slides):
    batch = active(slides).sample(500)
    found = {tuple(row): n for n, row in enumerate(np.hstack([slides.observation, slides.action]))}
    for b in range(500):
        n = found[tuple(torch.cat([batch.observation[0, b], batch.action[0, b]]).tolist())]
        assert batch.task[0, b] == slides.task[n]
        assert batch.reward[0, b] == slides.reward[n]
        np.testing.assert_array_equal(batch.next_observation[0, b], slides.next_observation[n])


def test_is_uniform_over_own_and_borrowed_pairs(slides):
    d = active(slides)
    rows = np.array([0, 1, 50])
    d.set_borrowed([Borrowed(rows, np.array([1, 1, 0], np.int8))])
    assert d.borrowed[0][0].shape == (3,)
    batch = d.sample(200_000)
    size = len(slides) + 3
    lent = sum(
        ((batch.observation[0] == torch.tensor(slides.observation[n])).all(-1) & (batch.task[0] == i)).sum().item()
        for n, i in [(0, 1), (1, 1), (50, 0)]
    )
    expected = 200_000 * 3 / size
    assert abs(lent - expected) < 5 * np.sqrt(expected)


def test_setting_borrowed_starts_again_from_d(slides):
    d = active(slides)
    d.set_borrowed([Borrowed(np.array([0]), np.array([1], np.int8))])
    d.set_borrowed([Borrowed(np.array([1]), np.array([1], np.int8))])
    assert d.borrowed[0][0].tolist() == [1]


@pytest.mark.parametrize(("rule", "worth"), [("keep", 1.0), ("zero", 0.0)])
def test_reward_of_a_borrowed_row(rule, worth):
    reward, task = torch.tensor([1.0, 2.0]), torch.tensor([0, 1])
    table = reward_table(reward, task, 2, rule)
    assert table.tolist() == [[1.0, worth], [2.0 * worth, 2.0]]


def test_keeping_rewards_takes_no_memory():
    reward = torch.arange(1000.0)
    assert reward_table(reward, torch.zeros(1000, dtype=torch.int64), 50, "keep").data_ptr() == reward.data_ptr()


def test_only_termination_stops_bootstrapping(slides):
    from dataclasses import replace

    ended = slides.terminated.copy()
    ended[3] = True
    d = active(replace(slides, terminated=ended))
    assert d.discount[3] == 0
    assert d.discount.sum().item() == pytest.approx(0.99 * (len(slides) - 1))


def test_replicas_draw_what_they_would_draw_alone(slides):
    together, alone = active(slides, seeds=(3, 7)).sample(32), active(slides, seeds=(7,)).sample(32)
    for both, one in zip(together, alone, strict=True):
        torch.testing.assert_close(both[1:], one, rtol=0, atol=0)


def test_state_round_trip(slides):
    first = active(slides)
    first.set_borrowed([Borrowed(np.array([5, 6]), np.array([1, 1], np.int8))])
    first.sample(8)
    second = active(slides, seeds=(99,))
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    for a, b in zip(first.sample(64), second.sample(64), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
