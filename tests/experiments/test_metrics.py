"""Report metrics: one function gives a table, and columns in CSV and Parquet; a wrong one is a sentence."""

import csv
import sys

import numpy as np
import pytest

import hcsac
from hcsac.errors import UserError
from hcsac.experiments import collect_returns, metrics, read_metrics, summarise, write_csv, write_metrics, write_report
from hcsac.tasks import Task
from tests.conftest import run
from tests.experiments.report.conftest import NASTY, TASKS, make_study, value

PLUGIN = '''
import numpy as np
import hcsac

@hcsac.metric("cvar_50", better="BETTER")
def cvar(returns, task):
    """Mean return of the worse half of the episodes.

    More of it.
    """
    return np.sort(returns, axis=1)[:, : returns.shape[1] // 2].mean(axis=1)
'''


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """Metrics that a test registers are forgotten after it."""
    for table in ("_items", "_origins"):
        monkeypatch.setattr(metrics.METRICS, table, dict(getattr(metrics.METRICS, table)))


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Loads a module of a metric as a user does, by HCSAC_PLUGINS."""

    def load(better="higher"):
        (tmp_path / "cvar_plugin.py").write_text(PLUGIN.replace("BETTER", better))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("HCSAC_PLUGINS", "cvar_plugin")

    yield load
    sys.modules.pop("cvar_plugin", None)


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path / "study")


def expected(level, variant):
    """The metric of every seed, from the returns of the study."""
    seeds = (0, 1) if (level, variant) == ("replay", NASTY) else (0, 1, 2)  # its third seed failed
    return [np.mean([value(level, variant, seed, TASKS[0], 300, episode) for episode in (0, 1)]) for seed in seeds]


def test_a_metric_of_a_plug_in_is_everywhere(study, plugin, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* plotly */")
    plugin()
    mean = np.mean(expected("medium", NASTY))
    written = write_report(study, videos=False)
    for text in (written.page.read_text(), written.markdown.read_text(), written.tables):
        assert "Metric cvar" in text.replace("\\", "")
        assert f"{mean:.1f} ± 1.0" in text
    assert "Mean return of the worse half of the episodes. Mean ± sample" in written.markdown.read_text()
    assert "More of it" not in written.page.read_text()
    write_csv(written.summary, tmp_path / "t.csv")
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert float(rows[0]["cvar_50_mean"]) == pytest.approx(np.mean(expected("medium", "plain")))
    assert float(rows[0]["cvar_50_std"]) == pytest.approx(1.0)
    table = read_metrics(written.metrics).to_pylist()
    own = [row for row in table if (row["dataset"], row["variant"], row["task"]) == ("replay", NASTY, TASKS[0])]
    assert [row["seed"] for row in own] == [0, 1]
    assert [row["cvar_50"] for row in own] == pytest.approx(expected("replay", NASTY))
    assert run("study", "table", study.output, "--csv", tmp_path / "u.csv") == 0
    assert "Metric cvar_50" in capsys.readouterr().out
    assert (tmp_path / "u.csv").read_text() == (tmp_path / "t.csv").read_text()


@pytest.mark.parametrize(("better", "best"), [("higher", NASTY), ("lower", "plain")])
def test_the_best_value_is_marked(study, plugin, better, best):
    plugin(better)
    from hcsac.experiments.report.load import load_study
    from hcsac.experiments.report.styles import series_of
    from hcsac.experiments.report.tables import metric_table

    loaded = load_study(study, study.output / "events.jsonl", lambda text: None)
    series = series_of(one.run for one in loaded.finished)
    table = metric_table(metrics.METRICS.get("cvar_50"), loaded.summary, series)
    marks = dict(zip(table.columns, table.groups[0][1][0], strict=True))
    assert {name: marks[name].mark for name in ("plain", NASTY)} == {"plain": "", NASTY: ""} | {best: "best"}


def test_without_plug_ins_nothing_is_added(study, tmp_path):
    summary = summarise(collect_returns([], tmp_path))
    write_csv(summary, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().strip().endswith(",baseline_verdict,paired_by")
    written = write_metrics(summary, tmp_path / "m.parquet")
    columns = read_metrics(written).column_names
    assert columns[:11] == ["dataset", "variant", "task", "agent", "seed", *metrics.BUILT_IN]
    assert columns[11] == "difference_to_data"
    assert metrics.extra_metrics() == {}


def test_built_in_metrics():
    returns, task = np.array([[1.0, 3.0], [5.0, 7.0]]), Task("t", random_return=0.0, expert_return=10.0)
    found = {name: one(returns, task).tolist() for name, one in metrics.METRICS.items()}
    assert found == {
        "mean_return": [2, 6],
        "score": [20, 60],
        "worst_episode": [1, 5],
        "best_episode": [3, 7],
        "median": [2, 6],
        "failed_share": [0.5, 0],  # 1 is below half of the median 4
    }
    assert np.isnan(metrics.METRICS.get("score")(returns, Task("t"))).all()
    returns[0, 0] = np.nan
    assert all(np.isnan(one(returns, task)).all() for _, one in metrics.METRICS.items())


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda returns, task: 1 / 0, "fails on task 't' \\(ZeroDivisionError: division by zero\\)"),
        (lambda returns, task: returns, r"returns the shape \[2, 3\] for 2 seeds on task 't'"),
        (lambda returns, task: 1.0, r"returns the shape \[\] for 2 seeds"),
        (lambda returns, task: ["a", "b"], "fails on task 't'"),
        (lambda returns, task: np.array([1.0, np.nan]), "returns NaN on task 't'"),
    ],
)
def test_a_wrong_metric_is_a_sentence(function, says):
    function.__doc__ = "Wrong."
    hcsac.metric("wrong")(function)
    with pytest.raises(UserError, match=rf"^metric 'wrong' of the module {__name__} {says}") as error:
        metrics.METRICS.get("wrong")(np.zeros((2, 3)), Task("t"))
    assert "\n" not in str(error.value)


def test_a_metric_cannot_change_the_returns_of_another():
    def changes(returns, task):
        """Changes its argument."""
        returns[:] = 0
        return returns[:, 0]

    hcsac.metric("changes")(changes)
    returns = np.ones((2, 3))
    metrics.METRICS.get("changes")(returns, Task("t"))
    assert (returns == 1).all()


def test_what_cannot_be_registered():
    def nothing(returns, task):
        return returns[:, 0]

    def documented(returns, task):
        """A number."""
        return returns[:, 0]

    with pytest.raises(UserError, match="metric 'nothing' has no docstring"):
        hcsac.metric("nothing")(nothing)
    with pytest.raises(UserError, match="'higher' nor 'lower'"):
        hcsac.metric("best", better="most")(documented)
    with pytest.raises(UserError, match="use letters, digits and underscores"):
        hcsac.metric("mean return")(documented)
    with pytest.raises(UserError, match="metric 'score' is registered by hcsac itself already"):
        hcsac.metric("score")(documented)
    assert hcsac.metric("documented")(documented) is documented


def test_what_is_no_table_of_metrics(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_metrics(tmp_path / "none.parquet")
    (tmp_path / "corrupt.parquet").write_bytes(b"PAR1 and so on")
    with pytest.raises(UserError, match="corrupt or no Parquet file"):
        read_metrics(tmp_path / "corrupt.parquet")
