"""The command line: that it works, and that each bad input is one sentence, status 2, and nothing touched."""

import json
import subprocess
import sys

import numpy as np
import pytest

from hcsac.data.episode import to_arrivals
from hcsac.tasks import Task, register_task, registry
from tests.cli.conftest import TINY, import_, refuse, tree
from tests.conftest import TASKS, run, slide_episodes


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


@pytest.mark.parametrize("cut", [True, False])
def test_check_says_what_is_wrong_and_exits_1_for_an_error_alone(tmp_path, capsys, cut):
    """In a folder of .npz files, as it arrives: an episode that was cut in two, or an action beyond the bounds."""
    for number, episode in enumerate(slide_episodes("slide-left", 3)):
        arrays = to_arrivals(episode)
        if number == 1 and not cut:
            arrays["action"][4, 1] = 1.5
        halves = (slice(None, 7), slice(6, None)) if number == 1 and cut else (slice(None),)
        for half, rows in enumerate(halves):
            np.savez(tmp_path / f"{number}-{half}.npz", **{name: array[rows] for name, array in arrays.items()})
    assert run("data", "check", tmp_path, "--task", "slide-left") == (0 if cut else 1)
    assert ("warning: split-episode" if cut else "error: action-out-of-bounds") in capsys.readouterr().out


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
        (["compare", "no-such-run"], "nothing to compare at no-such-run: it does not exist"),
        (["compare", "no-such-run", "--episodes", "0"], "--episodes"),
        (["reproduce", "--algorithms", "bc,csaz"], "did you mean 'csac'?"),
        (["reproduce", "--tasks", "slide-left,slide-rite"], "did you mean 'slide-right'?"),
        (["reproduce", "--data", "lub", "--tasks", "slide-left"], "did you mean 'lab/slide-left-medium-v0'?"),
        (["collect", "walker-speed:quick"], "is no target speed"),
        (["collect", "walker-wolk"], "did you mean 'walker-walk'?"),
        (["collect", "walker-walk", "--keep", "al"], "did you mean 'all'?"),
        (["collect", "walker-walk", "--keep", "all,slice"], "give --returns LOW:HIGH"),
        (["collect", "walker-walk", "--jobs", "2"], "--jobs is for a file of collections"),
        (["collect", "none.toml"], "none.toml"),
    ],
)
def test_bad_words(stored, tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert says in refuse(capsys, tmp_path, *arguments)


@pytest.mark.parametrize("command", [[], ["data"], ["data", "import"], ["data", "check"], ["train"], ["evaluate"],
                                     ["collect"], ["reproduce"], ["sharing-history"],
                                     ["sharing-gain"], ["export"], ["distil"], ["render"], ["compare"], ["study"],
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


def test_collections_from_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HCSAC_TASKS", "tests.conftest")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sets.toml").write_text(
        '[defaults]\nkeep = ["final", "slice"]\nreturns = ":900"\n[collections.slide-left]\n'
        '[collections.better]\ntask = "slide-right"\nreturns = "900:"\n'
    )
    command = ["collect", "sets.toml", "--steps", "8", "--episodes", "1", "--hidden-size", "8", "--namespace", "lab"]
    assert run(*command, "--keep", "final", "--keep", "slice", "--threads", "1") == 1
    captured = capsys.readouterr()
    assert "failed: better\nno training episode returns between 900 and inf" in captured.err
    assert "1 of 2 collections finished." in captured.out
    assert run("data", "info", "lab/slide-left-slice-v0") == 0
    assert run("data", "info", "lab/slide-right-final-v0") == 0  # what could be made of the other one
    assert (tmp_path / "runs" / "collect" / "better" / "seed-0" / "replay" / "000000.npz").exists()


def test_reproduce(stored, tmp_path, monkeypatch, capsys):
    """In a subprocess, as a user starts it; its own tasks come in through HCSAC_TASKS."""
    monkeypatch.setenv("HCSAC_TASKS", "tests.conftest")
    command = [sys.executable, "-m", "hcsac.cli", "reproduce", "--data", "lab", "--tasks", ",".join(TASKS)]
    command += ["--output", str(tmp_path / "out"), "--levels", "medium", "--seeds", "0", "--bc-warmup", "2", *TINY]
    command += ["--agents", "bc,hcsac", "--no-videos"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert [line.split()[:2] for line in first.stdout.splitlines() if " average " in line] == [
        ["medium", "average"]
    ] * 2
    assert "<!DOCTYPE html>" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "report.md").read_text().count("| slide-left |") > 1
    rows = (tmp_path / "out" / "table.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("checkpoint.safetensors")}
    assert len(before) == 3
    assert run(*command[3:]) == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_user_error_in_a_subprocess_has_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "hcsac.cli", "evaluate", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_robot_without_a_simulator(logs, tmp_path, capsys, monkeypatch):
    """From .npz logs to a policy: imported, checked, trained on, and judged by the episode that was held out."""
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    register_task(Task("arm-reach", reward=lambda arrived, action: -arrived[:, 0]))
    assert run(*import_(logs, task="arm-reach")) == 0
    assert run("data", "check", "lab/new-v0") == 0
    assert "36 rewards computed from observations" in capsys.readouterr().out
    out = tmp_path / "run"
    train = ["train", "mtcsac", "--data", "lab/new-v0", "--output", out, *TINY]
    assert "setting held_out = 1.0 is out of bounds" in refuse(capsys, tmp_path, *train, "--held-out", "1")
    assert run(*train, "--held-out", "0.3") == 0
    assert "not every task has a simulator" in capsys.readouterr().out
    file = tmp_path / "numbers.json"
    assert run("evaluate", out, "--updates", "4", "--json", file) == 0
    printed = capsys.readouterr().out
    assert "actions on held-out episodes" in printed
    assert "Nothing was held out" not in printed
    (task,) = json.loads(file.read_text())["tasks"]
    assert (task["task"], task["episodes"], task["steps"], task["noise"]) == ("arm-reach", 1, 12, None)
    assert f"{np.mean(task['error']):.4f}" in printed
    assert "unknown dataset 'lab/none-v0'" in refuse(capsys, tmp_path, "evaluate", out, "--data", "lab/none-v0")
    assert "'arm-reach' has no simulator" in refuse(capsys, tmp_path, "render", out)
    assert run("export", out) == 0
    assert "has not been evaluated" in (out / "policy" / "README.md").read_text()
    assert "'arm-reach' has no simulator" in refuse(capsys, tmp_path, "collect", "arm-reach", "--level", "1")
