"""The tables of a report against numbers worked out by hand."""

import numpy as np
import pytest

from hcsac.evaluation import Estimate
from hcsac.experiments.report import tables
from hcsac.experiments.report.settings_diff import settings_apart
from tests.experiments.report.conftest import NASTY, PUBLISHED


def texts(row):
    return [box.text for box in row]


def test_last_policy(gathered, series):
    table = tables.last_table(gathered.summary, series, PUBLISHED)
    assert table.columns == ("Task", "Behaviour", "HCSAC published", "plain", NASTY)
    (medium, rows), (replay, others) = table.groups
    assert (medium, replay) == ("medium", "replay")
    # plain: 4 + 3 + seed + mean of 0, 1/4, 2/4, 3/4
    assert [texts(row) for row in rows] == [
        ["slide-left", "5.0", "7.0 ± 1.0", "8.4 ± 1.0", "8.9 ± 1.0"],
        ["slide-right", "5.0", "9.0", "8.4 ± 1.0", "8.9 ± 1.0"],
        ["average", "5.0", "8.0", "8.4 ± 1.0", "8.9 ± 1.0"],
    ]
    assert [box.mark for box in rows[0]] == ["", "", "", "", "best"]
    assert texts(others[0]) == ["slide-left", "5.0", "–", "5.4 ± 1.0", "5.4 ± 0.7"]  # noqa: RUF001
    assert table.note.endswith("4 episodes a seed; the best mean of a row is bold.")


def test_published_numbers_stand_below_an_agent_that_is_there_once(gathered, series):
    one = {key: held for key, held in series.items() if key[0] == "plain"}
    table = tables.last_table(gathered.summary, one, PUBLISHED)
    assert table.columns == ("Task", "Behaviour", "plain")
    assert table.groups[0][1][0][2] == tables.Box("8.4 ± 1.0", ("published 7.0 ± 1.0",), "best")
    assert table.groups[0][1][2][2].under == ("published 8.0",)
    assert table.groups[1][1][0][2].under == ()


def test_an_agent_that_lacks_a_task_has_no_average(gathered, series):
    less = gathered.summary._replace(
        tasks=[held for held in gathered.summary.tasks if (held.variant, held.task) != ("plain", "slide-right")],
        agents=[held._replace(tasks=("slide-left",)) if held.variant == "plain" else held
                for held in gathered.summary.agents],
    )  # fmt: skip
    rows = tables.last_table(less, series, {}).groups[0][1]
    assert texts(rows[1])[2:] == ["–", "8.9 ± 1.0"]  # noqa: RUF001
    assert texts(rows[2])[2:] == ["–", "8.9 ± 1.0"]  # noqa: RUF001
    assert texts(tables.best_table(less, series).groups[0][1][2])[1] == "–"  # noqa: RUF001


def test_best_of_run_and_what_it_adds(gathered, series):
    rows = tables.best_table(gathered.summary, series).groups[0][1]
    assert rows[0][1] == tables.Box("8.4 ± 1.0", ("+0.0",))  # the last evaluation is the best one here
    assert rows[2] == [tables.Box("average"), tables.Box("8.4", ("+0.0",)), tables.Box("8.9", ("+0.0",))]


def test_verdicts(gathered, series):
    medium, replay = (rows for _, rows in tables.verdict_table(gathered.summary, series).groups)
    assert (medium[0][1].text, medium[0][1].mark) == ("▲ beats its data", "up")
    assert medium[0][1].under[0].startswith("+3.4 [+2.")
    assert (replay[0][1].text, replay[0][1].mark) == ("≈ matches", "same")
    short = tables.aggregate_table(gathered.summary, series)
    assert texts(short.groups[0][1][0])[3:] == ["2", "–", "–", "3 x 2"]  # noqa: RUF001
    assert texts(short.groups[1][1][1])[3:] == ["–", "2", "–", "2 x 2"]  # noqa: RUF001


def test_improvement(gathered, series):
    (row, other) = tables.improvement_table(gathered.summary.comparisons[0], series).groups[0][1]
    # Of the 9 pairs of seeds nasty (1/2 more) wins the 3 of equal and the 3 of lower ones: 6.
    assert (row[1].text, row[2].text, other[1].text, other[2].text) == ("–", "0.33", "0.67", "–")  # noqa: RUF001
    assert other[1].tint == pytest.approx(2 / 3)
    assert other[1].under[0].startswith("[")


def test_run_times_and_cells(gathered, series):
    table = tables.time_table(gathered.finished, series)
    assert table.groups[0][1][0][1] == tables.Box("61 s", ("5.5 updates/s", "3 runs"))
    rows = tables.cells_table(gathered).groups[0][1]
    assert texts(rows[1])[1:] == ["finished", "300", "61 s", "6 s", "5.5"]
    assert rows[-1][1] == tables.Box("failed", ("bad <luck>",), "down")


def test_worst_episode(gathered, series):
    assert tables.worst_table(gathered.summary, series).groups[0][1][0][1] == tables.Box("7.0", ("best 9.8",))


def test_settings():
    table = tables.settings_table(settings_apart([("a", {"x": 0.5, "y": True}), ("b", {"x": None, "y": True})]))
    assert table.columns == ("Cells", "x")
    assert table.groups == [
        ("", [[tables.Box("a"), tables.Box("0.5")], [tables.Box("b"), tables.Box("–", (), "changed")]])  # noqa: RUF001
    ]
    assert tables.settings_table(settings_apart([("a", {"x": 1})])).groups == []


def test_numbers_that_are_not_known():
    nan = np.nan
    assert tables.interval(Estimate(nan, nan, nan), ".1f") == "–"  # noqa: RUF001
    assert tables.interval(Estimate(2, nan, nan), ".1f") == "2.0"
    assert tables.interval(Estimate(2, 1, 3), "+.1f") == "+2.0 [+1.0, +3.0]"
    assert [tables.say(value) for value in (None, True, 3e-4, 7, "all")] == ["–", "yes", "0.0003", "7", "all"]  # noqa: RUF001
