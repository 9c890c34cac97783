"""Run directories: what is refused, and that nothing is written over."""

import tempfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.policy import evaluate, load_policy
from hcsac.training import RunDirectory, train
from tests.conftest import slide_episodes
from tests.training.conftest import settings, tree


def test_a_finished_run_is_returned_untouched(finished, slides):
    before = tree(finished.path)
    train("hcsac", slides, finished.path, settings(), seeds=(0, 1), resume=True, progress=False)
    assert tree(finished.path) == before


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({}, "already holds a run.*--resume"),
        ({"resume": True, "seeds": (0, 2)}, "holds another run: its seeds"),
        ({"resume": True, "settings": settings(discount=0.5)}, "its setting discount is 0.99, not 0.5"),
        ({"resume": True, "agent": "mtcsac", "settings": settings("mtcsac")}, "its agent is 'hcsac'"),
        ({"resume": True, "data": lambda d: replace(d, reward=d.reward + 1)}, "its fingerprint is"),
        ({"resume": True, "data": lambda d: d.select(["slide-right", "slide-left"])}, "its tasks is"),
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
        ({"alignment": "of_by_one"}, "did you mean 'off_by_one'"),
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


def test_a_directory_that_is_no_run_or_not_far_enough(finished, tmp_path):
    with pytest.raises(UserError, match=r"holds no run\.json"):
        load_policy(tmp_path / "nowhere")
    finished.checkpoint.unlink()
    with pytest.raises(UserError, match="holds no checkpoint yet"):
        load_policy(finished.path)
    for damage in ("{", "[]", ""):
        (finished.path / "run.json").write_text(damage)
        with pytest.raises(UserError, match=r"run\.json is damaged"):
            evaluate(finished.path)


def test_off_by_one_is_part_of_what_a_run_is(slides, tmp_path):
    train("bc", slides, tmp_path / "run", settings("bc"), progress=False)
    with pytest.raises(UserError, match="its alignment is 'correct', not 'off_by_one'"):
        train("bc", slides, tmp_path / "run", settings("bc"), alignment="off_by_one", resume=True, progress=False)


def damaged(path, at, line=b'{"update": 6, "seed'):
    """The lines of the file, with damage in the place of one of them."""
    held = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*held[:at], line + b"\n", *held[at + 1 :]]))


DAMAGE = [b'{"update": 6, "seed', b"", b"\xff\xfe\x00", b"null", b"[1]", b'{"seed": 1}', b'{"update": "six"}']


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_damaged_lines_are_left_out_and_counted(finished, damage):
    whole = list(finished.lines("metrics.jsonl"))
    assert finished.corruption() == []
    damaged(finished.path / "metrics.jsonl", 4, damage)
    assert list(finished.lines("metrics.jsonl")) == whole[:4] + whole[5:]
    assert finished.corruption() == ["metrics.jsonl: 1 corrupt line skipped"]
    damaged(finished.path / "metrics.jsonl", 0, damage)
    damaged(finished.path / "sharing.jsonl", -1 + len(list(finished.lines("sharing.jsonl"))), damage)
    assert finished.corruption() == ["metrics.jsonl: 2 corrupt lines skipped", "sharing.jsonl: 1 corrupt line skipped"]


def test_a_line_still_being_written_is_no_damage(finished):
    with open(finished.path / "metrics.jsonl", "a") as file:
        file.write('{"update": 26, "se')
    assert finished.corruption() == []
    assert [record["update"] for record in finished.tail("metrics.jsonl")] == [24]


@given(before=st.lists(st.sampled_from([None, *DAMAGE]), max_size=6), limit=st.integers(-1, 6))
def test_forgetting_keeps_what_lies_before_the_checkpoint(before, limit):
    """Line n is either the record of update n or damage; damage belongs to the record after it."""
    lines = [b'{"update": %d}' % n if damage is None else damage for n, damage in enumerate(before)]
    good = [n for n, damage in enumerate(before) if damage is None and n <= limit]
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


def test_a_run_with_damage_continues_to_its_end(slides, tmp_path):
    whole = train("bc", slides, tmp_path / "run", settings("bc"), progress=False)
    damaged(whole.path / "metrics.jsonl", 1)
    (whole.path / "result.json").unlink()
    train("bc", slides, whole.path, settings("bc"), resume=True, progress=False)
    assert [record["update"] for record in whole.lines("metrics.jsonl")] == [2, *range(6, 25, 2)]
    assert whole.corruption() == ["metrics.jsonl: 1 corrupt line skipped"]
