"""The slides' table from hand-made runs, against numbers worked out by hand."""

import csv
import json
from pathlib import Path

import pytest

from hcsac.experiments import Cell, collect_results, draw_curves, markdown, write_csv
from hcsac.settings import Settings


def write_run(cell, returns):
    """A run directory with evaluations: task -> [[seed 0, seed 1] at update 10, ... at 20]."""
    cell.path.mkdir(parents=True)
    identity = {"seeds": [0, 1], "behaviour": {"slide-left": 50.0, "slide-right": 30.0}}
    (cell.path / "run.json").write_text(json.dumps(identity))
    with open(cell.path / "evaluations.jsonl", "w") as file:
        for task, rows in returns.items():
            for update, row in zip((10, 20), rows, strict=True):
                for seed, value in enumerate(row):
                    record = {"update": update, "seed": seed, "task": task, "returns": [value - 1, value + 1]}
                    file.write(json.dumps(record) + "\n")


@pytest.fixture
def cells(tmp_path):
    cells = [
        Cell("medium", "", agent, tasks, (), Settings(), (0, 1), "correct", tmp_path / agent / "+".join(tasks))
        for agent, tasks in (
            ("bc", ("slide-left",)),
            ("bc", ("slide-right",)),
            ("hcsac", ("slide-left", "slide-right")),
        )
    ]
    left, right, both = cells
    write_run(left, {"slide-left": [[10, 90], [40, 60]]})
    write_run(right, {"slide-right": [[5, 5], [20, 24]]})
    write_run(both, {"slide-left": [[0, 0], [70, 50]], "slide-right": [[0, 30], [10, 12]]})
    return cells


def test_markdown_of_the_last_policy(cells):
    # left: bc 50 ± 14.1, hcsac 60 ± 14.1; right: bc 22 ± 2.8, hcsac 11 ± 1.4
    # average per seed: bc (40+20)/2, (60+24)/2 = 30, 42; hcsac 40, 31
    assert markdown(collect_results(cells)).splitlines()[2:] == [
        "| medium | slide-left | 50.0 | 50.0 ± 14.1 | **60.0 ± 14.1** |",
        "| medium | slide-right | 30.0 | **22.0 ± 2.8** | 11.0 ± 1.4 |",
        "| medium | average | 40.0 | **36.0 ± 8.5** | 35.5 ± 6.4 |",
    ]


def test_best_of_run_is_per_seed(cells):
    text = markdown(collect_results(cells), "best").splitlines()
    assert text[2] == "| medium | slide-left | 50.0 | **65.0 ± 35.4** | 60.0 ± 14.1 |"  # bc: 40 and 90
    assert text[3] == "| medium | slide-right | 30.0 | **22.0 ± 2.8** | 20.0 ± 14.1 |"  # hcsac: 10 and 30


def test_csv(cells, tmp_path):
    write_csv(collect_results(cells), tmp_path / "t.csv")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert len(rows) == 4
    assert (rows[0]["agent"], rows[0]["seeds"], rows[0]["last_mean"], rows[0]["last_std"]) == (
        "bc", "2", "50.0000", "14.1421",
    )  # fmt: skip


def test_curves_are_drawn(cells, tmp_path):
    from matplotlib import image

    paths = draw_curves(cells, tmp_path)
    assert [Path(p).name for p in paths] == ["medium-slide-left.png", "medium-slide-right.png"]
    picture = image.imread(paths[0])
    assert picture.shape[:2] == (600, 900)
    assert picture.std() > 0.05  # not a blank page
