"""The numbers of every training stay what they were."""

import json

import pytest

from tests.golden.weights import FILE, described, trained, trainings

KEPT = json.loads(FILE.read_text())


@pytest.mark.parametrize("label", trainings())
def test_weights_after_200_updates_are_what_they_were(label):
    now = described(trained(*trainings()[label]))
    assert now.keys() == KEPT[label].keys()
    for name, (digest, mean, size) in now.items():
        before = KEPT[label][name]
        if digest != before[0]:  # another kind of machine: rounding apart
            assert mean == pytest.approx(before[1], rel=1e-3, abs=1e-4 + 1e-3 * before[2]), name
            assert size == pytest.approx(before[2], rel=1e-3, abs=1e-4), name
