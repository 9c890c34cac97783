"""Run directories: what is refused, that nothing is overwritten, and what they show of a run."""

import errno
import json
import re
import tempfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac import files
from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.policy import evaluate, load_policy
from hcsac.training import RunDirectory, last_returns, train
from tests.conftest import slide_episodes
from tests.training.conftest import lines, off_by_one, settings, tree


def test_a_finished_run_is_returned_untouched(finished, slides):
    before = tree(finished.path)
    train("hcsac", slides, finished.path, settings(), seeds=(0, 1), resume=True, progress=False)
    assert tree(finished.path) == before


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({}, "already contains a run.*--resume"),
        ({"resume": True, "seeds": (0, 2)}, r"contains another run \(seeds: \[0, 1\], not \[0, 2\]\)"),
        (
            {"resume": True, "settings": settings(discount=0.5)},
            r"\(setting discount: 0.99, not 0.5\); choose another directory, or give the same settings",
        ),
        ({"resume": True, "agent": "mtcsac", "settings": settings("mtcsac")}, r"\(algorithm: 'hcsac', not 'mtcsac'\)"),
        ({"resume": True, "data": lambda d: replace(d, reward=d.reward + 1)}, "fingerprint of the data: "),
        ({"resume": True, "data": lambda d: d.select(["slide-right", "slide-left"])}, "tasks: "),
    ],
)
def test_another_run_is_refused_and_nothing_is_touched(finished, slides, call, says):
    before = tree(finished.path)
    given = {"agent": "hcsac", "settings": settings(), "seeds": (0, 1), "progress": False} | call
    data = given.pop("data", lambda d: d)(slides)
    with pytest.raises(UserError, match=says):
        train(given.pop("agent"), data, finished.path, **given)
    assert tree(finished.path) == before


def test_a_foreign_directory_is_refused(slides, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for place, says in [
        (tmp_path, "exists and is not a run"),
        (tmp_path / "thesis.tex", "exists and is not a run"),
        (tmp_path / "thesis.tex" / "run", "cannot write to"),
    ]:
        for resume in (False, True):
            before = tree(tmp_path)
            with pytest.raises(UserError, match=says):
                train("bc", slides, place, settings("bc"), resume=resume, progress=False)
            assert tree(tmp_path) == before


def test_an_empty_directory_is_taken(slides, tmp_path):
    (tmp_path / "run").mkdir()
    assert train("bc", slides, tmp_path / "run", settings("bc", updates=2), progress=False).finished


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"agent": "hcsak"}, "did you mean 'hcsac'"),
        ({"agent": "csac"}, "csac learns one task"),
        ({"seeds": ()}, "each given once"),
        ({"seeds": (1, 1)}, "each given once"),
        ({"seeds": (-1,)}, "from 0 to"),
        ({"seeds": (2**60,)}, "from 0 to"),
        ({"data": ["lab/none-v0"]}, "lab/none-v0"),
        ({"data": Dataset.from_episodes({"slide-lift": slide_episodes("slide-left")})}, "did you mean 'slide-left'"),
        ({"data": Dataset.from_episodes({"walker-walk": slide_episodes("slide-left")})},
         "observation size is 3 in the data, but 24 in task 'walker-walk'"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_written(slides, tmp_path, changes, says):
    before = tree(tmp_path)
    given = {"agent": "hcsac", "data": slides, "settings": settings(), "progress": False} | changes
    with pytest.raises(UserError, match=says) as caught:
        train(given.pop("agent"), given.pop("data"), tmp_path / "run", **given)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == before
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_checkpoint_or_with_a_corrupt_file_is_an_error(finished):
    finished.checkpoint.unlink()
    with pytest.raises(UserError, match="has no checkpoint yet"):
        load_policy(finished.path)
    for content in ("{", "[]", ""):
        (finished.path / "run.json").write_text(content)
        with pytest.raises(UserError, match=r"run\.json is corrupt"):
            evaluate(finished.path)


def test_a_setting_younger_than_the_run_had_its_default(slides, tmp_path):
    run = train("hcsac", slides, tmp_path / "run", settings(), progress=False)
    content = json.loads((run.path / "run.json").read_text())
    del content["settings"]["bc_weight"]
    (run.path / "run.json").write_text(json.dumps(content))
    train("hcsac", slides, tmp_path / "run", settings(), resume=True, progress=False)
    with pytest.raises(UserError, match=r"\(setting bc_weight: 0.0, not 2.0\)"):
        train("hcsac", slides, tmp_path / "run", settings(bc_weight=2.0), resume=True, progress=False)


def test_what_was_given_stands_beside_what_it_resolved_to(slides, tmp_path):
    identity = train("hcsac", slides, tmp_path / "run", settings(sharing="uds"), progress=False).identity()
    assert (identity["given"]["reward_rule"], identity["settings"]["reward_rule"]) == (None, "zero")
    assert (identity["given"]["target_pessimism"], identity["settings"]["target_pessimism"]) == (None, "min")
    assert identity["given"].keys() == identity["settings"].keys()
    assert identity["plugins"] == []


def test_off_by_one_is_part_of_what_a_run_is(slides, tmp_path):
    train("bc", slides, tmp_path / "run", settings("bc"), progress=False)
    with pytest.raises(UserError, match=r"\(alignment: 'correct', not 'off_by_one'\)"):
        train("bc", off_by_one(), tmp_path / "run", settings("bc"), resume=True, progress=False)


def corrupted(path, at, line=b'{"update": 6, "seed'):
    """Replace one line of the file."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:at], line + b"\n", *lines[at + 1 :]]))


CORRUPT = [b'{"update": 6, "seed', b"", b"\xff\xfe\x00", b"null", b"[1]", b'{"seed": 1}', b'{"update": "six"}']


@pytest.mark.parametrize("corrupt", CORRUPT, ids=str)
def test_corrupt_lines_are_skipped_and_counted(finished, corrupt):
    whole = list(finished.lines("metrics.jsonl"))
    assert finished.corruption() == []
    corrupted(finished.path / "metrics.jsonl", 4, corrupt)
    assert list(finished.lines("metrics.jsonl")) == whole[:4] + whole[5:]
    assert finished.corruption() == ["metrics.jsonl: 1 corrupt line skipped"]
    corrupted(finished.path / "metrics.jsonl", 0, corrupt)
    corrupted(finished.path / "sharing.jsonl", -1 + len(list(finished.lines("sharing.jsonl"))), corrupt)
    assert finished.corruption() == ["metrics.jsonl: 2 corrupt lines skipped", "sharing.jsonl: 1 corrupt line skipped"]


def test_a_line_still_being_written_is_not_corrupt(finished):
    with open(finished.path / "metrics.jsonl", "a") as file:
        file.write('{"update": 26, "se')
    assert finished.corruption() == []
    assert [record["update"] for record in finished.tail("metrics.jsonl")] == [24]


@given(before=st.lists(st.sampled_from([None, *CORRUPT]), max_size=6), limit=st.integers(-1, 6))
def test_forgetting_keeps_what_lies_before_the_checkpoint(before, limit):
    """Line n is either the record of update n or corrupt; a corrupt line belongs to the record after it."""
    lines = [b'{"update": %d, "seed": 0}' % n if corrupt is None else corrupt for n, corrupt in enumerate(before)]
    good = [n for n, corrupt in enumerate(before) if corrupt is None and n <= limit]
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(folder)
        path = run.path / "metrics.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines) + b'{"update": 0, "cut')
        run.forget_after(limit)
        assert path.read_bytes() == b"".join(line + b"\n" for line in lines[: good[-1] + 1 if good else 0])
        assert [record["update"] for record in run.lines("metrics.jsonl")] == good
        assert [record["update"] for record in run.tail("metrics.jsonl")] == good[-1:]
        assert run.corruption() == [
            f"metrics.jsonl: {count} corrupt line{'s' if count > 1 else ''} skipped"
            for count in [len(before[: good[-1] + 1]) - len(good) if good else 0]
            if count
        ]


def test_a_run_with_a_corrupt_line_is_trained_to_its_end(slides, tmp_path):
    whole = train("bc", slides, tmp_path / "run", settings("bc"), progress=False)
    corrupted(whole.path / "metrics.jsonl", 1)
    (whole.path / "result.json").unlink()
    train("bc", slides, whole.path, settings("bc"), resume=True, progress=False)
    assert [record["update"] for record in whole.lines("metrics.jsonl")] == [2, *range(6, 25, 2)]
    assert whole.corruption() == ["metrics.jsonl: 1 corrupt line skipped"]


@pytest.mark.parametrize("name", ["metric.jsonl", "run.json", "../run.json", ""])
def test_another_name_than_that_of_a_jsonl_file_is_an_error(finished, name):
    for call in (finished.lines, lambda name: list(finished.tail(name)), lambda name: finished.append(name, [])):
        with pytest.raises(UserError, match=r"^unknown file of a run"):
            call(name)
    with pytest.raises(UserError, match=r"did you mean 'metrics\.jsonl'\?$"):
        finished.lines("metric.jsonl")


def test_another_name_than_that_of_a_json_file_is_an_error(finished):
    for call in (finished.read_json, lambda name: finished.write_json(name, {})):
        with pytest.raises(UserError, match=r"^unknown file of a run 'results\.json'; did you mean 'result\.json'\?$"):
            call("results.json")


def test_a_path_that_is_no_run_is_one_sentence(exported, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.json").touch()
    for path, what in (
        (tmp_path / "nowhere", "it does not exist"),
        (tmp_path / "file", "it is a file"),
        (tmp_path, "it contains neither a run nor a policy nor a study"),
        (tmp_path / "study", "it is a study of several runs"),
        (exported.path / "policy", "it is a policy bundle"),
    ):
        expected = f"no run found at {path}: {what}; pass the directory of a run, as `hcsac train` writes it."
        for call in (RunDirectory.identity, RunDirectory.metrics, RunDirectory.evaluations):
            with pytest.raises(UserError, match="^" + re.escape(expected) + "$"):
                call(RunDirectory(path))
        assert repr(RunDirectory(path)).endswith(expected)


def test_a_result_that_is_not_there_yet_is_another_error(finished):
    (finished.path / "result.json").unlink()
    with pytest.raises(UserError, match=r"run has no result\.json yet; train it to its end\.$"):
        finished.read_json("result.json")


def test_metrics_as_a_table(finished):
    records = list(finished.lines("metrics.jsonl"))
    table = finished.metrics()
    assert table.column_names == list(records[0])
    assert [str(field.type) for field in table.schema] == ["int64", "int64"] + ["double"] * (len(records[0]) - 2)
    assert table.to_pylist() == records
    finished.append("metrics.jsonl", [{"update": 26, "seed": 0, "delayed": 1}])  # a metric of some updates only
    table = finished.metrics()
    assert table["delayed"].to_pylist() == [None] * len(records) + [1.0]
    assert table["q"].to_pylist()[-1] is None


def test_evaluations_as_a_table(finished):
    table = finished.evaluations()
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("update", "int64"), ("seed", "int64"), ("task", "string"), ("episode", "int64"), ("return", "double")
    ]  # fmt: skip
    assert table.num_rows == 3 * 2 * 2 * 2 + 2 * 2 * 3
    last = [row for row in table.to_pylist() if row["update"] == 24 and row["task"] == "slide-left"]
    assert [(row["seed"], row["episode"]) for row in last] == [(seed, e) for seed in (0, 1) for e in range(3)]
    np.testing.assert_array_equal([row["return"] for row in last], last_returns(finished, "slide-left").reshape(-1))


def test_tables_of_a_run_without_records_are_empty(finished):
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        (finished.path / name).unlink()
    assert (finished.metrics().num_rows, finished.metrics().column_names) == (0, ["update", "seed"])
    assert finished.evaluations().num_rows == 0


def test_repr(finished):
    means = {task: last_returns(finished, task).mean() for task in ("slide-left", "slide-right")}
    last = "  mean returns of the last evaluation: " + ", ".join(f"{task} {mean:.1f}" for task, mean in means.items())
    head = [f"RunDirectory({str(finished.path)!r})", "  hcsac on slide-left, slide-right"]
    assert repr(finished).splitlines() == [*head, "  seeds 0, 1, finished after 24 updates", last]
    (finished.path / "result.json").unlink()
    (finished.path / "evaluations.jsonl").unlink()
    assert repr(finished).splitlines() == [*head, "  seeds 0, 1, not finished, 24 updates logged"]
    for content in ("{", "[]", "{}"):
        (finished.path / "run.json").write_text(content)
        assert repr(finished).startswith(head[0] + ": ")


@pytest.mark.parametrize("left", [[], [".run.json.tmp"], [".lock"], ["run.json", "metrics.jsonl", "trackers.json"]])
def test_what_a_killed_start_leaves_does_not_block_the_next(left, slides, tmp_path):
    """Killed while `run.json` was written, or before the first checkpoint: of this run, or of another one."""
    run = RunDirectory(tmp_path / "mine")
    run.path.mkdir()
    for name in left:
        (run.path / name).write_text('{"update": 3, "seed": 1}\n' if name != ".run.json.tmp" else "{")
    train("bc", slides, run.path, settings("bc"), progress=False)
    assert run.finished
    assert run.identity()["agent"] == "bc"
    assert lines(run.path / "metrics.jsonl")[0]["update"] == 2


def test_a_folder_of_other_files_is_left_alone(slides, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".notes").write_text("mine")
    with pytest.raises(UserError, match="exists and is not a run"):
        train("bc", slides, tmp_path / "mine", settings("bc"), progress=False)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [".notes"]


def test_a_last_line_without_its_end_is_kept_whole(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"update": 1, "seed": 0}\n{"update": 2, "seed": 0}')
    run = RunDirectory(tmp_path)
    run.forget_after(2)
    run.append("metrics.jsonl", [{"update": 3, "seed": 0}])
    assert [record["update"] for record in run.lines("metrics.jsonl")] == [1, 2, 3]


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    run = RunDirectory(tmp_path / "mine")
    run.path.mkdir()
    run.write_json("trackers.json", {"old": 1})
    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(
        UserError, match=r"cannot write .*trackers\.json \(No space left on device\); free some space\."
    ):
        run.write_json("trackers.json", {"new": 1})
    assert run.read_json("trackers.json") == {"old": 1}
    assert [path.name for path in run.path.iterdir()] == ["trackers.json"]
