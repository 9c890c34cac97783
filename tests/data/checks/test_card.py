"""The card has the content of the report, and replaces nothing but a card of the same dataset."""

import json
from pathlib import Path

import numpy as np
import pytest

from hcsac.data.checks import Matrix, Report, check
from hcsac.data.checks.card import markdown, require_free, write, write_matrix
from hcsac.data.checks.findings import Check, make_finding
from hcsac.data.checks.rewards import Score
from hcsac.errors import UserError
from tests.conftest import slide_episodes


def report(dataset: str = "lab/slide-v0") -> Report:
    check = Check("ends", "seen.\n1 #", (make_finding("missing-end", "episode 3 has no end."),), numbers={"x": 1.5})
    return Report(dataset, "slide-left", (Check("shapes", "all | well."), check))


def test_markdown_and_json_say_the_same(tmp_path: Path) -> None:
    page, numbers = write(tmp_path / "cards", report())
    text = page.read_text()
    for part in ("# lab/slide-v0", "**failed: 1 error**", "- **error: missing-end.** episode 3 has no end.",
                 "To fix: mark the", "Correct data match at 0.", "| shapes | passed | all / well. |",
                 "| ends | error | seen. |", "```\n1 #\n```"):  # fmt: skip
        assert part in text
    content = json.loads(numbers.read_text())
    assert (content["dataset"], content["passed"], content["checks"][1]["numbers"]) == (
        "lab/slide-v0",
        False,
        {"x": 1.5},
    )
    assert content["findings"][0]["kind"] == "missing-end"
    assert sorted(path.name for path in (tmp_path / "cards").iterdir()) == ["lab-slide-v0.json", "lab-slide-v0.md"]


def test_a_real_report_is_json(tmp_path: Path) -> None:
    _, numbers = write(tmp_path, check(slide_episodes("slide-left"), "slide-left"))
    assert {check["name"] for check in json.loads(numbers.read_text())["checks"]} > {"coverage", "returns"}


def test_only_its_own_card_is_replaced(tmp_path: Path) -> None:
    page, numbers = write(tmp_path, report())
    write(tmp_path, report())
    (tmp_path / "mine.md").write_text("years of work")
    for dataset in ("lab-slide-v0", "mine"):
        with pytest.raises(UserError, match="would be overwritten; name another folder"):
            write(tmp_path, report(dataset))
    numbers.write_text("[]")
    with pytest.raises(UserError, match="is not a card of lab/slide-v0"):
        write(tmp_path, report())
    assert page.exists()
    assert (tmp_path / "mine.md").read_text() == "years of work"
    with pytest.raises(UserError, match="is a file"):
        require_free(page, ["a"], matrix=False)
    with pytest.raises(UserError, match=r"would both be a-b\.md"):
        require_free(tmp_path, ["a/b", "a-b"], matrix=False)
    with pytest.raises(UserError, match=r"would both be matrix\.md"):
        require_free(tmp_path, ["matrix"], matrix=True)


def test_matrix(tmp_path: Path) -> None:
    cells = ((Score(1.0, 0.0, 9, 9), Score(2.0, 0.5, 3, 9)), (None, Score(4.0, 0.0, 9, 9)))
    table = Matrix(("a", "b"), ("t", "u"), ("t", "u"), cells, (1.0, 4.0), (0.1, None))
    page, numbers = write_matrix(tmp_path, table)
    assert "| a | t | 1.0 | 1.0 | 2.0 ± 0.5 |" in page.read_text()
    assert "| b | u | 4.0 | ? | 4.0 |" in page.read_text()
    assert "| random actions |  |  | 0.1 | ? |" in page.read_text()
    assert json.loads(numbers.read_text())["cells"][0][1]["standard_error"] == 0.5
    page, numbers = write(tmp_path, report("a"), table)
    assert table.markdown() in page.read_text()
    assert json.loads(numbers.read_text())["cross_task"] == table.as_json()
    page, numbers = write(tmp_path, report("a"))
    assert "random actions" not in page.read_text()
    assert json.loads(numbers.read_text())["cross_task"] is None


def test_a_verdict_counts(tmp_path: Path) -> None:
    good = Report("a", "t", (Check("x", "seen."),))
    assert (good.verdict, good.passed) == ("passed", True)
    warned = Report("a", "t", (Check("x", "seen.", (make_finding("saturated-actions", "many."),)),))
    assert (warned.verdict, warned.passed) == ("passed: 1 warning", True)
    assert "None." in markdown(good)
    assert np.all([part in str(warned) for part in ("warning: saturated-actions: many.", "To fix: make sure")])
