"""A comparison from checkpoints to tables: real tiny runs, each number against one worked out apart."""

import csv
import json
import shutil

import numpy as np
import pytest

from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.evaluation import failed_share, improvement, paired_difference
from hcsac.experiments import compare, read_study, start_study
from hcsac.policy import evaluate, known_returns
from hcsac.training import RunDirectory, train
from tests.conftest import TASKS, run, slide_episodes
from tests.experiments.conftest import STUDY
from tests.training.conftest import settings

NOISE = 1e-4  # of returns that are evaluated in blocks of another size


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs on the same data, by name: bc and hcsac of seeds 0 and 1, other of seed 2 alone, left on one task."""
    folder = tmp_path_factory.mktemp("trained")
    data = Dataset.from_episodes({name: slide_episodes(name) for name in TASKS})
    for name, algorithm, seeds in (("bc", "bc", (0, 1)), ("hcsac", "hcsac", (0, 1)), ("other", "td3_bc", (2,))):
        train(algorithm, data, folder / name, settings(algorithm), seeds=seeds, progress=False)
    train("bc", data.select(("slide-left",)), folder / "left", settings("bc"), seeds=(0, 1), progress=False)
    return folder


@pytest.fixture
def runs(trained, tmp_path):
    """A copy of them; none has been compared."""
    shutil.copytree(trained, tmp_path / "runs")
    return tmp_path / "runs"


def cells(found):
    return {(one.algorithm, one.task): one for one in found.summary.tasks}


def test_every_number(runs):
    found = compare([runs / "bc", runs / "hcsac"], episodes=6, progress=False)
    assert list(cells(found)) == [(algorithm, task) for algorithm in ("bc", "hcsac") for task in TASKS]
    returns = {name: evaluate(runs / name, 6) for name in ("bc", "hcsac")}
    logged = RunDirectory(runs / "bc").identity()["behaviour_returns"]
    for (algorithm, task), one in cells(found).items():
        own = returns[algorithm][:, list(TASKS).index(task)]
        assert (one.seeds, one.episodes) == ((0, 1), 6)
        numbers = [one.mean, one.std, one.median, one.min, one.failed, one.dataset_return]
        expected = [own.mean(), own.mean(1).std(ddof=1), np.median(own), own.min(), failed_share(own).mean()]
        np.testing.assert_allclose(numbers, [*expected, np.mean(logged[task])], atol=NOISE)
        np.testing.assert_allclose(one.improvement, improvement(own, np.array(logged[task])), atol=NOISE)
        if algorithm == "bc":
            assert one.versus is None
        else:
            baseline = returns["bc"][:, list(TASKS).index(task)]
            np.testing.assert_allclose(one.versus.difference, paired_difference(own, baseline, True), atol=NOISE)
            assert (one.versus.name, one.versus.same_seeds) == ("bc", True)
    assert found.returns.num_rows == 2 * 2 * 2 * 6
    assert found.notes == [
        "With 6 episodes a task close policies cannot be told apart: use 50 or more.",
        "With 2 seeds the intervals are narrower than 95 %, as bootstrap intervals of few seeds are.",
    ]


def test_a_second_call_evaluates_nothing(runs, monkeypatch, capsys):
    paths = [runs / "bc", runs / "hcsac"]
    first = compare(paths, episodes=3).to_dict()
    assert "24/24 episodes" in capsys.readouterr().err
    monkeypatch.setattr(known_returns, "Evaluator", None)
    assert compare(paths, episodes=3).to_dict() == first
    assert capsys.readouterr().err == ""
    with pytest.raises(TypeError):
        compare(paths, episodes=4, progress=False)


def test_other_seeds_and_a_baseline_of_one_task(runs):
    found = cells(compare([runs / "left", runs / "other"], episodes=2, progress=False))
    left, right = (found["td3_bc", task].versus for task in TASKS)
    assert (left.name, left.same_seeds) == ("bc", False)  # on the same episodes of this task
    assert right is None
    text = compare([runs / "left", runs / "other"], episodes=2, progress=False).text()
    assert text.count("other seeds") == 2  # one cell, and what it means
    assert "a single seed" in text


def test_a_named_baseline(runs):
    found = cells(compare([runs / "bc", runs / "hcsac"], 2, "hcsac", progress=False))
    assert found["hcsac", "slide-left"].versus is None
    assert found["bc", "slide-left"].versus.verdict in ("beats hcsac", "not told apart", "below")
    with pytest.raises(UserError, match="unknown baseline 'hcsak'; did you mean 'hcsac'"):
        compare([runs / "bc", runs / "hcsac"], 2, "hcsak", progress=False)


def test_a_study(runs, tmp_path):
    (tmp_path / "s.toml").write_text(STUDY)
    study = read_study(tmp_path / "s.toml")
    from hcsac.data import store

    store.write("lab/slide-left-medium-v0", "slide-left", slide_episodes("slide-left"))
    record = start_study(study, tmp_path / "study")
    for one in record.runs:
        shutil.copytree(runs / "left", one.path)
    found = compare([tmp_path / "study"], 2, progress=False)
    assert [one[:4] for one in found.summary.tasks] == [("medium", "", "bc", "slide-left")]
    assert found.returns["run"][0].as_py() == str(record.runs[0].path)


def test_the_command_line(runs, tmp_path, capsys):
    arguments = ["compare", runs / "bc", runs / "hcsac", "--episodes", "2", "--threads", "1"]
    assert run(*arguments, "--csv", tmp_path / "c.csv", "--json", tmp_path / "c.json") == 0
    out = capsys.readouterr().out
    assert out.startswith("2 policies, 2 episodes a seed and task, from seed 10000 on\n")
    heads = [line for line in out.splitlines() if line.startswith("Algorithm")]
    assert [head.split()[-4:] for head in heads] == [["its", "data", "Against", "bc"]] * 2
    assert "With 2 episodes a task close policies cannot be told apart" in out
    assert f"written: {tmp_path / 'c.csv'}, {tmp_path / 'c.json'}" in out
    content = json.loads((tmp_path / "c.json").read_text())
    rows = list(csv.DictReader((tmp_path / "c.csv").open()))
    assert (content["episodes"], content["first_seed"], len(content["policies"])) == (2, 10_000, 2)
    for row, record in zip(rows, content["cells"], strict=True):
        assert row.keys() == record.keys()
        assert float(row["last_mean"]) == pytest.approx(record["last_mean"], abs=1e-4)
        assert "best_of_run_mean" not in row
    assert rows[2]["paired_by"] == "initial state and seed"
    means = [f"{record['last_mean']:.1f} ± {record['last_std']:.1f}" for record in content["cells"]]
    assert all(mean in out for mean in means)
    assert run(*arguments, "--seed", "3", "--baseline", "nobody") == 2
    assert "unknown baseline 'nobody'" in capsys.readouterr().err
    assert run("compare") == 2
    assert "RUN_OR_STUDY" in capsys.readouterr().err
