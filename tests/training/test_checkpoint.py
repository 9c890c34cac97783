"""Checkpoints: whole or not at all, and corrupt ones named."""

import pytest
import torch
from safetensors.torch import save_file

from hcsac.errors import UserError
from hcsac.policy import load_policy
from hcsac.training import checkpoint, train
from tests.training.conftest import settings, tree


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"a": torch.ones(3)}, 7)

    def half(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, {"a": torch.zeros(3)}, 8)
    state, update = checkpoint.load(path)
    assert (state["a"].tolist(), update) == ([1, 1, 1], 7)


def test_parts_of_a_state_join_and_part_again():
    parts = {"agent": {"x.1": torch.ones(1), "agent/y": torch.zeros(1)}, "active": {"x.1": torch.zeros(2)}}
    joined = checkpoint.join(**parts)
    assert {name: checkpoint.part(joined, name) for name in parts} == parts


def test_a_corrupt_checkpoint_is_an_error_and_stays(finished, slides):
    (finished.path / "result.json").unlink()
    whole = finished.checkpoint.read_bytes()
    for content in (whole[:100], whole[:-10], b"", b"x" * 1000):
        finished.checkpoint.write_bytes(content)
        before = tree(finished.path)
        with pytest.raises(UserError, match=r"checkpoint.safetensors is corrupt"):
            load_policy(finished.path)
        with pytest.raises(UserError, match=r"checkpoint.safetensors is corrupt"):
            train("hcsac", slides, finished.path, settings(), seeds=(0, 1), resume=True, progress=False)
        assert tree(finished.path) == before
    save_file({"a": torch.zeros(1)}, finished.checkpoint)  # somebody else's
    with pytest.raises(UserError, match=r"checkpoint.safetensors is corrupt"):
        load_policy(finished.path)
