"""Episodes that training leaves out: whole ones, the same every time, and nothing of them is seen."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac.data import Dataset
from hcsac.data.held_out import held_out_episodes, mark_episodes, without
from hcsac.errors import UserError
from tests.conftest import slide_episodes


def counted(**counts):
    """Tasks with so many episodes of one step each, whose reward is their number."""
    total = sum(counts.values())
    return Dataset(
        observations=np.arange(4.0 * total, dtype=np.float32).reshape(2 * total, 2),
        action=np.zeros((total, 1), np.float32),
        reward=np.concatenate([np.arange(count) for count in counts.values()]).astype(np.float32),
        terminated=np.zeros(total, bool),
        task=np.repeat(np.arange(len(counts)), list(counts.values())),
        physics=None,
        episode_start=np.arange(total + 1),
        episode_return=np.concatenate([np.arange(count) for count in counts.values()]).astype(float),
        task_names=tuple(counts),
    )


@given(st.integers(2, 60), st.integers(2, 60), st.floats(0.01, 0.9), st.floats(0.01, 0.9))
def test_a_share_of_each_task(one, other, share, larger):
    data = counted(a=one, b=other)
    found = held_out_episodes(data, share)
    for task, count in (("a", one), ("b", other)):
        assert len(set(found[task])) == len(found[task]) == min(max(round(share * count), 1), count - 1)
        assert found[task] == sorted(found[task])
    more = held_out_episodes(data, max(share, larger))
    assert all(set(found[task]) <= set(more[task]) for task in found)
    kept = without(data, found)
    for m, task in enumerate(("a", "b")):
        rest = set(range((one, other)[m])) - set(found[task])
        assert kept.episode_return[kept.task == m].tolist() == sorted(rest)  # one step each
        assert kept.reward[kept.task == m].tolist() == sorted(rest)


def test_the_order_is_that_of_digests():
    order = sorted(range(20), key=lambda n: hashlib.sha256(str(n).encode()).hexdigest())
    assert held_out_episodes(counted(a=20), 0.25) == {"a": sorted(order[:5])}


def test_whole_episodes_are_left_out(slides):
    chosen = {"slide-left": [1], "slide-right": [0, 3]}
    kept = without(slides, chosen)
    left, right = (slide_episodes(name) for name in ("slide-left", "slide-right"))
    same = Dataset.from_episodes({"slide-left": [left[0], left[2], left[3]], "slide-right": [right[1], right[2]]})
    assert kept.fingerprint() == same.fingerprint()
    assert mark_episodes(slides, chosen).tolist() == [False, True, False, False, True, False, False, True]
    assert without(slides, {}) is slides
    assert held_out_episodes(slides, 0) == {}


def test_what_cannot_be_held_out(slides, tmp_path):
    with pytest.raises(UserError, match="two episodes of each task, and 'b' has only one; log more"):
        held_out_episodes(counted(a=3, b=1), 0.1)
    for chosen in ({"slide-left": [4]}, {"slide-left": [-1]}, {"walk": [0]}):
        with pytest.raises(UserError, match="they are not those of the run"):
            mark_episodes(slides, chosen)
    path = tmp_path / "observations.npy"
    np.save(path, slides.observations)
    mapped = replace(slides, observations=np.load(path, mmap_mode="r"))
    with pytest.raises(UserError, match="train without --map"):
        held_out_episodes(mapped, 0.1)
