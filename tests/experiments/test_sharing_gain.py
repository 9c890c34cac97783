"""The sharing gain: the runs to compare, the differences and their intervals."""

import json
import shutil

import numpy as np
import pytest

from hcsac.cli import main
from hcsac.data import store
from hcsac.errors import UserError
from hcsac.evaluation import paired_interval
from hcsac.experiments import find_runs, gain_runs, gain_table, sharing_gains, sharing_output
from hcsac.experiments.sharing_gain import variant_name
from hcsac.training import train
from tests.conftest import TASKS, slide_episodes
from tests.training.conftest import settings


@pytest.fixture
def base(tmp_path):
    refs = [f"lab/{name}-v0" for name in TASKS]
    for name, ref in zip(TASKS, refs, strict=True):
        store.write(ref, name, slide_episodes(name))
    return train("hcsac", refs, tmp_path / "base", settings(), seeds=(0, 1), progress=False)


def test_interval_is_that_of_a_normal_mean():
    differences = np.random.default_rng(1).normal(3, 2, (200, 1))
    mean, low, high = paired_interval(differences)
    half = 1.96 * differences.std(ddof=1) / np.sqrt(200)
    assert mean == pytest.approx(differences.mean())
    assert low == pytest.approx(mean - half, abs=0.03)
    assert high == pytest.approx(mean + half, abs=0.03)


def test_interval_knows_of_seeds_and_of_episodes():
    between = np.repeat(np.array([[-5.0], [5.0], [0.0]]), 50, axis=1)  # seeds differ, episodes do not
    within = np.random.default_rng(0).normal(0, 5, (3, 50))  # the other way round
    widths = [high - low for _, low, high in map(paired_interval, (between, within))]
    assert widths[0] > 5 * widths[1] / 2
    assert paired_interval(np.full((1, 4), 2.5)) == (2.5, 2.5, 2.5)


def test_the_baseline_differs_in_sharing_alone(base, tmp_path):
    runs = gain_runs(base, ["quantile:zero", "uds"], True, tmp_path / "out", {"updates": 3})
    names = [str(run.path.relative_to(tmp_path / "out")) for run in runs]
    one, two = "slide-left-slide-right", "slide-right-slide-left"
    assert names == ["none", "quantile-zero", f"quantile-zero/{one}", f"quantile-zero/{two}", "uds", f"uds/{one}",
                     f"uds/{two}"]  # fmt: skip
    assert [run.settings.sharing for run in runs] == ["none", *["quantile"] * 3, *["uds"] * 3]
    assert runs[2].settings.share == "slide-left:slide-right"
    trained = settings()
    for run in runs:
        assert run.settings.updates == 3
        assert (run.seeds, run.algorithm, run.refs) == ((0, 1), "hcsac", tuple(base.identity()["data"]))
        assert (run.settings.hidden_size, run.settings.share_quantile) == (trained.hidden_size, 0.5)
    with pytest.raises(UserError, match="did you mean 'quantile'"):
        gain_runs(base, ["quantil"], False, tmp_path / "out")


def settings_of(runs):
    return [(c.settings.sharing, c.settings.reward_rule, c.settings.target_pessimism, c.settings.share) for c in runs]


def test_reward_rule_and_directions_of_the_run_apply_to_every_rule(base, tmp_path):
    way = "slide-left:slide-right"
    rules = ["all", "quantile:keep", "all", "uds"]
    runs = gain_runs(base, rules, True, tmp_path, {"share": way, "reward_rule": "zero"})
    assert settings_of(runs) == [
        ("none", None, None, None), ("all", "zero", None, way), ("quantile", "keep", None, way),
        ("uds", None, None, way),
    ]  # fmt: skip
    assert [variant_name(run.settings) for run in runs[:2]] == ["none", f"all:zero {way}"]
    assert runs[1].path == tmp_path / "all-zero" / "slide-left-slide-right"
    assert f"all:zero {way}" in runs[1].label
    trained = base.identity()
    del trained["given"]  # runs of the first format did not record it
    for changes, expected in (
        ({"reward_rule": "zero", "share": way}, ("all", "zero", None, way)),
        ({"sharing": "uds", "reward_rule": "zero"}, ("all", None, None, None)),
        ({"sharing": "utds", "target_pessimism": "lcb", "critics": 5}, ("all", None, None, None)),
        ({"sharing": "all", "target_pessimism": "lcb"}, ("all", None, "lcb", None)),
    ):
        base.write_json("run.json", trained | {"settings": trained["settings"] | changes})
        baseline, run = gain_runs(base, ["all"], False, tmp_path)
        assert settings_of([run]) == [expected]
        assert baseline.settings == run.settings.replace({"sharing": "none", "reward_rule": None, "share": None})


@pytest.mark.parametrize(
    ("rules", "given", "says"),
    [
        (["none"], {}, "'none' is the baseline"),
        (["none:keep"], {}, "'none' is the baseline"),
        (["all"], {"sharing": "cds"}, "named by --rules; leave --sharing out"),
        (["all"], {"share": "slide-left:slide-rite"}, "did you mean 'slide-right'"),
    ],
)
def test_what_cannot_be_measured(rules, given, says, base, tmp_path):
    with pytest.raises(UserError, match=says):
        gain_runs(base, rules, True, tmp_path / "out", given)


def test_gains_are_paired_by_seed_and_episode(base, tmp_path):
    runs = gain_runs(base, ["all"], False, tmp_path / "out")
    returns = {"none": [[1.0, 2.0], [3.0, 4.0]], "all": [[3.0, 4.0], [5.0, 6.0]]}
    for run, name in zip(runs, returns, strict=True):
        run.path.mkdir(parents=True)
        (run.path / "run.json").write_text(json.dumps({"seeds": [0, 1], "agent": "hcsac", "tasks": [], "settings": {}}))
        with open(run.path / "evaluations.jsonl", "w") as file:
            for update, rows in ((5, [[9.0, 9.0], [9.0, 9.0]]), (10, returns[name])):
                for seed, row in enumerate(rows):
                    for task in TASKS:
                        file.write(json.dumps({"update": update, "seed": seed, "task": task, "returns": row}) + "\n")
    found = sharing_gains(runs)
    assert [(g.variant, g.task, g.baseline, g.difference, g.low, g.high) for g in found] == [
        ("all", task, 2.5, 2.0, 2.0, 2.0) for task in TASKS
    ]
    assert "| all | slide-left | 2.5 | **+2.0** | +2.0 .. +2.0 |" in gain_table(found, 2)
    assert "One seed" in gain_table(found, 1)


def test_settings_are_those_that_were_given(base, tmp_path):
    trained = base.identity()
    given = trained["given"] | {"sharing": "uds", "reward_rule": "zero"}
    base.write_json("run.json", trained | {"given": given})
    assert settings_of(gain_runs(base, ["all"], False, tmp_path)) == [
        ("none", None, None, None),
        ("all", "zero", None, None),
    ]


def test_only_runs_that_can_be_repeated(tmp_path, slides):
    with pytest.raises(UserError, match="no run on two tasks or more"):
        find_runs(tmp_path)
    train("hcsac", slides.select(["slide-left"]), tmp_path / "one", settings(updates=2), progress=False)
    with pytest.raises(UserError, match="on two tasks or more"):
        find_runs(tmp_path)
    run = train("hcsac", slides, tmp_path / "run", settings(updates=2), progress=False)
    assert [found.path for found in find_runs(tmp_path)] == [run.path]
    shutil.copytree(run.path, sharing_output(run.path) / "all")  # measured before: no run to measure
    assert [found.path for found in find_runs(tmp_path)] == [run.path]
    with pytest.raises(UserError, match="without a name"):
        gain_runs(run, ["all"], False, tmp_path / "out")


def test_the_command(base, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HCSAC_TASKS", "tests.conftest")
    command = ["sharing-gain", str(base.path), "--rules", "all,uds", "--updates", "4", "--jobs", "1"]
    with pytest.raises(SystemExit) as exit_:
        main(command)
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert "| uds | slide-right |" in out
    assert (tmp_path / "base-sharing" / "sharing.md").read_text().count("\n") == 6
