"""Charts as figures: valid, and with the numbers of the runs."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac.experiments.report import charts
from hcsac.experiments.report.settings_diff import sharing_series
from tests.experiments.report.conftest import NASTY, PUBLISHED, UPDATES, value


def lines(chart, group):
    return [trace for trace in chart.data if trace["legendgroup"] == group]


def test_every_figure_is_one_that_plotly_takes(loaded, series):
    from plotly.graph_objects import Figure

    moved = sharing_series(loaded.finished)
    made = [
        *charts.learning_curves(loaded.table, series, PUBLISHED), *charts.intervals(loaded.summary, series),
        *charts.profiles(loaded.summary, series), *charts.seeds(loaded.table, series),
        *charts.shared_transitions(moved, series), *charts.shared_rewards(moved, series),
    ]  # fmt: skip
    assert len(made) == 4 + 2 + 2 + 4 + 4 + 4
    for chart in made:
        figure = json.loads(json.dumps(chart.figure, allow_nan=False).replace("var(--", "red(--"))
        text = json.dumps(figure)
        for name in {part.split(")")[0] for part in text.split('"red(')[1:]}:
            text = text.replace(f"red({name})", "#123456")
        Figure(json.loads(text))  # raises for what Plotly does not know
        assert NASTY not in text
        assert all(len(trace["x"]) == len(trace["y"]) > 0 for trace in chart.data)


def test_learning_curves(loaded, series):
    left, _, replay, _ = charts.learning_curves(loaded.table, series, PUBLISHED)
    assert (left.title, replay.title) == ("medium: slide-left", "replay: slide-left")
    band, line = lines(left, "s0")
    each = np.array([
        [np.mean([value("medium", "plain", seed, "slide-left", update, e) for e in range(4)]) for seed in range(3)]
        for update in UPDATES
    ])  # fmt: skip
    assert line["x"] == list(UPDATES)
    assert line["y"] == pytest.approx(each.mean(1))
    assert line["text"][0] == f"{each[0].mean():.1f} ± {each[0].std(ddof=1):.1f}"
    assert band["y"] == pytest.approx([*(each.mean(1) + 1), *(each.mean(1) - 1)[::-1]])  # seeds 0, 1, 2 apart by 1
    assert {kind: lines(left, kind)[0]["y"][0] for kind in charts.REFERENCES} == {
        "dataset": 5.0, "random": 0.0, "published": 7.0,
    }  # fmt: skip
    assert lines(replay, "published") == []
    assert "(2 seeds)" in lines(replay, "s1")[-1]["hovertemplate"]  # the third failed


def test_returns_by_the_number_that_tasks_differ_by(loaded, series):
    assert charts.returns_by_number(loaded.summary, series) == []
    number = {"slide-left": "slide-speed:2", "slide-right": "slide-speed:-0.5"}
    cells = [cell._replace(task=number[cell.task]) for cell in loaded.summary.tasks]
    medium, replay = charts.returns_by_number(loaded.summary._replace(tasks=cells), series)
    assert (medium.title, replay.title) == ("medium: return by speed", "replay: return by speed")
    mine = {cell.task: cell for cell in cells if cell.dataset == "medium" and cell.key == next(iter(series))}
    own = [mine["slide-speed:-0.5"], mine["slide-speed:2"]]
    band, line = lines(medium, "s0")
    assert line["x"] == [-0.5, 2]
    assert line["y"] == pytest.approx([cell.mean for cell in own], rel=1e-5)
    high, low = [cell.mean + cell.std for cell in own], [cell.mean - cell.std for cell in own]
    assert band["y"] == pytest.approx([*high, *low[::-1]], rel=1e-5)
    assert "speed %{x}: " in line["hovertemplate"]
    (logged,) = lines(medium, "dataset")
    assert (logged["x"], logged["y"]) == ([-0.5, 2], [5.0, 5.0])


def test_a_single_seed_has_no_band(loaded, series):
    table = loaded.table.filter([seed == 1 for seed in loaded.table["seed"].to_pylist()])
    first = charts.learning_curves(table, series, {})[0]
    (line,) = lines(first, "s0")
    assert "±" not in line["text"][0]


def test_every_seed_is_a_dot(loaded, series):
    first, *_, last = charts.seeds(loaded.table, series)
    worst, mean = lines(first, "s0")
    # scores: random 0, expert 10
    assert mean["x"] == pytest.approx([10 * (7 + seed + 0.375) for seed in range(3)])
    assert worst["x"] == pytest.approx([10 * (7 + seed) for seed in range(3)])
    assert mean["text"][1] == "<b>plain</b>, seed 1<br>mean of 4 episodes: return 8.4, score 83.8"
    assert len(set(mean["y"])) == 3
    assert len(lines(last, "s1")[0]["x"]) == 2


def test_a_task_without_a_score_shows_returns(loaded, series):
    import pyarrow as pa

    none = pa.nulls(len(loaded.table), "double")
    place = loaded.table.schema.get_field_index("expert_return")
    table = loaded.table.set_column(place, "expert_return", none)
    first = charts.seeds(table, series)[0]
    assert first.layout["xaxis"]["title"]["text"] == "return"
    assert lines(first, "s0")[1]["x"] == pytest.approx([7 + seed + 0.375 for seed in range(3)])


def test_claims_are_held_against_the_truth(loaded, series):
    drawn = {chart.title: chart for chart in charts.shared_rewards(sharing_series(loaded.finished), series)}
    assert len(drawn["medium: slide-left → slide-right"].data) == 1  # whose truth is not known
    paid, true = drawn["medium: slide-right → slide-left"].data
    assert (paid["y"], true["y"]) == ([0.9, 0.9], [0.3, 0.3])


@given(st.integers(1, 3000), st.integers(2, 300))
def test_thinned(count, most):
    kept = charts.thinned(list(range(count)), most)
    assert len(kept) == min(count, most)
    assert (kept[0], kept[-1]) == (0, count - 1)
    assert kept == sorted(set(kept))
