"""An interrupted run ends as an uninterrupted one, wherever it was interrupted."""

import pytest
import torch

from hcsac.training import Callback, RunDirectory, checkpoint, loop, setup, train
from tests.training.conftest import lines, settings


class Stop(Exception):
    pass


def stop_at(call, count):
    """`call`, which breaks off when it is called for the time after `count`."""
    calls = iter(range(10_000))

    def breaking(*arguments, **named):
        if next(calls) == count:
            raise Stop
        return call(*arguments, **named)

    return breaking


def in_update(patch, count):
    make = setup.make_algorithm

    def fragile(*arguments, **named):
        agent = make(*arguments, **named)
        agent.advance = stop_at(agent.advance, count)
        return agent

    patch.setattr(setup, "make_algorithm", fragile)


def before_result(patch, _):
    write = RunDirectory.write_json

    def fragile(self, name, content):
        if name == "result.json":
            raise Stop
        write(self, name, content)

    patch.setattr(RunDirectory, "write_json", fragile)


PLACES = {  # updates are logged every 2nd, shared and evaluated every 6th
    "before the first checkpoint": lambda patch: in_update(patch, 3),
    "between evaluations": lambda patch: in_update(patch, 15),
    "in an evaluation": lambda patch: patch.setattr(loop.Evaluator, "__call__", stop_at(loop.Evaluator.__call__, 2)),
    "after an evaluation is logged": lambda patch: patch.setattr(checkpoint, "save", stop_at(checkpoint.save, 2)),
    "while sharing": lambda patch: patch.setattr(loop.Sharer, "__call__", stop_at(loop.Sharer.__call__, 2)),
    "between ledger and records": lambda patch: patch.setattr(
        setup.JSONLLog, "on_share", stop_at(setup.JSONLLog.on_share, 2)
    ),
    "in the last evaluation": lambda patch: patch.setattr(
        loop.Evaluator, "__call__", stop_at(loop.Evaluator.__call__, 3)
    ),
    "after the last checkpoint": lambda patch: before_result(patch, 0),
}


RULES = [
    {"sharing": "all"}, {"sharing": "uds", "own_fraction": 0.5}, {"sharing": "cds"},
    {"sharing": "cds", "cds_soft": True}, {"sharing": "cds", "cds_soft": True, "own_fraction": 0.3},
    {"start_weight": 8, "start_steps": 3, "sparse_weight": 4}, {"start_weight": 8, "own_fraction": 0.5},
    {"sharing": "nearby", "nearby_count": 2}, {"sharing": "advantage"}, {"sharing": "common", "common_count": 3},
    {"sharing": "utds", "critics": 5}, {"share": "slide-left:slide-right", "own_fraction": 0.9},
]  # fmt: skip


@pytest.mark.parametrize(
    ("agent", "place", "changes"),
    [
        *(("hcsac", place, {}) for place in PLACES),
        ("bc", "between evaluations", {}),
        ("mtcsac", "between evaluations", {}),
        ("td3_bc", "between evaluations", {"start_weight": 8, "start_steps": 3, "sparse_weight": 4}),
        *(("hcsac", "between evaluations", rule) for rule in RULES),
    ],
    ids=str,
)
def test_an_interrupted_run_ends_as_an_uninterrupted_one(agent, place, changes, slides, tmp_path):
    given = {"settings": settings(agent, **changes), "seeds": (0, 5), "progress": False}
    whole = train(agent, slides, tmp_path / "whole", **given)
    with pytest.MonkeyPatch.context() as patch:
        PLACES[place](patch)
        with pytest.raises(Stop):
            train(agent, slides, tmp_path / "broken", **given)
    assert not RunDirectory(tmp_path / "broken").finished
    if (tmp_path / "broken" / "metrics.jsonl").exists():
        with open(tmp_path / "broken" / "metrics.jsonl", "a") as file:
            file.write('{"update": 15, "se')  # killed while writing
    broken = train(agent, slides, tmp_path / "broken", resume=True, **given)

    assert broken.finished
    assert broken.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    records = {p.name: p.read_text() for p in whole.path.glob("*.jsonl")}
    assert {p.name: p.read_text() for p in broken.path.glob("*.jsonl")} == records
    assert set(records) == {"metrics.jsonl", "evaluations.jsonl"} | ({"sharing.jsonl"} if agent == "hcsac" else set())
    ledger = {p.name: p.read_bytes() for p in whole.path.glob("sharing/*")}
    assert {p.name: p.read_bytes() for p in broken.path.glob("sharing/*")} == ledger
    steps = (0,) if changes.get("sharing") in ("all", "uds", "utds", "common") else (6, 12, 18, 24)
    assert set(ledger) == ({f"{n}.safetensors" for n in (*steps, "rows")} if agent == "hcsac" else set())
    for name in records:
        updates = [r["update"] for r in lines(broken.path / name)]
        assert updates == sorted(updates)


def test_a_checkpoint_of_another_kind_of_device_goes_on_with_new_random_numbers(slides, tmp_path):
    """A generator of a GPU has 16 bytes; the settings of such a run say `cuda`."""
    run = RunDirectory(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        in_update(patch, 15)
        with pytest.raises(Stop):
            train("hcsac", slides, run.path, settings(), (0, 5), progress=False)
    state, update = checkpoint.load(run.checkpoint)
    for name in ("agent/noise.0", "agent/noise.1", "active/sampler.0", "active/sampler.1"):
        state[name] = state[name][:16].clone()
    checkpoint.save(run.checkpoint, state, update)
    identity = run.identity()
    identity["settings"]["device"] = "cuda"
    run.write_json("run.json", identity)
    notes = []

    class Listen(Callback):
        def on_note(self, text):
            notes.append(text)

    train("hcsac", slides, run.path, settings(), (0, 5), True, progress=False, callbacks=[Listen()])
    assert run.finished
    assert [note.split(":")[0] for note in notes] == ["the checkpoint is of another kind of device"]
    seeds = checkpoint.load(run.checkpoint)[0]
    assert not torch.equal(seeds["active/sampler.0"], seeds["active/sampler.1"])
