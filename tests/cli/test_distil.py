"""`hcsac distil`: what it prints, that its bundle is evaluated, and what it refuses."""

import pytest

from tests.cli.conftest import TINY, refuse
from tests.conftest import run
from tests.policy.conftest import no_graph  # noqa: F401 (a fixture)

SHORT = ["--updates", "4", "--episodes", "2"]


@pytest.fixture
def trained(stored, tmp_path):
    """A policy of two actors and two seeds."""
    arguments = ["--data", ",".join(stored), "--actors", "2", "--seeds", "0,1", "--output", tmp_path / "run"]
    assert run("train", "mtcsac", *arguments, *TINY) == 0
    return tmp_path / "run"


def test_it_prints_what_it_costs_and_saves(trained, capsys, no_graph):  # noqa: F811
    capsys.readouterr()
    assert run("distil", trained, *SHORT, "--hidden-size", "4", "--hidden-layers", "1", "--noise", "0") == 0
    captured = capsys.readouterr()
    first, *lines = captured.out.splitlines()
    assert first == "mtcsac after 6 updates, distilled in 4 updates"
    assert "| networks | 2 | 1 |" in lines
    assert sum(line.startswith("| slide-left | ") for line in lines) == 2
    assert "(returns of 2 episodes a task and seed, 2 seeds (0, 1), from the same initial states;" in captured.out
    assert lines[-2].startswith("policy.onnx was not compared with PyTorch")
    assert lines[-1] == f"written: {trained / 'distilled'}"
    assert "distil" in captured.err
    assert "4/4" in captured.err
    assert run("evaluate", trained / "distilled", "--episodes", "1") == 0
    assert "slide-right" in capsys.readouterr().out


def test_other_data_and_another_place(trained, stored, tmp_path, capsys, no_graph):  # noqa: F811
    data = [ref.replace("medium", "medium-replay") for ref in stored]
    assert run("distil", trained, *SHORT, "--data", data[0], "--data", data[1], "--output", tmp_path / "out") == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"Distilled at states of `{data[0]}`, `{data[1]}`" in card
    assert not (trained / "distilled").exists()
    assert "choose another --output" in refuse(capsys, tmp_path, "distil", trained, *SHORT, "--output", tmp_path)


def test_bad_options(trained, tmp_path, capsys):
    for options, says in [
        (["--updates", "0"], "updates"),
        (["--updates", "many"], "--updates"),
        (["--noise", "-1"], "noise = -1.0 is out of bounds"),
        (["--episodes", "0"], "episodes = 0"),
        (["--hidden-size", "0"], "hidden_size"),
        (["--data", "lab/slide-left-mediun-v0"], "did you mean 'lab/slide-left-medium-v0'?"),
    ]:
        assert says in refuse(capsys, tmp_path, "distil", trained, *options)


def test_bad_places(tmp_path, capsys):
    assert "no run found" in refuse(capsys, tmp_path, "distil", tmp_path / "no-such-run")
    assert "RUN" in refuse(capsys, tmp_path, "distil")
