"""Callbacks: what they are called with and in which order; errors; that they do not change the run."""

import numpy as np
import pytest

import hcsac
from hcsac.errors import UserError
from hcsac.training import checkpoint, train
from tests.training.conftest import lines, settings, tree


class Recorder(hcsac.Callback):
    """Stores every call; fails in the call that `at` names, in that update."""

    def __init__(self, calls, name="", at=None, update=None):
        self.calls, self.name, self.at, self.update = calls, name, at, update

    def on_start(self, run, start, total):
        self._called("start", None, (run.path, start, total))

    def on_update(self, update):
        self._called("update", update)

    def on_log(self, update, metrics):
        self._called("log", update, metrics)

    def on_share(self, update, records):
        self._called("share", update, records)

    def on_evaluation_start(self, update):
        self._called("evaluation start", update)

    def on_evaluation(self, update, returns):
        self._called("evaluation", update, returns)

    def on_checkpoint(self, update):
        self._called("checkpoint", update)

    def on_end(self, result):
        self._called("end", None, result)

    def close(self, error):
        self._called("close", None, error)

    def _called(self, event, update, content=None):
        self.calls.append((self.name, event, update, content))
        if event == self.at and update == self.update:
            raise Failure(event)


class Failure(Exception):
    pass


def small(slides, path, *callbacks, **given):
    return train("hcsac", slides, path, settings(updates=12), (0, 5), progress=False, callbacks=callbacks, **given)


def test_events_in_order_with_shapes_and_the_content_of_the_files(slides, tmp_path):
    calls = []
    run = small(slides, tmp_path / "run", Recorder(calls))
    events = [(event, update) for _, event, update, _ in calls]
    six = [event for n in (2, 4, 6) for event in [*[("update", k) for k in (n - 1, n)], ("log", n)]]
    shared = lambda n: [("share", n), ("evaluation start", n), ("evaluation", n), ("checkpoint", n)]  # noqa: E731
    twelve = [(event, update + 6) for event, update in six]
    assert events == [("start", None), *six, *shared(6), *twelve, *shared(12), ("end", None), ("close", None)]
    contents = {(event, update): content for _, event, update, content in calls}
    assert contents["start", None] == (run.path, 0, 12)
    assert contents["close", None] is None
    assert contents["end", None] == run.read_json("result.json")
    logged = [record for record in lines(run.path / "metrics.jsonl") if record["update"] == 4]
    metrics = contents["log", 4]
    assert {values.shape for values in metrics.values()} == {(2,)}
    assert logged == [
        {"update": 4, "seed": seed, **{name: values[r] for name, values in metrics.items()}}
        for r, seed in enumerate((0, 5))
    ]
    assert (contents["evaluation", 6].shape, contents["evaluation", 12].shape) == ((2, 2, 2), (2, 2, 3))
    evaluated = [record["returns"] for record in lines(run.path / "evaluations.jsonl") if record["update"] == 12]
    np.testing.assert_allclose(contents["evaluation", 12].reshape(4, 3), evaluated, atol=5e-5)
    assert contents["share", 6] == [r for r in lines(run.path / "sharing.jsonl") if r["update"] == 6]


def test_several_are_called_in_order_and_closed_in_reverse(slides, tmp_path):
    calls = []
    small(slides, tmp_path / "run", Recorder(calls, "first"), Recorder(calls, "second"))
    names = [name for name, event, *_ in calls if event != "close"]
    assert names == ["first", "second"] * (len(names) // 2)
    assert [name for name, event, *_ in calls if event == "close"] == ["second", "first"]


@pytest.mark.parametrize(("at", "update"), [("log", 8), ("evaluation", 12), ("checkpoint", 12), ("end", None)])
def test_an_exception_stops_the_training_and_loses_nothing(at, update, slides, tmp_path):
    whole = small(slides, tmp_path / "whole")
    calls = []
    with pytest.raises(Failure, match=at) as caught:
        small(slides, tmp_path / "run", Recorder(calls), Recorder(calls, "fails", at, update))
    assert [(name, error) for name, event, _, error in calls if event == "close"] == [
        ("fails", caught.value), ("", caught.value)
    ]  # fmt: skip
    logged = lines(tmp_path / "run" / "metrics.jsonl")
    assert logged == lines(whole.path / "metrics.jsonl")[: len(logged)]
    assert len(logged) == (8 if at == "log" else 12)
    run = hcsac.RunDirectory(tmp_path / "run")
    assert run.finished == (at == "end")
    assert checkpoint.load(run.checkpoint)[1] == (6 if at == "log" else 12)
    calls.clear()
    small(slides, run.path, Recorder(calls), resume=True)
    start = [content[1] for _, event, _, content in calls if event == "start"]
    assert start == ([] if at == "end" else [6 if at == "log" else 12])
    same = ("metrics.jsonl", "evaluations.jsonl", "sharing.jsonl", "checkpoint.safetensors")
    assert {name: (run.path / name).read_bytes() for name in same} == {
        name: (whole.path / name).read_bytes() for name in same
    }


def test_one_that_cannot_start_closes_those_before_it(slides, tmp_path):
    calls = []
    with pytest.raises(Failure):
        small(slides, tmp_path / "run", *(Recorder(calls, name, at) for name, at in
                                          [("a", None), ("b", "start"), ("c", None)]))  # fmt: skip
    assert [(name, event) for name, event, *_ in calls] == [("a", "start"), ("b", "start"), ("a", "close")]


def test_one_that_fails_to_close_does_not_keep_others_open(slides, tmp_path):
    calls = []
    with pytest.raises(Failure, match="close"):
        small(slides, tmp_path / "run", Recorder(calls, "a"), Recorder(calls, "b", "close"))
    assert [name for name, event, *_ in calls if event == "close"] == ["b", "a"]
    assert hcsac.RunDirectory(tmp_path / "run").finished


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_closes_bar_and_callbacks(interrupt, slides, tmp_path, capsys):
    class Interrupt(hcsac.Callback):
        def on_log(self, update, metrics):
            raise interrupt

    calls = []
    with pytest.raises(interrupt):
        train("bc", slides, tmp_path / "run", settings("bc"), callbacks=[Recorder(calls), Interrupt()])
    assert [type(error) for _, event, _, error in calls if event == "close"] == [interrupt]
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("bc: 24 updates of 16 of 96 transitions; about ")
    assert last.startswith("bc  2/24 updates")  # closing the bar writes the last state


def test_callbacks_change_nothing(finished, slides, tmp_path):
    callbacks = [hcsac.Callback()]
    run = train("hcsac", slides, tmp_path / "other", settings(), (0, 1), progress=False, callbacks=callbacks)
    same = lambda path: {name: content for name, content in tree(path).items()  # noqa: E731
                         if name.parts[0] not in ("tensorboard", "result.json")}  # fmt: skip
    assert same(run.path) == same(finished.path)


def test_something_else_than_a_callback_is_an_error_before_anything_is_written(slides, tmp_path):
    with pytest.raises(UserError, match=r"^callbacks\[1\] is <class .*Recorder'>, not an hcsac\.Callback; derive"):
        small(slides, tmp_path / "run", hcsac.Callback(), Recorder)
    assert not (tmp_path / "run").exists()
