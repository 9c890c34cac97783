"""Reading a study: what is finished, what is missing and why, and what is too corrupt to be read."""

import json

import pytest

from hcsac.errors import UserError
from hcsac.experiments.report.load import load_study


def read(record):
    return load_study(record, record.output / "events.jsonl", lambda text: None)


def test_states_and_days(study):
    told = []
    loaded = load_study(study, study.output / "events.jsonl", told.append)
    assert told == ["reading 11 of 12 runs", "statistics of 264 returns"]
    assert loaded.counts == {"finished": 11, "failed": 1}
    assert loaded.states[-1] == (study.runs[-1], "failed", "bad <luck>")
    assert [f"{time:%d.%m.}" for time in loaded.times] == ["01.03.", "02.03."]
    assert {(held.dataset, held.variant) for held in loaded.summary.tasks} == {
        (run.dataset, run.variant) for run in study.runs
    }


def test_a_baseline_of_the_study_is_compared_with(study):
    assert not any(cell.versus for cell in read(study).summary.tasks)
    cells = read(study._replace(baseline="plain")).summary.tasks
    for cell in cells:
        other = [one for one in cells if one[:1] + one[2:4] == cell[:1] + cell[2:4] and one.variant == "plain"]
        if cell.variant == "plain":
            assert cell.versus is None
        elif cell.seeds == other[0].seeds:
            assert cell.versus.difference.value == pytest.approx(cell.mean - other[0].mean)


def test_corrupt_lines_are_left_out_and_counted(study):
    path = study.runs[0].path / "evaluations.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    lines[0] = lines[0][:20] + "\n"
    lines[1] = '["no", "record"]\n'
    path.write_bytes("".join(lines).encode() + b"\xff\xfe\n" + b'{"still being wr')
    loaded = read(study)
    assert loaded.corruption == [
        "medium plain hcsac slide-left+slide-right seed 0, evaluations.jsonl: 3 corrupt lines skipped"
    ]
    assert len(loaded.table) == 264 - 2 * 4
    (held,) = (one for one in loaded.summary.tasks if one[:2] == ("medium", "plain") and one.task == "slide-left")
    assert held.seeds == (0, 1, 2)  # its last evaluation is whole


@pytest.mark.parametrize(
    ("file", "says"),
    [("run.json", "run.json is corrupt"), ("result.json", "result.json is corrupt"),
     ("evaluations.jsonl", "has no evaluation")],
)  # fmt: skip
def test_a_run_that_cannot_be_read_is_left_out(study, file, says):
    (study.runs[0].path / file).write_text("{")
    loaded = read(study)
    assert loaded.counts == {"finished": 10, "corrupt": 1, "failed": 1}
    assert says in loaded.states[0][2]
    assert str(study.output) not in loaded.states[0][2]  # a page that is passed on does not tell where it was made


def test_an_earlier_evaluation_is_not_taken_for_a_damaged_last_one(study):
    path = study.runs[0].path / "evaluations.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]) + "{\n")
    loaded = read(study)
    assert loaded.counts["corrupt"] == 1
    assert "is corrupt at the last evaluation" in loaded.states[0][2]


def test_a_run_without_a_simulator_is_named_apart(study):
    for run in study.runs[:-1]:
        result = json.loads((run.path / "result.json").read_text()) | {"evaluated": False}
        (run.path / "result.json").write_text(json.dumps(result))
        if run == study.runs[0]:
            assert read(study).counts == {"finished": 10, "unevaluated": 1, "failed": 1}
    with pytest.raises(UserError, match=r"no run is finished and evaluated yet \(11 unevaluated, 1 failed\)"):
        read(study)


def test_nothing_finished(study):
    for run in study.runs[:-1]:
        (run.path / "result.json").unlink()
    with pytest.raises(
        UserError,
        match=r"no run is finished and evaluated yet \(11 running, 1 failed\); `hcsac study run` resumes them",
    ):
        read(study)


def test_without_a_log_the_files_tell_when(study):
    (study.output / "events.jsonl").write_text(json.dumps({"run": "x", "event": "started"}) + "\n")
    first, last = read(study).times
    assert first <= last
    assert last.timestamp() == pytest.approx((study.runs[10].path / "result.json").stat().st_mtime, abs=60)
