"""The figures of the long form: added to, kept, and shown as they are in docs/reliability.md."""

from collections import Counter

import pytest

from fuzz.readers import READERS
from tests.reliability import pieces
from tests.reliability.figures import PAGE, Figures, Piece
from tests.reliability.jobs import LONG_JOBS


def test_a_start_adds_to_what_was_counted_before(tmp_path):
    path = tmp_path / "figures.json"
    Figures(path).add(Piece("kills", "train", 0, 10), Counter({"done": 11}))
    Figures(path).add(Piece("kills", "train", 11, 10), Counter({"done": 10, "other results": 1}))
    again = Figures(path)
    assert again.of("kills", "train")["done"] == 21
    assert again.lost() == 1
    again.forget(["train"])
    assert again.lost() == 0
    again = Figures(path)
    assert "| train | 21 | 1 |" in again.text()


def test_operations_and_tests_are_not_summed(tmp_path):
    figures = Figures(tmp_path / "figures.json")
    for first in (0, 20):
        figures.add(Piece("faults", "train", first, 20), Counter({"done": 20, "faults": 60, "operations": 352}))
        figures.add(Piece("tests", "tests/x.py", 0, 1), Counter({"passed": 7}))
    assert figures.counts["faults"]["train"] == {"done": 40, "faults": 120, "operations": 352}
    assert figures.counts["tests"]["tests/x.py"]["passed"] == 7
    assert "| train |  |  | 352 | 40 | 120 | 0 | 0 |" in figures.text()


def test_the_page_has_the_figures():
    page = PAGE.read_text()
    assert Figures().page(page) == page


@pytest.mark.parametrize(
    ("piece", "done"),
    [(Piece("kills", "import", 0, 2), 2), (Piece("faults", "import", 3, 1), 1), (Piece("inputs", "npz", 0, 20), 20)],
)
def test_a_piece_does_what_it_says(piece, done):
    counts, notes = pieces.work(piece)
    assert counts["done"] >= done
    assert not notes
    match piece.kind:
        case "faults":
            assert counts["faults"] == 3
            assert counts["operations"] > 20
        case "inputs":
            assert counts["refused"] + counts["read"] == 20


def test_a_result_that_differs_is_told(monkeypatch):
    results = iter([{}, {"a": "1"}])  # of the whole job, and of the first that failed
    job = LONG_JOBS["import"]._replace(result=lambda folder: next(results, {}))
    monkeypatch.setitem(LONG_JOBS, "other", job)
    counts, notes = pieces.work(Piece("faults", "other", 3, 1))
    assert counts["other results"] == 1
    assert notes[0].startswith("other, kill at ")
    assert notes[0].endswith(": another result")


def test_tests_that_fail_are_counted(tmp_path):
    path = tmp_path / "test_one.py"
    path.write_text("def test_right(): pass\ndef test_wrong(): assert False\n")
    counts, notes = pieces.work(Piece("tests", str(path), 0, 1))
    assert counts == {"passed": 1, "failed": 1}
    assert "test_wrong" in notes[0]


def test_there_is_a_figure_of_everything():
    figures = Figures()
    assert set(figures.counts["tests"]) == set(pieces.TESTS)
    assert set(figures.counts["kills"]) == set(LONG_JOBS)
    assert set(figures.counts["faults"]) == {name for name, job in LONG_JOBS.items() if job.faults}
    assert set(figures.counts["inputs"]) == set(READERS)
    assert figures.lost() == 0
