"""D*: what it samples, what a row is worth there, and that it is an index."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from hcsac.algorithms.algorithm import generators
from hcsac.data.dataset import Dataset
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.pairs import SharedPairs
from hcsac.sharing.selection import SharedTransitions, shared_pairs
from hcsac.sharing.stratified import draw_from_strata, strata
from tests.conftest import slide_episodes

CPU = torch.device("cpu")


def active(data, rule="keep", seeds=(0,), **named):
    return ActiveDataset(data, 0.99, rule, generators(seeds, 2), CPU, **named)


def test_samples_rows_of_d_under_their_own_task(slides):
    batch = active(slides).sample(500)
    found = {tuple(row): n for n, row in enumerate(np.hstack([slides.observation, slides.action]))}
    for b in range(500):
        n = found[tuple(torch.cat([batch.observation[0, b], batch.action[0, b]]).tolist())]
        assert batch.task[0, b] == slides.task[n]
        assert batch.reward[0, b] == slides.reward[n]
        np.testing.assert_array_equal(batch.next_observation[0, b], slides.next_observation[n])


def pairs_of(data, batch, replica=0):
    """(row of D, task it counts for) of each sample, found by its observation."""
    row_of = {tuple(row): n for n, row in enumerate(data.observation.tolist())}
    rows = [row_of[tuple(row)] for row in batch.observation[replica].tolist()]
    return np.array(rows), batch.task[replica].numpy()


def test_is_uniform_over_own_and_shared_pairs(slides):
    """Chi-square over every pair, the first and the last of D and of the shared pairs included."""
    d = active(slides)
    shared = [(0, 1), (1, 1), (95, 0), (50, 0)]
    d.set_shared([SharedPairs(np.array([n for n, _ in shared]), np.array([i for _, i in shared], np.int16))])
    pairs = [*((n, int(slides.task[n])) for n in range(len(slides))), *shared]
    rows, tasks = pairs_of(slides, d.sample(100_000))
    counts = Counter(zip(rows.tolist(), tasks.tolist(), strict=True))
    assert set(counts) == set(pairs)
    assert chisquare([counts[pair] for pair in pairs]).pvalue > 1e-3


ROW_WEIGHT = np.where(np.arange(96) % 7 == 0, 6.0, 0.5)


def test_pairs_are_drawn_by_the_weight_of_their_row(slides):
    """Chi-square as above, with 96 rows of two weights."""
    d = active(slides, row_weight=ROW_WEIGHT)
    shared = [(0, 1), (1, 1), (95, 0), (50, 0), (49, 0)]
    alone, together = Counter(), Counter()
    for counts, held in ((alone, []), (together, shared)):
        d.set_shared([SharedPairs(np.array([n for n, _ in held], int), np.array([i for _, i in held], np.int16))])
        pairs = [*((n, int(slides.task[n])) for n in range(len(slides))), *held]
        rows, tasks = pairs_of(slides, d.sample(100_000))
        counts.update(zip(rows.tolist(), tasks.tolist(), strict=True))
        assert set(counts) == set(pairs)
        share = np.array([ROW_WEIGHT[n] for n, _ in pairs])
        assert chisquare([counts[pair] for pair in pairs], share / share.sum() * 100_000).pvalue > 1e-3
    rows, tasks = pairs_of(slides, d.sample(100_000, own=True))  # of D alone, with pairs shared
    assert (tasks == slides.task[rows]).all()
    assert chisquare(np.bincount(rows), ROW_WEIGHT / ROW_WEIGHT.sum() * 100_000).pvalue > 1e-3


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("own_fraction", [None, 0.5])
def test_a_uniform_draw_is_that_of_rows_without_weights(own_fraction, own, slides):
    weighted, plain = (active(slides, own_fraction=own_fraction, row_weight=w) for w in (ROW_WEIGHT, None))
    for d in (weighted, plain):
        d.set_shared([SharedPairs(np.arange(30), np.ones(30, np.int16))])
    for ours, theirs in zip(weighted.sample(64, own=own, uniform=True), plain.sample(64, own=own), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_row_weights_leave_other_generators_and_uniform_draws_alone(slides):
    """None draws as ever: the numbers of `torch.randint` from a generator of that seed."""
    row, _ = pairs_of(slides, active(slides).sample(32))
    assert row.tolist() == torch.randint(96, (32,), generator=generators([0], 2)[0]).tolist()


@pytest.mark.parametrize("rule", ["keep", "zero"])
def test_everything_of_a_shared_transition_but_its_reward_is_its_own(rule, slides):
    ended = slides.terminated.copy()
    ended[[5, 60]] = True
    data = replace(slides, terminated=ended)
    d = active(data, rule)
    shared = np.arange(0, 96, 5)
    d.set_shared([SharedPairs(shared, (1 - slides.task[shared]).astype(np.int16))])
    batch = d.sample(3000)
    rows, tasks = pairs_of(slides, batch)
    foreign = tasks != slides.task[rows]
    assert set(rows[foreign]) == set(shared)
    np.testing.assert_array_equal(batch.action[0], slides.action[rows])
    np.testing.assert_array_equal(batch.next_observation[0], slides.next_observation[rows])
    np.testing.assert_array_equal(batch.discount[0], np.where(ended[rows], 0, np.float32(0.99)))
    paid = slides.reward[rows] if rule == "keep" else np.where(foreign, 0, slides.reward[rows])
    np.testing.assert_array_equal(batch.reward[0], paid)
    assert (batch.observation.dtype, batch.reward.dtype, batch.discount.dtype, batch.task.dtype) == (
        torch.float32, torch.float32, torch.float32, torch.int64,
    )  # fmt: skip


def test_each_replica_has_its_own_shared_pairs(slides):
    d = active(slides, seeds=(0, 1, 2))
    shared = [SharedPairs(np.array(rows, np.int64), np.array(tasks, np.int16)) for rows, tasks in
            [([0], [1]), ([], []), ([95] * 30, [0] * 30)]]  # fmt: skip
    d.set_shared(shared)
    batch = d.sample(2000)
    for r, expected in enumerate([{0}, set(), {95}]):
        rows, tasks = pairs_of(slides, batch, r)
        assert set(rows[tasks != slides.task[rows]]) == expected


def test_a_shared_pair_costs_at_most_16_bytes(slides):
    d = active(slides, weighted=True)
    held = {name: tensor.nbytes for name, tensor in vars(d).items() if torch.is_tensor(tensor)}
    d.set_shared([SharedPairs(np.arange(96), (1 - slides.task).astype(np.int16), np.ones(96, np.float32))])
    assert {name: tensor.nbytes for name, tensor in vars(d).items() if torch.is_tensor(tensor)} == held
    assert sum(tensor.nbytes for pair in d.shared for tensor in pair) <= 16 * 96


def test_any_number_of_tasks():
    """The index of a task is never cut off."""
    tasks = 1000
    one = slide_episodes("slide-left", count=1)
    data = Dataset.from_episodes({f"job-{m}": one for m in range(tasks)})
    target = np.arange(tasks)[::-1]
    first = data.episode_start[:-1]
    shared = [SharedTransitions(m, int(target[m]), 1, first[m : m + 1], *[None] * 5) for m in range(tasks)]
    d = active(data)
    d.set_shared([shared_pairs(shared)])
    assert d.shared[0].task.tolist() == target.tolist()
    batch = d.sample(20_000)
    assert set(batch.task[0].tolist()) == set(range(tasks))
    assert (~batch.own).any()


def test_set_shared_starts_again_from_d(slides):
    d = active(slides)
    d.set_shared([SharedPairs(np.array([0]), np.array([1], np.int16))])
    d.set_shared([SharedPairs(np.array([1]), np.array([1], np.int16))])
    assert d.shared[0].row.tolist() == [1]


def test_only_termination_stops_bootstrapping(slides):
    ended = slides.terminated.copy()
    ended[3] = True
    d = active(replace(slides, terminated=ended))
    batch = d.sample(2000)
    rows, _ = pairs_of(slides, batch)
    np.testing.assert_array_equal(batch.discount[0], np.where(rows == 3, 0, np.float32(0.99)))
    assert 3 in rows


def test_shares_the_datasets_memory_on_a_cpu(slides):
    d = active(slides)
    for name in ("observations", "action", "task"):
        assert getattr(d, name).data_ptr() == getattr(slides, name).__array_interface__["data"][0]


def test_chunks_are_all_transitions_in_order(slides):
    observation, action = (torch.cat(part) for part in zip(*active(slides).chunks(7), strict=True))
    np.testing.assert_array_equal(observation, slides.observation)
    np.testing.assert_array_equal(action, slides.action)


@pytest.mark.parametrize("row_weight", [None, ROW_WEIGHT])
def test_replicas_draw_what_they_would_draw_alone(row_weight, slides):
    many, one = (active(slides, seeds=seeds, row_weight=row_weight) for seeds in ((3, 7), (7,)))
    lent = [SharedPairs(np.arange(n), np.ones(n, np.int16)) for n in (9, 4)]
    many.set_shared(lent)
    one.set_shared(lent[1:])
    together, alone = many.sample(32), one.sample(32)
    for both, one in zip(together[:6], alone[:6], strict=True):
        torch.testing.assert_close(both[1:], one, rtol=0, atol=0)


@pytest.mark.parametrize("row_weight", [None, ROW_WEIGHT])
@pytest.mark.parametrize("own_fraction", [None, 0.5])
def test_state_round_trip(own_fraction, row_weight, slides):
    first = active(slides, weighted=True, own_fraction=own_fraction, row_weight=row_weight)
    first.set_shared([SharedPairs(np.array([5, 6]), np.array([1, 1], np.int16), np.array([0.25, 0.75], np.float32))])
    first.sample(8)
    second = active(slides, seeds=(99,), weighted=True, own_fraction=own_fraction, row_weight=row_weight)
    assert second.state().keys() <= first.state().keys()  # row weights are not stored
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    for a, b in zip(first.sample(64), second.sample(64), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("row_weight", [None, ROW_WEIGHT])
def test_weights_go_with_their_pairs(row_weight, slides):
    d = active(slides, seeds=(0, 1), weighted=True, row_weight=row_weight)
    assert (d.sample(16).weight == 1).all()  # nothing shared yet
    shared, weight = np.array([3, 7, 11]), np.array([0.1, 0.2, 0.3], np.float32)
    d.set_shared(
        [SharedPairs(shared, np.ones(3, np.int16), weight), SharedPairs(shared[:0], np.ones(0, np.int16), weight[:0])]
    )
    batch = d.sample(5000)
    rows, tasks = pairs_of(slides, batch)
    expected = dict(zip(shared.tolist(), weight.tolist(), strict=True))
    foreign = tasks != slides.task[rows]
    assert set(rows[foreign]) == set(expected)
    assert batch.weight[0].tolist() == [expected[n] if away else 1 for n, away in zip(rows, foreign, strict=True)]
    assert (batch.weight[1] == 1).all()
    assert active(slides).sample(16).weight is None


class TestOwnFraction:
    """Task 0 has 96 own transitions and 30 shared with it, task 1 has 32 and 4, task 2 has 16 and none."""

    OWN, LENT, FRACTION = np.array([96, 32, 16]), np.array([30, 4, 0]), 0.7

    def draw(self, batch_size, batches, own_fraction):
        held = strata(self.OWN, self.LENT, own_fraction, CPU)
        generator = torch.Generator().manual_seed(0)
        return np.stack([draw_from_strata(held, batch_size, generator).numpy() for _ in range(batches)])

    def parts(self):
        """Places of every task's own and shared pairs, and their share of a minibatch by the definition."""
        ends = np.cumsum([0, *self.OWN, *self.LENT])
        ranges = [np.arange(a, b) for a, b in pairwise(ends)]
        f = self.FRACTION
        return list(zip(ranges, [96 / 144 * f, 32 / 144 * f, 16 / 144, 96 / 144 * (1 - f), 32 / 144 * (1 - f), 0.0],
                        strict=True))  # fmt: skip

    def test_every_minibatch_has_its_shares(self):
        drawn = self.draw(20, 3000, self.FRACTION)
        for places, share in self.parts():
            counts = np.isin(drawn, places).sum(1)
            assert abs(counts - 20 * share).max() < 1
            np.testing.assert_allclose(counts.mean(), 20 * share, atol=0.05)

    def test_rows_of_a_part_are_equally_likely(self):
        """Chi-square within every part, the first and the last row included."""
        drawn = self.draw(20, 6000, self.FRACTION).ravel()
        for places, share in self.parts():
            if share:
                counts = [np.sum(drawn == place) for place in places]
                assert chisquare(counts).pvalue > 1e-3

    @pytest.mark.parametrize(("own_fraction", "seen"), [(0.0, (False, True)), (1.0, (True, False))])
    def test_the_ends_of_its_range(self, own_fraction, seen):
        drawn = self.draw(64, 50, own_fraction)
        assert (np.isin(drawn, np.arange(96)).any(), np.isin(drawn, np.arange(144, 174)).any()) == seen
        assert np.isin(drawn, np.arange(128, 144)).any()  # task 2 has its own rows alone

    def test_a_batch_of_one_still_reaches_everything(self):
        drawn = self.draw(1, 20_000, self.FRACTION).ravel()
        frequencies = [np.isin(drawn, places).mean() for places, _ in self.parts()]
        np.testing.assert_allclose(frequencies, [share for _, share in self.parts()], atol=0.015)

    def test_sharing_does_not_change_the_task_mix(self, slides):
        """All of task 0's rows shared to task 1 make it two thirds of D*, but half of every minibatch all the same."""
        d = active(slides, own_fraction=0.75)
        d.set_shared([SharedPairs(np.arange(48), np.ones(48, np.int16))])
        rows, tasks = pairs_of(slides, d.sample(400))
        assert np.sum(tasks == 1) == 200
        assert np.sum((tasks == 1) & (rows >= 48)) == 150
        assert np.sum((tasks == 0) & (rows < 48)) == 200

    def test_row_weights_count_within_each_part(self, slides):
        """The shares stay to the row, and in every part rows are drawn by their weights."""
        d = active(slides, own_fraction=0.75, row_weight=ROW_WEIGHT)
        d.set_shared([SharedPairs(np.arange(30), np.ones(30, np.int16))])
        rows, tasks = pairs_of(slides, d.sample(40_000))
        own = tasks == slides.task[rows]
        parts = [((tasks == 0) & own, range(48), 20_000), ((tasks == 1) & own, range(48, 96), 15_000),
                 ((tasks == 1) & ~own, range(30), 5_000)]  # fmt: skip
        for part, places, size in parts:
            assert part.sum() == size
            share = ROW_WEIGHT[places] / ROW_WEIGHT[places].sum()
            assert chisquare([np.sum(rows[part] == n) for n in places], share * size).pvalue > 1e-3

    def test_replicas_draw_what_they_would_draw_alone(self, slides):
        shared = [SharedPairs(np.arange(9), np.ones(9, np.int16)), SharedPairs(np.arange(4), np.ones(4, np.int16))]
        many, one = active(slides, seeds=(3, 7), own_fraction=0.5), active(slides, seeds=(7,), own_fraction=0.5)
        many.set_shared(shared)
        one.set_shared(shared[1:])
        for both, alone in zip(many.sample(32)[:6], one.sample(32)[:6], strict=True):
            torch.testing.assert_close(both[1:], alone, rtol=0, atol=0)
