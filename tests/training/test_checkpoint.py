"""Checkpoints: whole or not at all, and corrupt ones named."""

from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import save_file

from hcsac.errors import UserError
from hcsac.policy import load_policy
from hcsac.training import Callback, RunDirectory, checkpoint, train
from tests.training.conftest import settings, tree


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"a": torch.ones(3)}, 7)

    def half(tensors, file, metadata):
        file.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(UserError, match=r"cannot write .*checkpoint\.safetensors \(No space left .*\); free"):
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
    flipped = whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]
    with_flip = (whole[:100], whole[:-10], b"", b"x" * 1000, flipped)
    for content in with_flip:
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


@given(st.data())
def test_a_flipped_bit_is_found_or_changes_nothing(tmp_path_factory, data):
    state = {"a/w": torch.arange(6.0).reshape(2, 3), "a/flag": torch.tensor(True), "b/n": torch.tensor([7])}
    path = tmp_path_factory.mktemp("run") / "checkpoint.safetensors"
    checkpoint.save(path, state, 120)
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    with suppress(UserError):
        found, update = checkpoint.load(path)
        assert update == 120
        assert found.keys() == state.keys()
        assert all(torch.equal(found[name], state[name]) for name in state)


def test_a_run_goes_on_from_the_checkpoint_before_a_corrupt_one(finished, slides, tmp_path):
    class Stop(Callback):
        def on_checkpoint(self, update):
            if update == 18:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("hcsac", slides, tmp_path / "other", settings(), (0, 1), progress=False, callbacks=[Stop()])
    run = RunDirectory(tmp_path / "other")
    run.checkpoint.write_bytes(run.checkpoint.read_bytes()[:-3])
    notes = []

    class Listen(Callback):
        def on_start(self, run, start, total):
            assert start == 12

        def on_note(self, text):
            notes.append(text)

    train("hcsac", slides, run.path, settings(), (0, 1), True, progress=False, callbacks=[Listen()])
    assert len(notes) == 1
    assert notes[0].endswith("The run goes on from the checkpoint before, of update 12.")
    assert run.checkpoint.read_bytes() == finished.checkpoint.read_bytes()


def test_files_of_a_run_can_be_read_by_whoever_may_read_the_others(finished):
    modes = {path.name: path.stat().st_mode for path in finished.path.iterdir() if path.is_file()}
    assert modes["checkpoint.safetensors"] == modes["metrics.jsonl"]
