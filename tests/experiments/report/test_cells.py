"""The table of each algorithm on each task, against numbers worked out by hand."""

import pytest

from hcsac.experiments import collect_returns, summarise
from hcsac.experiments.report.cells import cells_table
from hcsac.experiments.report.tables import TableCell
from hcsac.experiments.report.text import table_text
from tests.experiments.conftest import make_run  # noqa: F401 (fixture)
from tests.experiments.report.conftest import NASTY


def names_of(series):
    return {key: one.name for key, one in series.items()}


def test_a_study(loaded, series):
    table = cells_table(loaded.summary, names_of(series))
    assert table.columns[-2:] == ("Dataset return", "Against its data")  # there is no baseline
    assert [group for group, _ in table.groups] == [
        f"{level}: slide-{side}" for level in ("medium", "replay") for side in ("left", "right")
    ]
    plain, nasty = table.groups[0][1]
    assert [cell.text for cell in plain[:-1]] == ["plain", "3", "8.4 ± 1.0", "8.4", "7.0", "0 %", "5.0"]
    assert (plain[-1].text, plain[-1].mark) == ("▲ beats its data", "up")
    assert plain[-1].under[0].startswith("+3.4 [+2.")
    assert nasty[0].text == NASTY
    replay = table.groups[2][1][0][-1]
    assert (replay.text, replay.mark) == ("○ not told apart", "same")
    assert "4 episodes a seed" in table.note
    assert "other seeds" not in table.note


@pytest.fixture
def summary(make_run, tmp_path):  # noqa: F811
    """bc with returns 1 to 6, one that always has 1 more, one of another seed that fails once, one that broke down."""
    runs = {
        "bc": {0: [1.0, 2.0, 3.0], 1: [4.0, 5.0, 6.0]},
        "hcsac": {0: [2.0, 3.0, 4.0], 1: [5.0, 6.0, 7.0]},
        "csac": {7: [4.0, 4.0, 1.0]},
        "mtcsac": {0: [1.0, float("nan"), 3.0], 1: [4.0, 5.0, 6.0]},
    }
    made = [make_run(name, name, {20: {"slide-left": own}}) for name, own in runs.items()]
    return summarise(collect_returns([(run, {"dataset": "medium"}) for run in made], tmp_path))


def test_a_baseline(summary):
    table = cells_table(summary, {one.key: one.algorithm for one in summary.tasks})
    assert table.columns[-1] == "Against bc"
    bc, hcsac, csac, mtcsac = table.groups[0][1]
    assert bc[-1] == TableCell("–")  # noqa: RUF001
    assert hcsac[-1] == TableCell("▲ beats bc", ("+1.0 [+1.0, +1.0]",), "up")
    assert csac[-1].text == "○ not told apart"
    assert csac[-1].under[1] == "other seeds"
    assert csac[5].text == "33 %"
    assert [cell.text for cell in mtcsac[2:]] == ["–", "–", "–", "–", "5.0", "? unknown", "? unknown"]  # noqa: RUF001
    assert "where it says `other seeds`" in table.note


def test_several_baselines_are_named_in_the_cells(summary):
    (bc, hcsac, *_), *_ = (summary.tasks,)
    other = hcsac._replace(variant="x", versus=hcsac.versus._replace(name="bc x", verdict="below"))
    table = cells_table(summary._replace(tasks=[bc, hcsac, other]), {one.key: "n" for one in (bc, hcsac, other)})
    assert table.columns[-1] == "Against its baseline"
    assert [row[-1].text for row in table.groups[0][1]] == ["–", "▲ beats bc", "▼ below"]  # noqa: RUF001


def test_in_a_terminal(summary):
    table = cells_table(summary, {one.key: one.algorithm for one in summary.tasks})
    _, head, _, row, *_ = table_text(table).splitlines()
    assert head.startswith("Dataset: task")
    words = "medium: slide-left hcsac 2 4.5 ± 2.1 4.5 2.0 17 % 5.0 ○ not told apart -0.5 ["
    assert " ".join(row.split()).startswith(words)
    assert row.endswith("▲ beats bc +1.0 [+1.0, +1.0]")
