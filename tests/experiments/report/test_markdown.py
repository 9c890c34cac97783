"""The Markdown copy: tables that GitHub reads as such, and text that is shown as it is."""

from hcsac.experiments.report.load import load_study
from hcsac.experiments.report.markdown import markdown, table_markdown
from hcsac.experiments.report.sections import build_report
from hcsac.experiments.report.tables import Table, TableCell


def test_a_table():
    rows = [[TableCell("t"), TableCell("1", ("+2",), "best"), TableCell("a|b *c* <d>")]]
    grouped = Table("T", ("Task", "x", "y"), [("data", rows)])
    assert table_markdown(grouped).splitlines() == [
        "| Dataset | Task | x | y |",
        "| --- | --- | ---: | ---: |",
        r"| data | t | **1**<br>+2 | a\|b \*c\* &lt;d&gt; |",
    ]
    other = grouped._replace(grouped_by="Place")
    assert table_markdown(other).splitlines()[0] == "| Place | Task | x | y |"
    plain = Table("T", ("Task", "x", "y"), [("", rows)], words=True)
    assert table_markdown(plain).splitlines()[:2] == ["| Task | x | y |", "| --- | --- | --- |"]


def test_the_whole(study):
    loaded = load_study(study, study.output / "events.jsonl", lambda text: None)
    text = markdown(build_report(loaded, [], "No videos.", "returns.parquet", "report.md"), "report.html")
    assert text.startswith("# A &lt;small&gt; study\n\nSharing &amp; none.\n")
    assert "11 of 12 runs finished, 1 failed, 3 seeds, 264 evaluation episodes." in text
    assert "[report.html](report.html)" in text
    assert "> Not in this report, because failed: replay" in text
    assert "seed 2 (bad &lt;luck&gt;)." in text
    assert "<script" not in text
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads[1:5] == ["## Returns", "### Last policy", "### Best of run", "### Each algorithm on each task"]
    assert "## Settings that differ" in heads
    assert "## Videos" not in heads
    for block in text.split("\n\n"):
        if block.startswith("| "):  # every row of a table has as many runs as its head
            assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1
