"""The command line: that it works, and that each bad input is one sentence, status 2, and nothing touched."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from hcsac.algorithms import ALGORITHMS, preset, sentence, settings_of
from hcsac.data import store
from hcsac.data.episode import to_arrivals
from hcsac.tasks import Task, register_task, registry
from tests.conftest import TASKS, run, slide_episodes

TINY = ["--hidden-size", "8", "--hidden-layers", "2", "--batch-size", "16", "--cql-samples", "2", "--updates", "6"]
TINY += ["--evaluation-episodes", "1", "--final-episodes", "1", "--device", "cpu", "--log-interval", "2"]


def tree(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.fixture
def logs(tmp_path):
    """A folder of three good episodes as a user arrives with."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for number, episode in enumerate(slide_episodes("slide-left", 3)):
        np.savez(folder / f"episode_{number}.npz", **to_arrivals(episode))
    return folder


@pytest.fixture
def stored():
    """Datasets lab/TASK-LEVEL-v0 of both light tasks."""
    for name in TASKS:
        for seed, level in enumerate(["medium", "medium-replay"]):
            store.write(f"lab/{name}-{level}-v0", name, slide_episodes(name, seed=seed))
    return [f"lab/{name}-medium-v0" for name in TASKS]


def refuse(capsys, tmp_path, *arguments):
    """Run, check the form of the refusal, return the sentence."""
    capsys.readouterr()
    before = tree(tmp_path)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("hcsac: ")
    assert captured.err.strip().count("\n") == 0
    assert "Traceback" not in captured.err
    assert tree(tmp_path) == before
    return captured.err


def import_(folder, name="lab/new-v0", task="slide-left"):
    return ["data", "import", folder, "--task", task, "--name", name]


def test_import_list_info_check(logs, capsys):
    assert run(*import_(logs)) == 0
    assert run("data", "list") == 0
    assert "lab/new-v0" in capsys.readouterr().out
    assert run("data", "info", "lab/new-v0") == 0
    out = capsys.readouterr().out
    assert "slide-left" in out
    assert "3 with 36 steps" in out
    assert run("data", "check", "lab/new-v0") == 0


def damage_truncated(file):
    file.write_bytes(file.read_bytes()[:-200])


def damage(key, change):
    def spoil(file):
        with np.load(file) as arrays:
            content = dict(arrays)
        content[key] = change(content[key])
        np.savez(file, **content)

    return spoil


def put(value):
    def change(array):
        array = array.copy()
        array[3] = value
        return array

    return change


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (damage_truncated, "episode_1.npz"),
        (damage("reward", lambda a: np.array([{"a": 1}] * len(a), dtype=object)), "episode_1.npz"),
        (damage("observation", put(np.nan)), "episode_1.npz"),
        (damage("reward", put(np.inf)), "episode_1.npz"),
        (damage("action", put(1.5)), "[-1, 1]"),
        (damage("reward", lambda a: np.concatenate([a, a[-1:]])), "episode_1.npz"),
        (damage("observation", lambda a: a[:, :2]), "episode"),
    ],
    ids=["truncated", "pickled", "nan", "inf", "action", "labels longer", "other size"],
)
def test_bad_episodes(logs, tmp_path, capsys, spoil, says):
    spoil(logs / "episode_1.npz")
    assert says in refuse(capsys, tmp_path, *import_(logs))


def test_bad_folders_and_names(logs, tmp_path, capsys):
    assert "nowhere" in refuse(capsys, tmp_path, *import_(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    assert "empty" in refuse(capsys, tmp_path, *import_(tmp_path / "empty"))
    assert "did you mean 'slide-left'?" in refuse(capsys, tmp_path, *import_(logs, task="slide-lift"))
    assert "namespace/name" in refuse(capsys, tmp_path, *import_(logs, name="x"))
    run(*import_(logs))
    assert "already exists" in refuse(capsys, tmp_path, *import_(logs))


def test_check_finds_a_shift_and_exits_1(tmp_path, capsys):
    """In a folder of .npz files, as it arrives, with actions one row early."""
    for number, episode in enumerate(slide_episodes("slide-left", 60)):
        arrays = to_arrivals(episode)
        arrays["action"] = np.roll(arrays["action"], -1, axis=0)
        np.savez(tmp_path / f"{number:03d}.npz", **arrays)
    assert run("data", "check", tmp_path, "--task", "slide-left") == 1
    assert "offset" in capsys.readouterr().out


def test_check_of_several_writes_cards_and_the_matrix(stored, tmp_path, capsys):
    cards = tmp_path / "cards"
    assert run("data", "check", *stored, "--card", cards) == 0
    out = capsys.readouterr().out
    assert "| lab/slide-left-medium-v0 | slide-left |" in out
    names = ["lab-slide-left-medium-v0", "lab-slide-right-medium-v0", "matrix"]
    assert sorted(tree(cards)) == sorted(f"{name}.{end}" for name in names for end in ("md", "json"))
    assert "| lab/slide-right-medium-v0 | slide-right |" in (cards / f"{names[0]}.md").read_text()
    assert run("data", "check", *stored, "--card", cards, "--matrix", "none") == 0
    (cards / "lab-slide-left-medium-v0.json").write_text("{}")
    assert "would be overwritten" in refuse(capsys, tmp_path, "data", "check", *stored, "--card", cards)
    assert "--matrix" in refuse(capsys, tmp_path, "data", "check", *stored, "--matrix", "some")
    assert "did you mean 'lab/slide-left-medium-v0'?" in refuse(
        capsys, tmp_path, "data", "check", "lab/slide-left-mediun-v0"
    )
    assert "NAME" in refuse(capsys, tmp_path, "data", "check")


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


def test_sharing_history(stored, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["train", "hcsac", "--data", stored[0], "--data", stored[1], "--output", out, *TINY, "--seeds", "0,1"]
    arguments += ["--share-interval", "1", "--share-quantile", "0", "--updates", "12"]
    assert run(*arguments, "--share", "slide-left:slide-right", "--share", "slide-right:slide-left") == 0
    capsys.readouterr()
    assert run("sharing-history", out) == 0
    head, *steps, _, written = capsys.readouterr().out.splitlines()
    assert head.split()[:6] == ["update", "from", "to", "candidates", "shared", "fraction"]
    assert [line.split()[:4] for line in steps] == [
        [update, f"slide-{a}", f"slide-{b}", "48"]
        for update in ("6", "12")
        for a, b in (("right", "left"), ("left", "right"))
    ]
    assert str(out / "sharing.png") in written
    assert (out / "sharing.png").read_bytes().startswith(b"\x89PNG")
    assert run("sharing-history", out, "--transition", "50") == 0
    first, *shared = capsys.readouterr().out.splitlines()
    assert first.startswith("transition 50: slide-right, episode 0, step 2, reward ")
    assert all("shared with slide-left, assigned reward" in line and ">= threshold" in line for line in shared)
    with open(out / "sharing.jsonl", "a") as file:
        file.write("gone\n")
    for options in ([], ["--transition", "50"]):
        assert run("sharing-history", out, *options) == 0
        assert capsys.readouterr().out.endswith("\nsharing.jsonl: 1 corrupt line skipped\n")
    assert "choose one from 0 to 95" in refuse(capsys, tmp_path, "sharing-history", out, "--transition", "96")
    assert "no-such-run" in refuse(capsys, tmp_path, "sharing-history", "no-such-run")


def test_sharing_history_of_a_run_that_shares_nothing(stored, tmp_path, capsys):
    out = tmp_path / "run"
    assert run("train", "mtcsac", "--data", stored[0], "--data", stored[1], "--output", out, *TINY) == 0
    capsys.readouterr()
    assert run("sharing-history", out) == 0
    assert "has shared no transitions (sharing = 'none')." in capsys.readouterr().out
    assert not (out / "sharing.png").exists()
    assert "has shared no transitions so far" in refuse(capsys, tmp_path, "sharing-history", out, "--transition", "0")


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
        ("bc", ["--sharing", "all"], "bc has no setting 'sharing' (hcsac, td3_bc have it); leave out --sharing."),
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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trian"], "did you mean 'train'?"),
        (["data", "chek"], "did you mean 'check'?"),
        (["train", "hcsak", "--data", "lab/slide-left-medium-v0"], "did you mean 'hcsac'?"),
        (["train", "bc", "--data", "lab/slide-left-mediun-v0"], "did you mean 'lab/slide-left-medium-v0'?"),
        (["train", "bc", "--data", "lab/slide-left-medium-v0", "--preset", "slide"], "did you mean 'slides'?"),
        (["train", "mtcsac", "--data", "lab/slide-left-medium-v0", "--discont", "1"], "--discount"),
        (["train", "bc", "--data", "lab/slide-left-medium-v0", "--discount", "much"], "--discount"),
        (["train", "bc", "--data", "lab/slide-left-medium-v0", "--discount", "7"], "discount"),
        (["train", "bc", "--data", "lab/slide-left-medium-v0", "--embedding", "ad"], "did you mean 'add'?"),
        (["train", "bc", "--data", "lab/slide-left-medium-v0", "--seeds", "0,x"], "--seeds"),
        (["train", "bc", "--data", "lab/slide-left-medium-v0", "--seeds", "1,1"], "each given once"),
        (["train", "bc", "--data", "lab/slide-left-medium-v0", "--tasks", "slide-lef"], "did you mean 'slide-left'?"),
        (["train", "bc"], "--data"),
        (["train", "bc", "--data", "lab/slide-left-medium-v0", "--config", "no.toml"], "no.toml"),
        (["train", "csac", "--data", "lab/slide-left-medium-v0", "--data", "lab/slide-right-medium-v0"], "one task"),
        (["evaluate", "no-such-run"], "no-such-run"),
        (["reproduce", "--algorithms", "bc,csaz"], "did you mean 'csac'?"),
        (["reproduce", "--tasks", "slide-left,slide-rite"], "did you mean 'slide-right'?"),
        (["reproduce", "--data", "lub", "--tasks", "slide-left"], "did you mean 'lab/slide-left-medium-v0'?"),
        (["collect", "walker-speed:quick"], "is no target speed"),
        (["collect", "walker-wolk"], "did you mean 'walker-walk'?"),
    ],
)
def test_bad_words(stored, tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert says in refuse(capsys, tmp_path, *arguments)


def test_a_toml_key_that_is_no_setting(stored, tmp_path, capsys):
    (tmp_path / "s.toml").write_text("batchsize = 3\n")
    said = refuse(capsys, tmp_path, "train", "bc", "--data", stored[0], "--config", tmp_path / "s.toml")
    assert "did you mean 'batch_size'?" in said


def test_tasks_of_different_sizes(stored, tmp_path, monkeypatch, capsys):
    from hcsac.data.episode import Episode
    from hcsac.tasks import Task, random_rollout, register_task

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


@pytest.mark.parametrize("command", [[], ["data"], ["data", "import"], ["data", "check"], ["train"], ["evaluate"],
                                     ["collect"], ["reproduce"], ["sharing-history"],
                                     ["sharing-gain"], ["export"], ["render"], ["study"],
                                     ["study", "run"], ["study", "status"]])  # fmt: skip
def test_help_teaches(command, capsys):
    assert run(*command, "--help") == 0
    assert "Usage: hcsac" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["grid", "status"], ["study", "status"]),
        (["report"], ["sharing-history"]),
        (["sharing"], ["sharing-gain"]),
        (["reproduce", "--agents", "bcc"], ["reproduce", "--algorithms", "bcc"]),
    ],
)
def test_names_of_earlier_releases_work_but_are_not_listed(old, new, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    nothing = [] if "reproduce" in old else ["nothing"]
    assert refuse(capsys, tmp_path, *old, *nothing) == refuse(capsys, tmp_path, *new, *nothing)
    assert run("--help") == 0
    commands = [line.split()[0] for line in capsys.readouterr().out.split("Commands:")[1].splitlines() if line]
    assert new[0] in commands
    assert not {"grid", "report", "sharing"} & set(commands)
    assert "did you mean 'sharing-gain'?" in refuse(capsys, tmp_path, "sharin-gain")


@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_help_names_the_settings_of_the_algorithm_alone_and_the_values_of_the_preset(capsys, name):
    every = {setting for other in ALGORITHMS.names() for setting in settings_of(other)().as_dict()}
    for chosen, arguments in (("slides", []), ("quick", ["--preset", "quick"]), ("quick", ["--preset=quick"])):
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


def test_reproduce(stored, tmp_path, monkeypatch, capsys):
    """In a subprocess, as a user starts it; its own tasks come in through HCSAC_TASKS."""
    monkeypatch.setenv("HCSAC_TASKS", "tests.conftest")
    command = [sys.executable, "-m", "hcsac.cli", "reproduce", "--data", "lab", "--tasks", ",".join(TASKS)]
    command += ["--output", str(tmp_path / "out"), "--levels", "medium", "--seeds", "0,1", "--bc-warmup", "2", *TINY]
    command.append("--no-videos")
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert [line.split()[:2] for line in first.stdout.splitlines() if " average " in line] == [
        ["medium", "average"]
    ] * 2
    assert "<!DOCTYPE html>" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "report.md").read_text().count("±") > 10
    rows = (tmp_path / "out" / "table.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 4
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("checkpoint.safetensors")}
    assert len(before) == (6 if torch.cuda.is_available() else 12)  # the seeds apart
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_user_error_in_a_subprocess_has_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "hcsac.cli", "evaluate", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_robot_without_a_simulator(logs, tmp_path, capsys, monkeypatch):
    """From .npz logs to a policy: imported, checked and trained on, but not evaluated."""
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    register_task(Task("arm-reach", reward=lambda arrived, action: -arrived[:, 0]))
    assert run(*import_(logs, task="arm-reach")) == 0
    assert run("data", "check", "lab/new-v0") == 0
    assert "36 rewards computed from observations" in capsys.readouterr().out
    out = tmp_path / "run"
    assert run("train", "mtcsac", "--data", "lab/new-v0", "--output", out, *TINY) == 0
    assert "not every task has a simulator" in capsys.readouterr().out
    assert "'arm-reach' has no simulator" in refuse(capsys, tmp_path, "evaluate", out)
    assert "'arm-reach' has no simulator" in refuse(capsys, tmp_path, "render", out)
    assert run("export", out) == 0
    assert "has not been evaluated" in (out / "policy" / "README.md").read_text()
    assert "'arm-reach' has no simulator" in refuse(capsys, tmp_path, "collect", "arm-reach", "--level", "1")
