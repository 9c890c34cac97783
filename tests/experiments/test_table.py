"""The slides' table as CSV, against numbers worked out by hand."""

import csv

import pytest

from hcsac.errors import UserError
from hcsac.experiments import collect_returns, summarise, write_csv


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
    assert left == {
        "dataset": "medium", "variant": "v", "task": "slide-left", "agent": "bc", "seeds": "2", "behaviour": "5.0000",
        "last_mean": "25.0000", "last_std": "21.2132", "best_of_run_mean": "65.0000", "best_of_run_std": "35.3553",
        "score": "250.0000", "verdict": "beats its data",
    }  # fmt: skip
    assert (right["last_mean"], right["last_std"], right["verdict"]) == ("3.0000", "", "matches")


def test_a_place_that_cannot_be_written(summary, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_csv(summary, tmp_path / "file" / "t.csv")
