"""Small facts of the runs, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac.experiments.report.load import gather
from hcsac.experiments.report.settings_diff import duration, settings_apart, streams
from tests.experiments.report.conftest import NASTY


def test_settings_apart():
    cells = [
        ("a", {"rate": 0.1, "size": 8, "rule": None}),
        ("b", {"rate": 0.2, "size": 8, "rule": None}),
        ("a", {"rate": 0.1, "size": 8, "rule": None}),  # its other seed
        ("c", {"rate": 0.1, "size": 8, "rule": None}),
        ("d", {"rate": 0.1, "size": 8, "rule": "all", "new": 1}),
    ]
    apart = settings_apart(cells)
    assert apart.names == ("rate", "rule", "new")
    assert apart.usual == (0.1, None, None)
    assert apart.rows == [(["a", "c"], (0.1, None, None)), (["b"], (0.2, None, None)), (["d"], (0.1, "all", 1))]
    assert apart.common == {"size": 8}
    assert settings_apart([]) == ((), [], (), {})


names, values = st.sampled_from("xyz"), st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.sampled_from("ab"))


@given(st.lists(st.tuples(st.sampled_from(["p", "q", "r"]), st.dictionaries(names, values)), min_size=1))
def test_every_setting_is_either_apart_or_common(cells):
    apart = settings_apart(cells)
    every = {name for _, settings in cells for name in settings}
    assert set(apart.names) | set(apart.common) == every
    assert not set(apart.names) & set(apart.common)
    assert len({row for _, row in apart.rows}) == len(apart.rows) == len({
        tuple(settings.get(name) for name in apart.names) for _, settings in cells
    })  # fmt: skip
    for label, settings in cells:
        own = tuple(settings.get(name) for name in apart.names)
        assert any(label in labels and row == own for labels, row in apart.rows)


def test_streams(study):
    gathered = gather(study, study.output / "events.jsonl", lambda text: None)
    found = streams(gathered.finished)
    assert [(one.dataset, one.key, one.source, one.target) for one in found] == [
        (level, (NASTY, "hcsac"), *pair)
        for level in ("medium", "replay")
        for pair in (("slide-left", "slide-right"), ("slide-right", "slide-left"))
    ]
    one = found[1]
    assert (one.updates == [100, 200]).all()
    assert (one.borrowed == [10, 20]).all()
    assert (one.least == one.borrowed).all()
    assert one.claimed == pytest.approx([0.9, 0.9])
    assert one.true == pytest.approx([0.3, 0.3])
    assert np.isnan(found[0].true).all()


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (7200, "2.0 h")])
def test_duration(seconds, said):
    assert duration(seconds) == said
