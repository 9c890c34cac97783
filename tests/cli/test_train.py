"""`hcsac train`: the options of each algorithm, and what is refused."""

import json
import re

import pytest

from hcsac.algorithms import ALGORITHMS, preset, sentence, settings_of
from hcsac.data import store
from hcsac.tasks import Task, register_task
from tests.cli.conftest import TINY, refuse
from tests.conftest import run


def test_train_evaluate_resume(stored, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["train", "hcsac", "--data", stored[0], "--data", stored[1], "--output", out, *TINY]
    assert run(*arguments) == 0
    assert "best of run" in capsys.readouterr().out
    assert run("evaluate", out, "--episodes", "2") == 0
    assert "slide-right" in capsys.readouterr().out
    assert "--resume" in refuse(capsys, tmp_path, *arguments)
    assert run(*arguments, "--resume") == 0
    assert "setting discount" in refuse(capsys, tmp_path, *arguments, "--resume", "--discount", "0.5")


SHARE = ["train", "hcsac", "--data", "lab/slide-left-medium-v0", "--data", "lab/slide-right-medium-v0"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--sharing", "quantil"], "did you mean 'quantile'?"),
        (["--share", "slide-left:slide-rite"], "did you mean 'slide-right'?"),
        (["--share", ""], "not of the form from:to"),
        (["--share", "slide-left"], "not of the form from:to"),
        (["--share-quantile", "1.5"], "share_quantile = 1.5 is out of bounds"),
        (["--sharing", "cds", "--cds-quantile", "90"], "cds_quantile = 90.0 is out of bounds"),
        (["--own-fraction", "-0.1"], "own_fraction = -0.1 is out of bounds"),
        (["--own-fraction", "2"], "own_fraction = 2.0 is out of bounds"),
        (["--sharing", "uds", "--reward-rule", "keep"], "'uds' means reward_rule = 'zero', not 'keep'"),
        (["--sharing", "utds"], "needs critics of at least 5, not 2"),
    ],
)
def test_bad_sharing(stored, tmp_path, monkeypatch, capsys, options, says):
    monkeypatch.chdir(tmp_path)
    assert says in refuse(capsys, tmp_path, *SHARE, *options)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        (
            "bc",
            ["--sharing", "all"],
            "bc has no setting 'sharing' (hcsac, iql, one_step, rebrac, td3_bc have it); leave out --sharing.",
        ),
        ("mtcsac", ["--sharing", "none"], "mtcsac has no setting 'sharing'"),
        ("bc", ["--cql-weight", "3"], "bc has no setting 'cql_weight' (csac, mtcsac, hcsac have it)"),
        ("bc", ["--no-backup-entropy"], "bc has no setting 'backup_entropy'"),
        ("td3_bc", ["--bc-warmup", "3"], "td3_bc has no setting 'bc_warmup'"),
    ],
)
def test_a_setting_of_another_algorithm_is_refused(stored, tmp_path, monkeypatch, capsys, name, options, says):
    monkeypatch.chdir(tmp_path)
    assert says in refuse(capsys, tmp_path, "train", name, *SHARE[2:], *options)


def test_a_file_with_a_setting_of_another_algorithm_is_refused(stored, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("cql_weight = 3.0\n")
    said = refuse(capsys, tmp_path, "train", "bc", *SHARE[2:], "--config", "mine.toml")
    assert "bc has no setting 'cql_weight' (csac, mtcsac, hcsac have it); leave it out." in said


def test_toml_wins_over_the_preset_and_options_over_toml(stored, tmp_path):
    from hcsac.training import RunDirectory

    file = tmp_path / "s.toml"
    file.write_text('discount = 0.5\ncql_weight = 2\nembedding = "concat"\n')
    out = tmp_path / "run"
    assert (
        run("train", "mtcsac", "--data", stored[0], "--config", file, "--discount", "0.7", "--output", out, *TINY) == 0
    )
    settings = RunDirectory(out).identity()["settings"]
    assert (settings["discount"], settings["cql_weight"], settings["embedding"]) == (0.7, 2.0, "concat")


def test_a_toml_key_that_is_no_setting(stored, tmp_path, capsys):
    (tmp_path / "s.toml").write_text("batchsize = 3\n")
    said = refuse(capsys, tmp_path, "train", "bc", "--data", stored[0], "--config", tmp_path / "s.toml")
    assert "did you mean 'batch_size'?" in said


def test_tasks_of_different_sizes(stored, tmp_path, monkeypatch, capsys):
    from hcsac.data.episode import Episode
    from hcsac.tasks import random_rollout

    register_task(Task("car", "MountainCarContinuous-v0"))
    store.write("lab/car-v0", "car", [Episode(**random_rollout("car", 0))])
    monkeypatch.chdir(tmp_path)
    said = refuse(capsys, tmp_path, "train", "mtcsac", "--data", stored[0], "--data", "lab/car-v0")
    assert "car" in said
    assert "slide-left" in said


def test_rewards_that_cannot_be_recomputed(stored, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "hcsac", "--data", stored[0], "--data", stored[1], "--reward-rule", "recompute", *TINY]
    assert "'slide-left' cannot be recomputed: it has no reward function" in refuse(capsys, tmp_path, *arguments)


def test_a_directory_of_somebody_else(stored, tmp_path, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("years")
    said = refuse(capsys, tmp_path, "train", "bc", "--data", stored[0], "--output", tmp_path / "thesis")
    assert "thesis" in said


@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_help_names_the_settings_of_the_algorithm_alone_and_the_values_of_the_preset(capsys, name):
    every = {setting for other in ALGORITHMS.names() for setting in settings_of(other)().as_dict()}
    for chosen, arguments in (("best", []), ("quick", ["--preset", "quick"]), ("quick", ["--preset=quick"])):
        assert run("train", name, *arguments, "--help") == 0
        out = " ".join(capsys.readouterr().out.split())
        own = preset(chosen, name).as_dict()
        for setting in every:
            assert (re.search(rf"--{setting.replace('_', '-')}\b", out) is not None) == (setting in own), setting
        assert f"learning rate of the actor (and of a temperature) [{own['actor_learning_rate']:g}]" in out


def test_help_lists_the_algorithms(capsys):
    assert run("train", "--help") == 0
    out = " ".join(capsys.readouterr().out.split())
    for name in ALGORITHMS.names():
        assert f"{name} {sentence(ALGORITHMS.get(name))[:20]}" in out


def test_the_algorithm_may_follow_options_and_lists_may_be_short(stored, tmp_path):
    out, refs = tmp_path / "run", ",".join(stored[:2])
    assert run("train", "--data", refs, "--seeds", "0-1,4", "--output", out, "hcsac", *TINY) == 0
    identity = json.loads((out / "run.json").read_text())
    assert (identity["seeds"], identity["data"], identity["agent"]) == ([0, 1, 4], list(stored[:2]), "hcsac")
    assert (identity["given"]["reward_rule"], identity["settings"]["reward_rule"]) == (None, "keep")
    assert identity["plugins"] == []


@pytest.mark.parametrize(
    ("seeds", "says"), [("3-1", "0,1,2 or 0-4"), ("0-", "0,1,2 or 0-4"), ("0,0", "each given once")]
)
def test_seeds_that_are_none(stored, tmp_path, capsys, seeds, says):
    assert says in refuse(capsys, tmp_path, "train", "hcsac", "--data", stored[0], "--seeds", seeds, *TINY)


@pytest.mark.parametrize(("device", "says"), [
    ("cuda:99", "setting device = 'cuda:99', but PyTorch sees"), ("gpu", "give auto, cpu, cuda or cuda:N"),
    ("cuda:x", "give auto, cpu, cuda or cuda:N")])  # fmt: skip
def test_devices_that_are_not_there(stored, tmp_path, capsys, device, says):
    said = refuse(capsys, tmp_path, "train", "hcsac", "--data", stored[0], "--device", device)
    assert says in said
