"""Bundles that cannot be read: each one sentence."""

import json
import shutil

import numpy as np
import pytest
from safetensors.torch import load_file, save

from hcsac.errors import UserError
from hcsac.policy import evaluate, load_policy
from hcsac.policy.bundle import digest


@pytest.fixture
def bundle(exported, tmp_path):
    return shutil.copytree(exported.path / "policy", tmp_path / "policy")


def edit(bundle, **changes):
    metadata = json.loads((bundle / "policy.json").read_text()) | changes
    kept = {key: value for key, value in metadata.items() if value is not None}
    (bundle / "policy.json").write_text(json.dumps(kept))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda b: edit(b, format=2), "made by a newer hcsac .bundle format 2, this one reads 1.; upgrade hcsac"),
        (lambda b: edit(b, format=None), "policy.json is corrupt"),
        (lambda b: (b / "policy.json").write_text("[]"), "policy.json is corrupt"),
        (lambda b: (b / "policy.json").write_text("{"), "policy.json is corrupt"),
        (lambda b: (b / "policy.json").write_bytes(b"\xff\xfe"), "policy.json is corrupt"),
        (lambda b: edit(b, files=None), "policy.json is corrupt .'files'.; export the run again"),
        (lambda b: edit(b, tasks=[3]), "policy.json is corrupt"),
        (lambda b: edit(b, settings=None), "policy.json is corrupt .it has no 'settings'"),
        (lambda b: edit(b, observation_size=4), "policy.safetensors is corrupt"),
        (lambda b: edit(b, agent="hcsak"), "did you mean 'hcsac'"),
        (lambda b: (b / "policy.safetensors").unlink(), "cannot read .*policy.safetensors"),
        (lambda b: (b / "policy.safetensors").write_bytes(b""), "policy.safetensors is corrupt"),
    ],
)
def test_corrupt_and_newer_bundles_are_errors(bundle, spoil, says):
    spoil(bundle)
    for read in (load_policy, evaluate):
        with pytest.raises(UserError, match=says) as caught:
            read(bundle)
        assert "\n" not in str(caught.value)


def test_other_tensors_than_those_written_are_refused(bundle):
    """One bit of one weight, and a whole file of somebody else's."""
    file = bundle / "policy.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"policy\.safetensors is corrupt .*; export the run again"):
        load_policy(bundle)
    content[-1] ^= 1
    file.write_bytes(content)
    tensors = load_file(file)
    del tensors["scaling.mean"]
    file.write_bytes(save(tensors))
    edit(bundle, files={"policy.safetensors": digest(file.read_bytes())})
    with pytest.raises(UserError, match=r"policy\.safetensors is corrupt .*scaling\.mean"):
        load_policy(bundle)


def test_settings_that_a_later_version_adds_do_not_matter(bundle):
    before = load_policy(bundle).act(np.ones(3), "slide-left")
    metadata = json.loads((bundle / "policy.json").read_text())
    edit(bundle, settings={**metadata["settings"], "invented_later": 3}, also="this")
    np.testing.assert_array_equal(load_policy(bundle).act(np.ones(3), "slide-left"), before)
