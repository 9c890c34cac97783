"""The tables of a report against numbers worked out by hand."""

import numpy as np
import pytest

from hcsac.evaluation import Estimate
from hcsac.experiments.report import tables
from hcsac.experiments.report.settings_diff import settings_diff
from tests.experiments.report.conftest import NASTY, PUBLISHED


def texts(row):
    return [box.text for box in row]


def test_last_policy(loaded, series):
    table = tables.last_table(loaded.summary, series, PUBLISHED)
    assert table.columns == ("Task", "Dataset return", "HCSAC published", "plain", NASTY)
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


def test_published_numbers_stand_below_an_agent_that_is_there_once(loaded, series):
    one = {key: held for key, held in series.items() if key[0] == "plain"}
    table = tables.last_table(loaded.summary, one, PUBLISHED)
    assert table.columns == ("Task", "Dataset return", "plain")
    assert table.groups[0][1][0][2] == tables.TableCell("8.4 ± 1.0", ("published 7.0 ± 1.0",), "best")
    assert table.groups[0][1][2][2].under == ("published 8.0",)
    assert table.groups[1][1][0][2].under == ()


def test_an_agent_that_lacks_a_task_has_no_average(loaded, series):
    less = loaded.summary._replace(
        tasks=[held for held in loaded.summary.tasks if (held.variant, held.task) != ("plain", "slide-right")],
        algorithms=[held._replace(tasks=("slide-left",)) if held.variant == "plain" else held
                for held in loaded.summary.algorithms],
    )  # fmt: skip
    rows = tables.last_table(less, series, {}).groups[0][1]
    assert texts(rows[1])[2:] == ["–", "8.9 ± 1.0"]  # noqa: RUF001
    assert texts(rows[2])[2:] == ["–", "8.9 ± 1.0"]  # noqa: RUF001
    assert texts(tables.best_table(less, series).groups[0][1][2])[1] == "–"  # noqa: RUF001


def test_best_of_run_and_what_it_adds(loaded, series):
    rows = tables.best_table(loaded.summary, series).groups[0][1]
    assert rows[0][1] == tables.TableCell("8.4 ± 1.0", ("+0.0",))  # the last evaluation is the best one here
    assert rows[2] == [
        tables.TableCell("average"),
        tables.TableCell("8.4", ("+0.0",)),
        tables.TableCell("8.9", ("+0.0",)),
    ]


def test_verdicts_are_counted(loaded, series):
    short = tables.aggregate_table(loaded.summary, series)
    assert texts(short.groups[0][1][0])[3:] == ["2", "–", "–", "3 x 2"]  # noqa: RUF001
    assert texts(short.groups[1][1][1])[3:] == ["–", "2", "–", "2 x 2"]  # noqa: RUF001


def test_improvement(loaded, series):
    (row, other) = tables.improvement_table(loaded.summary.comparisons[0], series).groups[0][1]
    # Of the 9 pairs of seeds nasty (1/2 more) wins the 3 of equal and the 3 of lower ones: 6.
    assert (row[1].text, row[2].text, other[1].text, other[2].text) == ("–", "0.33", "0.67", "–")  # noqa: RUF001
    assert other[1].tint == pytest.approx(2 / 3)
    assert other[1].under[0].startswith("[")


def test_run_times_and_runs(loaded, series):
    table = tables.time_table(loaded.finished, series)
    assert table.groups[0][1][0][1] == tables.TableCell("1 min 01 s", ("5.5 updates/s", "3 runs"))
    rows = tables.runs_table(loaded).groups[0][1]
    assert texts(rows[1])[1:] == ["finished", "300", "1 min 01 s", "6 s", "5.5"]
    assert rows[-1][1] == tables.TableCell("failed", ("bad <luck>",), "down")


def test_worst_episode(loaded, series):
    assert tables.worst_table(loaded.summary, series).groups[0][1][0][1] == tables.TableCell("7.0", ("best 9.8",))


def test_settings():
    table = tables.settings_table(settings_diff([("a", {"x": 0.5, "y": True}), ("b", {"x": None, "y": True})]))
    assert table.columns == ("Runs", "x")
    first, second = table.groups[0][1]
    assert first == [tables.TableCell("a"), tables.TableCell("0.5")]
    assert second == [tables.TableCell("b"), tables.TableCell(tables.NONE, (), "changed")]
    assert tables.settings_table(settings_diff([("a", {"x": 1})])).groups == []


def test_numbers_that_are_not_known():
    nan = np.nan
    assert tables.interval(Estimate(nan, nan, nan), ".1f") == "–"  # noqa: RUF001
    assert tables.interval(Estimate(2, nan, nan), ".1f") == "2.0"
    assert tables.interval(Estimate(2, 1, 3), "+.1f") == "+2.0 [+1.0, +3.0]"
    assert [tables.format_value(value) for value in (None, True, 3e-4, 7, "all")] == ["–", "yes", "0.0003", "7", "all"]  # noqa: RUF001
