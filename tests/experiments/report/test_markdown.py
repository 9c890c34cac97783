"""The Markdown twin: tables that GitHub reads as such, and text that means itself."""

from hcsac.experiments.report.load import gather
from hcsac.experiments.report.markdown import markdown, table_markdown
from hcsac.experiments.report.sections import compose
from hcsac.experiments.report.tables import Box, Table


def test_a_table():
    rows = [[Box("t"), Box("1", ("+2",), "best"), Box("a|b *c* <d>")]]
    grouped = Table("T", ("Task", "x", "y"), [("data", rows)])
    assert table_markdown(grouped).splitlines() == [
        "| Dataset | Task | x | y |",
        "| --- | --- | ---: | ---: |",
        r"| data | t | **1**<br>+2 | a\|b \*c\* &lt;d&gt; |",
    ]
    plain = Table("T", ("Task", "x", "y"), [("", rows)], words=True)
    assert table_markdown(plain).splitlines()[:2] == ["| Task | x | y |", "| --- | --- | --- |"]


def test_the_whole(study):
    gathered = gather(study, study.output / "events.jsonl", lambda text: None)
    text = markdown(compose(gathered, [], "No videos.", "returns.parquet", "report.md"), "report.html")
    assert text.startswith("# A &lt;small&gt; study\n\nSharing &amp; none.\n")
    assert "11 of 12 cells finished, 1 failed, 3 seeds, 264 episodes of evaluation." in text
    assert "[report.html](report.html)" in text
    assert "> Not in this report, because failed: replay" in text
    assert "seed 2 (bad &lt;luck&gt;)." in text
    assert "<script" not in text
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads[1:5] == ["## Returns", "### Last policy", "### Best of run", "### Against the data"]
    assert "## Settings that differ" in heads
    assert "## Videos" not in heads
    for block in text.split("\n\n"):
        if block.startswith("| "):  # every row of a table has as many cells as its head
            assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1
