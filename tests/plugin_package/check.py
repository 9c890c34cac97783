"""What a package outside hcsac adds, checked where both are installed: `check.sh` makes the environments and runs this.

The environment `with` is that of this interpreter; `without`, beside it, has hcsac alone.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import hcsac_example
import numpy as np
import pyarrow.parquet
import pytest
import torch
from hcsac_example.example_csv import write
from hcsac_example.iql import expectile_loss
from hcsac_example.top import TopSettings, top
from safetensors.torch import load_file

import hcsac
from hcsac.algorithms import make_algorithm, preset, resolve
from hcsac.cli import main

WITH = Path(sys.prefix)
WITHOUT = WITH.parent / "without"
SOURCE = Path(__file__).parent  # the package, not installed
TASKS = ("example-push-right", "example-push-left")
NEEDS = "needs the plug-in hcsac_example; give --plugin hcsac_example, or set HCSAC_PLUGINS=hcsac_example."
SMALL = [
    "--preset", "tiny", "--updates", "24", "--share-interval", "1", "--evaluate-interval", "2",
    "--evaluation-episodes", "1", "--final-episodes", "4", "--log-interval", "4", "--device", "cpu", "--threads", "1",
]  # fmt: skip
SHARING = ["--sharing", "example_top", "--top-fraction", "0.5", "--reward-rule", "recompute"]
STUDY = """
preset = "tiny"
algorithms = ["example_iql"]
seeds = [0, 1]
replicas = "apart"

[datasets]
medium = ["right.csv", "left.csv"]

[settings]
updates = 12
share_interval = 1
evaluation_episodes = 1
final_episodes = 4
device = "cpu"

[vary]
sharing = ["none", "example_top"]
"""


def ok(folder, *arguments, environment=WITH, **variables):
    """The output of `hcsac` in a process of an environment, run in a folder; it must succeed."""
    done = subprocess.run(
        [environment / "bin" / "hcsac", *map(str, arguments)],
        cwd=folder, env=os.environ | variables, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


EACH = """
import contextlib, io, json, sys
from hcsac.cli import main
for arguments in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as text:
        try:
            main(arguments)
        except SystemExit as stop:
            status = stop.code
    assert status == 2 and text.getvalue().count("\\n") == 1, (arguments, status, text.getvalue())
    print(text.getvalue(), end="")
"""


def refused_without(folder, *commands):
    """The one sentence of each of several commands that must be refused where the package is not installed."""
    words = json.dumps([[str(word) for word in command] for command in commands])
    done = subprocess.run(
        [WITHOUT / "bin" / "python", "-c", EACH], cwd=folder, input=words, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def record(folder, task, name):
    """A CSV file of episodes of random actions."""
    random, episodes = np.random.default_rng(0), []
    env = gymnasium.make(f"hcsac_example/{task}-v0")
    for seed in range(4):
        observations, actions, rewards, done = [env.reset(seed=seed)[0]], [], [], False
        while not done:
            actions.append(random.uniform(-1, 1, 2).astype(np.float32))
            observation, reward, _, done, _ = env.step(actions[-1])
            observations.append(observation)
            rewards.append(reward)
        last = np.arange(len(rewards)) == len(rewards) - 1
        episodes.append(hcsac.Episode(np.stack(observations), np.stack(actions), np.array(rewards), ~last & last, last))
    write(folder / name, task, episodes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the data of both tasks."""
    folder = tmp_path_factory.mktemp("lab")
    for task, name in zip(TASKS, ("right.csv", "left.csv"), strict=True):
        record(folder, task, name)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """A finished run of the algorithm with the sharing rule, on data of the format, in tasks of the package."""
    ok(folder, "train", "example_iql", "--data", "right.csv", "--data", "left.csv", *SMALL, *SHARING, "--output", "run")
    return folder / "run"


@pytest.fixture
def here(folder, monkeypatch, capsys):
    """Runs a command in this process, in the folder: its output, or its one sentence where it must be refused."""
    monkeypatch.chdir(folder)

    def call(*arguments, status=0):
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in arguments])
        out, err = capsys.readouterr()
        assert stop.value.code == status, err
        if status:
            assert err.count("\n") == 1, err
        return " ".join((err if status else out).split())

    return call


def test_both_are_installed():
    for module in (hcsac, hcsac_example):
        assert Path(module.__file__).is_relative_to(WITH)


def test_it_is_listed_with_its_settings_and_its_rules(here):
    text = here("train", "--help")
    assert "example_iql Implicit Q-learning: expectile values and advantage-weighted imitation (Kostrikov" in text
    text = here("train", "example_iql", "--help")
    for words in (
        "IQL:",
        "--iql-expectile",
        "[0.7]",
        "Sharing rule example_top:",
        "--top-fraction",
        "slides, paper, quick, best, tiny",
    ):
        assert words in text
    assert "--top-fraction" in here("train", "hcsac", "--help")  # every algorithm that shares has the rule
    assert "--iql-expectile" not in here("train", "hcsac", "--help")


def test_a_run_records_what_it_used(run):
    written = json.loads((run / "run.json").read_text())
    assert written["plugins"] == ["hcsac_example"]
    assert written["settings"]["top_fraction"] == 0.5
    assert written["settings"]["iql_expectile"] == 0.7
    shared = [json.loads(line) for line in (run / "sharing.jsonl").read_text().splitlines()]
    assert {(record["from"], record["to"]) for record in shared} == {TASKS, TASKS[::-1]}
    assert {record["borrowed"] for record in shared} == {24}
    names = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    assert {"value_loss", "advantage", "actor_loss"} <= set(names)


class Interrupt(hcsac.Callback):
    """As Ctrl-C after a checkpoint."""

    def on_checkpoint(self, update):
        raise KeyboardInterrupt


def test_an_interrupted_run_resumes_exactly(folder, run, here):
    settings = json.loads((run / "run.json").read_text())["given"]
    data = hcsac.load(["right.csv", "left.csv"])
    with pytest.raises(KeyboardInterrupt):
        hcsac.train(
            "example_iql", data, "resumed", preset("tiny", "example_iql").replace(settings), progress=False,
            callbacks=[Interrupt()],
        )  # fmt: skip
    again = ["train", "example_iql", "--data", "right.csv", "--data", "left.csv", *SMALL, *SHARING]
    again += ["--output", "resumed", "--resume"]
    assert refused_without(folder, again) == [f"hcsac: the run in resumed {NEEDS}"]
    here(*again)
    whole, resumed = (load_file(path / "checkpoint.safetensors") for path in (run, folder / "resumed"))
    assert whole.keys() == resumed.keys()
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], rtol=0, atol=0, equal_nan=True)


def test_it_compiles(folder, here):
    arguments = ["--data", "right.csv", "--iql-noise", "0.1", *SMALL, "--updates", "8"]
    for compile in ("on", "off"):
        here("train", "example_iql", *arguments, "--compile", compile, "--output", f"compile-{compile}")
    on, off = (load_file(folder / f"compile-{word}" / "checkpoint.safetensors") for word in ("on", "off"))
    for name in on:
        torch.testing.assert_close(on[name], off[name], atol=1e-5, rtol=1e-4, equal_nan=True)


def test_two_seeds_at_once_are_two_runs(folder):
    spec = hcsac.Spec(4, 2, TASKS)
    settings = resolve("example_iql", preset("tiny", "example_iql").replace({"device": "cpu"}), TASKS)
    both, alone = (make_algorithm("example_iql", spec, settings, seeds) for seeds in ([0, 1], [1]))
    for (name, weight), other in zip(both.named_parameters(), alone.parameters(), strict=True):
        assert torch.equal(weight[1], other[0]), name


def test_a_bundle_is_exported_and_loaded(folder, run, here):
    here("export", run, "--output", "bundle")
    observation = np.array([0.3, -0.2, 0.1, 0.0], np.float32)
    policy, exported = hcsac.load_policy(run), hcsac.load_policy(folder / "bundle")
    action = policy.act(observation, TASKS[1])
    assert np.array_equal(action, exported.act(observation, TASKS[1]))
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(folder / "bundle" / "policy.onnx", providers=["CPUExecutionProvider"])
    observations, tasks = (entry.name for entry in session.get_inputs())
    [actions] = session.run(None, {observations: observation[None], tasks: np.array([1])})
    np.testing.assert_allclose(actions[0], action, atol=1e-5)
    assert "hcsac_example" in json.loads((folder / "bundle" / "policy.json").read_text())["plugins"]
    assert TASKS[0] in here("evaluate", "bundle", "--episodes", "2", "--threads", "2")  # two simulator processes
    assert refused_without(folder, ["evaluate", "bundle"]) == [f"hcsac: the policy in bundle {NEEDS}"]


def test_a_policy_is_rendered_in_a_process_of_its_own(folder, run, here):
    here("render", run, "--seconds", "0.5", "--output", "video.mp4")
    assert (folder / "video.mp4").stat().st_size > 0


def test_a_study_with_workers_and_its_report(folder, here):
    (folder / "pushes.toml").write_text(STUDY)
    assert "4 of 4 runs finished" in ok(folder, "study", "run", "pushes.toml", "--jobs", "2")
    assert json.loads((folder / "runs" / "pushes" / "study.json").read_text())["plugins"] == ["hcsac_example"]
    here("study", "report", "pushes.toml", "--no-videos")
    here("study", "table", "pushes.toml", "--csv", "table.csv")
    output = folder / "runs" / "pushes"
    for page in ("report.html", "report.md"):
        assert "CVaR (25%): mean return of the worst quarter of the episodes" in (output / page).read_text()
    assert "example_cvar_mean" in (folder / "table.csv").read_text().splitlines()[0]
    table = pyarrow.parquet.read_table(output / "metrics.parquet")
    assert "example_cvar" in table.column_names or "example_cvar" in table["metric"].to_pylist()
    sentences = refused_without(folder, *(["study", word, "pushes.toml"] for word in ("status", "report", "table")))
    assert sentences == [f"hcsac: the study in runs/pushes {NEEDS}"] * 3


def test_without_the_package_its_names_are_unknown(folder, run):
    evaluate, export, train, data = refused_without(
        folder, ["evaluate", run], ["export", run, "--output", "x"], ["train", "example_iql"],
        ["train", "bc", "--data", "right.csv"],
    )  # fmt: skip
    assert evaluate == export == f"hcsac: the policy in {run} {NEEDS}"
    assert "unknown algorithm 'example_iql'" in train
    # Without the package it is a table, as the built-in format reads them.
    assert "dataset 'right.csv' does not name its task" in data


@pytest.mark.parametrize("way", ["--plugin", "HCSAC_PLUGINS", "HCSAC_TASKS"])
def test_a_module_that_is_not_installed(folder, run, way):
    """In every process: a study's workers are started anew."""
    (folder / f"by{way}.toml").write_text(STUDY.replace("seeds = [0, 1]", "seeds = [0]").replace('"none", ', ""))
    option, variables = (["--plugin", "hcsac_example"], {}) if way == "--plugin" else ([], {way: "hcsac_example"})
    variables["PYTHONPATH"] = str(SOURCE)
    ok(folder, *option, "evaluate", run, "--episodes", "1", environment=WITHOUT, **variables)
    ok(folder, "study", "run", f"by{way}.toml", *option, environment=WITHOUT, **variables)


MODULES = {
    "twice": "import hcsac\n@hcsac.metric('example_cvar')\ndef cvar(returns, task):\n    'Another.'\n",
    "ours": "import hcsac\n@hcsac.sharing_rule('quantile')\ndef quantile(own, candidates, settings, memory): ...\n",
    "broken": "import no_such_library\n",
    "incomplete": "import hcsac\n@hcsac.algorithm('lazy')\nclass Lazy(hcsac.Algorithm):\n    'None.'\n",
    "formless": "import hcsac\n@hcsac.dataset_format('bare')\nclass Bare:\n    'None.'\n",
}


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("twice", "metric 'example_cvar' is registered by hcsac_example already; choose another name."),
        ("ours", "sharing rule 'quantile' is registered by hcsac itself already; choose another name."),
        ("broken", "HCSAC_PLUGINS names the module 'broken', which cannot be imported (ModuleNotFoundError: No module "
                   "named 'no_such_library'); fix the name, PYTHONPATH or the module."),
        ("absent", "HCSAC_PLUGINS names the module 'absent', which cannot be imported"),
        ("incomplete", "algorithm 'lazy' (incomplete.Lazy) lacks build, update, Actor"),
        ("formless", "dataset format 'bare' has no method matches"),
    ],
)  # fmt: skip
def test_a_plugin_with_a_fault_is_one_sentence(here, tmp_path, monkeypatch, module, words):
    if module in MODULES:
        (tmp_path / f"{module}.py").write_text(MODULES[module])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HCSAC_PLUGINS", module)
    assert words in here("train", "--help", status=2)


@pytest.mark.skipif("HCSAC_CHECK_RAY" not in os.environ, reason="takes a minute; set HCSAC_CHECK_RAY=1")
def test_it_reaches_workers_on_a_ray_cluster(folder):
    ray = pytest.importorskip("ray", reason="needs the extra ray")
    study = STUDY.replace("right.csv", f"{folder}/right.csv").replace("left.csv", f"{folder}/left.csv")
    (folder / "ray.toml").write_text(study)  # workers have folders of their own
    address = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False).address_info["gcs_address"]
    try:
        output = ok(folder, "study", "run", "ray.toml", "--launcher", "ray", "--address", address)
    finally:
        ray.shutdown()
    assert "4 of 4 runs finished" in output


def test_the_rule_takes_the_fraction_of_highest_value():
    taken = top(np.zeros(3), np.array([3.0, 1.0, 4.0, 2.0]), TopSettings(top_fraction=0.5), None)
    assert taken.taken.tolist() == [True, False, True, False]
    assert taken.threshold == 3.0
    assert not top(np.zeros(3), np.arange(4.0), TopSettings(top_fraction=0.0), None).taken.any()


def test_the_expectile_loss_is_least_at_the_expectile():
    values = np.random.default_rng(0).normal(size=200)
    levels = np.linspace(-1, 2, 3001)
    differences = torch.tensor(values[None] - levels[:, None])
    best = levels[expectile_loss(differences, 0.8).argmin()]
    above, below = np.clip(values - best, 0, None).sum(), np.clip(best - values, 0, None).sum()
    assert abs(0.8 * above - 0.2 * below) < 0.5  # the condition that defines the expectile
