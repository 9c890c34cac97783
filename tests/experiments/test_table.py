"""The slides' table as CSV, against numbers worked out by hand."""

import csv

import pytest

from hcsac.errors import UserError
from hcsac.experiments import collect_returns, read_metrics, summarise, write_csv, write_metrics
from hcsac.experiments.table import cell_records


@pytest.fixture
def summary(make_run, tmp_path):
    # last: 9, 11 and 39, 41, so 10 and 40; best: 90 and 40
    runs = make_run("left", "bc", {10: {"slide-left": {0: [89, 91], 1: [5, 5]}},
                                   20: {"slide-left": {0: [9, 11], 1: [39, 41]}}})  # fmt: skip
    alone = make_run("right", "hcsac", {20: {"slide-right": {0: [2, 4]}}})
    labels = {"dataset": "medium", "variant": "v"}
    return summarise(collect_returns([(runs, labels), (alone, {"dataset": "medium"})], tmp_path))


def test_csv(summary, tmp_path):
    write_csv(summary, tmp_path / "t.csv")
    left, right = csv.DictReader((tmp_path / "t.csv").read_text().splitlines())
    _, low, high = summary.tasks[0].improvement
    assert left == {
        "dataset": "medium", "variant": "v", "task": "slide-left", "agent": "bc", "seeds": "2", "behaviour": "5.0000",
        "last_mean": "25.0000", "last_std": "21.2132", "best_of_run_mean": "65.0000", "best_of_run_std": "35.3553",
        "score": "250.0000", "verdict": "beats its data", "episodes": "2", "median": "25.0000", "lowest": "9.0000",
        "failed_share": "0.5000", "difference_to_data": "20.0000", "difference_to_data_low": f"{low:.4f}",
        "difference_to_data_high": f"{high:.4f}", "baseline": "", "difference_to_baseline": "",
        "difference_to_baseline_low": "", "difference_to_baseline_high": "", "baseline_verdict": "", "paired_by": "",
    }  # fmt: skip
    assert (right["last_mean"], right["last_std"], right["verdict"]) == ("3.0000", "", "not told apart")


def test_differences_to_the_baseline(make_run, tmp_path):
    """In the CSV file, and for every seed in the Parquet file."""
    labels = {"dataset": "medium"}
    bc = make_run("bc", "bc", {20: {"slide-left": {0: [1, 2], 1: [3, 4]}}})
    own = make_run("own", "hcsac", {20: {"slide-left": {0: [5, 7], 1: [7, 9]}}})
    other = make_run("other", "csac", {20: {"slide-left": {3: [1, 2]}}})
    summary = summarise(collect_returns([(run, labels) for run in (bc, own, other)], tmp_path))
    write_csv(summary, tmp_path / "t.csv")
    first, second, third = csv.DictReader((tmp_path / "t.csv").read_text().splitlines())
    assert first["baseline"] == ""
    assert (second["baseline"], second["difference_to_baseline"]) == ("bc", "4.5000")
    assert (second["baseline_verdict"], second["paired_by"]) == ("beats bc", "initial state and seed")
    low = summary.tasks[1].versus.difference.low
    assert second["difference_to_baseline_low"] == f"{low:.4f}"
    assert (third["difference_to_baseline"], third["paired_by"]) == ("-1.0000", "initial state")
    rows = read_metrics(write_metrics(summary, tmp_path / "m.parquet")).to_pylist()
    assert [(row["agent"], row["seed"], row["difference_to_baseline"]) for row in rows] == [
        ("bc", 0, None), ("bc", 1, None), ("hcsac", 0, 4.5), ("hcsac", 1, 4.5), ("csac", 3, -1.0),
    ]  # fmt: skip
    assert [row["median"] for row in rows] == [1.5, 3.5, 6, 8, 1.5]
    assert [row["paired_by"] for row in rows[2:]] == ["initial state and seed"] * 2 + ["initial state"]


def test_without_the_best_of_run(summary, tmp_path):
    write_csv(summary, tmp_path / "t.csv", best=False)
    head, *_ = (tmp_path / "t.csv").read_text().splitlines()
    assert "best_of_run" not in head
    assert len(cell_records(summary)[0]) == len(cell_records(summary, best=False)[0]) + 2


def test_metrics_of_an_earlier_report_are_read(summary, tmp_path):
    """Such a table has fewer columns, and a new report replaces it."""
    from pyarrow import parquet

    table = read_metrics(write_metrics(summary, tmp_path / "m.parquet"))
    early = ["dataset", "variant", "task", "agent", "seed", "mean_return", "score", "worst_episode", "best_episode"]
    parquet.write_table(table.select(early), tmp_path / "m.parquet")
    assert read_metrics(tmp_path / "m.parquet").column_names == early


def test_a_place_that_cannot_be_written(summary, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_csv(summary, tmp_path / "file" / "t.csv")
