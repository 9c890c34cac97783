"""The choice among candidates against NumPy."""

import numpy as np
import pytest
import torch

from hcsac.losses.choice import best_candidate, lower_bound, shared_earn_more, value_spread

random = np.random.default_rng(0)


def test_the_highest_mean_value_is_taken():
    value = random.normal(size=(5, 4, 3, 6))
    assert best_candidate(torch.tensor(value)).tolist() == value.mean((2, 3)).argmax(1).tolist()


def test_the_first_of_those_within_the_margin_is_taken():
    mean = np.array([[9.7, 9.9, 10.0], [9.9, 10.0, 9.8], [10.0, 9.9, 5.0], [-10.3, -10.1, -10.0], [0.0, 0.0, -1.0]])
    value = torch.tensor(mean)[:, :, None, None].expand(-1, -1, 2, 3)
    assert best_candidate(value, margin=0.02).tolist() == [1, 0, 0, 1, 0]
    assert best_candidate(value, margin=0.05).tolist() == [0, 0, 0, 0, 0]
    assert best_candidate(value).tolist() == [2, 1, 0, 2, 0]
    allowed = torch.ones(5, 3, dtype=torch.bool)
    allowed[0, 2] = allowed[1, 0] = False
    assert best_candidate(value, None, allowed, 0.02).tolist() == [1, 1, 0, 1, 0]
    drawn = random.normal(size=(50, 4, 3, 6))
    for margin in (0.0, 0.1, 0.5):
        best = drawn.mean((2, 3))
        near = best >= (best.max(1) - margin * abs(best.max(1)))[:, None]
        assert best_candidate(torch.tensor(drawn), margin=margin).tolist() == near.argmax(1).tolist()


def test_only_allowed_candidates_are_taken():
    value = random.normal(size=(5, 4, 3, 6))
    allowed = random.random((5, 4)) < 0.5
    allowed[:, 0] = True
    best = best_candidate(torch.tensor(value), allowed=torch.tensor(allowed))
    assert best.tolist() == np.where(allowed, value.mean((2, 3)), -np.inf).argmax(1).tolist()


def test_the_spread_of_values_is_relative_to_their_size_in_the_task():
    value, task = random.normal(3, 2, size=(2, 40)), random.integers(0, 2, size=(2, 40))
    spread = value_spread(torch.tensor(value), torch.tensor(task), 3)
    for r in range(2):
        for m in range(2):
            own = value[r, task[r] == m]
            assert spread[r, m].item() == pytest.approx(own.std() / np.abs(own).mean())
    assert spread[:, 2].tolist() == [0, 0]  # a task without rows
    scaled = value_spread(torch.tensor(-7 * value), torch.tensor(task), 3)
    torch.testing.assert_close(scaled, spread)


def test_the_spread_counts_rows_by_their_weights():
    value, task, own = (
        random.normal(3, 2, size=(2, 40)),
        random.integers(0, 2, size=(2, 40)),
        random.random((2, 40)) < 0.5,
    )
    spread = value_spread(torch.tensor(value), torch.tensor(task), 2, torch.tensor(own).double())
    for r in range(2):
        for m in range(2):
            of_task = value[r, (task[r] == m) & own[r]]
            assert spread[r, m].item() == pytest.approx(of_task.std() / np.abs(of_task).mean())


def test_shared_rows_earn_more_where_their_mean_reward_is_higher():
    reward, task = random.normal(-1, 1, size=(6, 60)), random.integers(0, 2, size=(6, 60))
    own = (random.random((6, 60)) < 0.5) | (task == 1) & (np.arange(6) == 0)[:, None]  # nothing shared with one task
    more = shared_earn_more(torch.tensor(reward), torch.tensor(task), torch.tensor(own), 3)
    assert more[:, 2].tolist() == [False] * 6  # a task without rows
    assert not more[0, 1]
    for r, m in np.ndindex(6, 2):
        if (r, m) != (0, 1):
            mine, others = (reward[r, (task[r] == m) & (own[r] == of)].mean() for of in (True, False))
            assert more[r, m] == (others > mine)
    assert 0 < more.sum() < 11


def test_lower_bound():
    d = random.normal(0.3, 1, size=(4, 3, 7))
    error = np.sqrt(d.mean(1).var(-1, ddof=1) / 7 + d.mean(2).var(-1, ddof=1) / 3)
    np.testing.assert_allclose(lower_bound(torch.tensor(d)), d.mean((1, 2)) - 1.645 * error)
    one = lower_bound(torch.tensor(d[:, :1, :1]))
    np.testing.assert_allclose(one, d[:, 0, 0])


def test_the_clone_stays_where_a_better_one_is_not_sure():
    """Candidate 1 is better than the clone, candidate 0, by 0.5 everywhere, or by 0.5 with a large spread."""
    clone = random.normal(size=(1, 1, 2, 50))
    sure, unsure = clone + 0.5, clone + 0.5 + random.normal(0, 20, size=clone.shape)
    value = torch.tensor(np.concatenate([np.concatenate([clone, sure], 1), np.concatenate([clone, unsure], 1)]))
    assert best_candidate(value, 0)[0] == 1
    assert best_candidate(value, 0)[1] == 0
    worse = torch.tensor(np.concatenate([clone, clone - 1], 1))
    assert best_candidate(worse, 0).tolist() == [0]
