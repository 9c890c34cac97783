"""Reading a grid: what is finished, what is missing and why, and what is too damaged to be read."""

import json

import pytest

from hcsac.errors import UserError
from hcsac.experiments.report.load import gather


def read(record):
    return gather(record, record.output / "events.jsonl", lambda text: None)


def test_states_and_days(study):
    told = []
    gathered = gather(study, study.output / "events.jsonl", told.append)
    assert told == ["reading 11 of 12 runs", "statistics of 264 returns"]
    assert gathered.counts == {"finished": 11, "failed": 1}
    assert gathered.states[-1] == (study.cells[-1], "failed", "bad <luck>")
    assert [f"{time:%d.%m.}" for time in gathered.when] == ["01.03.", "02.03."]
    assert {(held.dataset, held.variant) for held in gathered.summary.tasks} == {
        (cell.dataset, cell.variant) for cell in study.cells
    }


def test_damaged_lines_are_left_out_and_counted(study):
    path = study.cells[0].path / "evaluations.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    lines[0] = lines[0][:20] + "\n"
    lines[1] = '["no", "record"]\n'
    path.write_bytes("".join(lines).encode() + b"\xff\xfe\n" + b'{"still being wr')
    gathered = read(study)
    assert gathered.damage == [
        "medium plain hcsac slide-left+slide-right seed 0, evaluations.jsonl: 3 corrupt lines skipped"
    ]
    assert len(gathered.table) == 264 - 2 * 4
    (held,) = (one for one in gathered.summary.tasks if one[:2] == ("medium", "plain") and one.task == "slide-left")
    assert held.seeds == (0, 1, 2)  # its last evaluation is whole


@pytest.mark.parametrize(
    ("file", "says"),
    [("run.json", "run.json is corrupt"), ("result.json", "result.json is corrupt"),
     ("evaluations.jsonl", "has no evaluation")],
)  # fmt: skip
def test_a_run_that_cannot_be_read_is_left_out(study, file, says):
    (study.cells[0].path / file).write_text("{")
    gathered = read(study)
    assert gathered.counts == {"finished": 10, "damaged": 1, "failed": 1}
    assert says in gathered.states[0][2]
    assert str(study.output) not in gathered.states[0][2]  # a page that is passed on does not tell where it was made


def test_an_earlier_evaluation_is_not_taken_for_a_damaged_last_one(study):
    path = study.cells[0].path / "evaluations.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]) + "{\n")
    gathered = read(study)
    assert gathered.counts["damaged"] == 1
    assert "is corrupt at the last evaluation" in gathered.states[0][2]


def test_a_run_without_a_simulator_is_named_apart(study):
    for cell in study.cells[:-1]:
        result = json.loads((cell.path / "result.json").read_text()) | {"evaluated": False}
        (cell.path / "result.json").write_text(json.dumps(result))
        if cell == study.cells[0]:
            assert read(study).counts == {"finished": 10, "unevaluated": 1, "failed": 1}
    with pytest.raises(UserError, match=r"no cell is finished and evaluated yet \(11 unevaluated, 1 failed\)"):
        read(study)


def test_nothing_finished(study):
    for cell in study.cells[:-1]:
        (cell.path / "result.json").unlink()
    with pytest.raises(
        UserError, match=r"no cell is finished and evaluated yet \(11 running, 1 failed\); `hcsac grid run` goes on"
    ):
        read(study)


def test_without_a_log_the_files_tell_when(study):
    (study.output / "events.jsonl").write_text(json.dumps({"cell": "x", "event": "started"}) + "\n")
    first, last = read(study).when
    assert first <= last
    assert last.timestamp() == pytest.approx((study.cells[10].path / "result.json").stat().st_mtime, abs=60)
