"""Settings that differ and what sharing moved, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac.experiments.report.load import load_study
from hcsac.experiments.report.settings_diff import settings_diff, sharing_series
from tests.experiments.report.conftest import NASTY


def test_settings_apart():
    runs = [
        ("a", {"rate": 0.1, "size": 8, "rule": None}),
        ("b", {"rate": 0.2, "size": 8, "rule": None}),
        ("a", {"rate": 0.1, "size": 8, "rule": None}),  # its other seed
        ("c", {"rate": 0.1, "size": 8, "rule": None}),
        ("d", {"rate": 0.1, "size": 8, "rule": "all", "new": 1}),
    ]
    apart = settings_diff(runs)
    assert apart.names == ("rate", "rule", "new")
    assert apart.usual == (0.1, None, None)
    assert apart.rows == [(["a", "c"], (0.1, None, None)), (["b"], (0.2, None, None)), (["d"], (0.1, "all", 1))]
    assert apart.common == {"size": 8}
    assert settings_diff([]) == ((), [], (), {})


names, values = st.sampled_from("xyz"), st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.sampled_from("ab"))


@given(st.lists(st.tuples(st.sampled_from(["p", "q", "r"]), st.dictionaries(names, values)), min_size=1))
def test_every_setting_is_either_apart_or_common(runs):
    apart = settings_diff(runs)
    every = {name for _, settings in runs for name in settings}
    assert set(apart.names) | set(apart.common) == every
    assert not set(apart.names) & set(apart.common)
    assert len({row for _, row in apart.rows}) == len(apart.rows) == len({
        tuple(settings.get(name) for name in apart.names) for _, settings in runs
    })  # fmt: skip
    for label, settings in runs:
        own = tuple(settings.get(name) for name in apart.names)
        assert any(label in labels and row == own for labels, row in apart.rows)


def test_streams(study):
    loaded = load_study(study, study.output / "events.jsonl", lambda text: None)
    found = sharing_series(loaded.finished)
    assert [(one.dataset, one.key, one.source, one.target) for one in found] == [
        (level, (NASTY, "hcsac"), *pair)
        for level in ("medium", "replay")
        for pair in (("slide-left", "slide-right"), ("slide-right", "slide-left"))
    ]
    one = found[1]
    assert (one.updates == [100, 200]).all()
    assert (one.shared == [10, 20]).all()
    assert (one.lowest == one.shared).all()
    assert one.assigned == pytest.approx([0.9, 0.9])
    assert one.target_reward == pytest.approx([0.3, 0.3])
    assert np.isnan(found[0].target_reward).all()
