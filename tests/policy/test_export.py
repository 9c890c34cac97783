"""A bundle: what is in it, what it replaces and what it never touches."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.torch import load_file

import hcsac
from hcsac.cli import main
from hcsac.errors import UserError
from hcsac.files import write_atomically
from hcsac.policy import export, export_policy, load_policy
from hcsac.policy import onnx as graph
from hcsac.tasks import registry
from hcsac.training import train
from tests.policy.conftest import settings
from tests.policy.test_bundle import edit
from tests.training.conftest import tree

FILES = {"policy.safetensors", "policy.onnx", "policy.json", "README.md"}
ROWS = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)


def onnx_actions(bundle, rows, task):
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (pip install onnxruntime)")
    session = runtime.InferenceSession(str(bundle / "policy.onnx"))
    return session.run(["action"], {"observation": rows, "task": np.full(len(rows), task)})[0]


def test_a_bundle_acts_as_its_run_and_its_onnx_file_as_its_first_seed(run):
    whole, bundle = load_policy(run.path), load_policy(run.path / "policy")
    assert {path.name for path in (run.path / "policy").iterdir()} == FILES
    assert (bundle.tasks, bundle.seeds, bundle.update) == (whole.tasks, [3, 5], 24)
    assert bundle.dataset_returns == whole.dataset_returns
    for m, task in enumerate(bundle.tasks):
        for seed in (None, 3, 5):
            np.testing.assert_array_equal(bundle.act(ROWS, task, seed), whole.act(ROWS, task, seed))
        np.testing.assert_allclose(onnx_actions(run.path / "policy", ROWS, m), bundle.act(ROWS, task), atol=1e-5)
    names = load_file(run.path / "policy" / "policy.safetensors").keys()
    assert {name.split(".")[0] for name in names} == {"actor", "scaling"}


def test_one_seed(run, tmp_path):
    exported = export_policy(run.path, tmp_path / "deep" / "five", seed=5)
    assert (exported.state.seeds, exported.onnx_seed) == ([5], 5)
    whole, bundle = load_policy(run.path), load_policy(exported.path)
    assert bundle.seeds == [5]
    np.testing.assert_allclose(bundle.act(ROWS, "slide-left"), whole.act(ROWS, "slide-left", 5), atol=1e-6)
    assert not np.allclose(whole.act(ROWS, "slide-left", 3), whole.act(ROWS, "slide-left", 5), atol=1e-3)
    np.testing.assert_allclose(onnx_actions(exported.path, ROWS, 1), bundle.act(ROWS, "slide-right"), atol=1e-5)


def test_the_metadata(run):
    record = json.loads((run.path / "policy" / "policy.json").read_text())
    assert record["format"] == 1
    assert [(t["index"], t["name"], t["env_id"], t["random_return"], t["expert_return"]) for t in record["tasks"]] == [
        (0, "slide-left", "tests/slide-left-v0", 0.0, 10.0), (1, "slide-right", "tests/slide-right-v0", 0.0, 10.0)
    ]  # fmt: skip
    held = run.identity()
    data = {"names": held["data"], "rows": 96, "fingerprint": held["fingerprint"], "held_out": {}}
    assert record["data"] == data
    assert record["settings"] == held["settings"]
    assert (record["onnx_seed"], record["update"], record["alignment"], record["finished"]) == (3, 24, "correct", True)


def test_without_onnxruntime_nothing_is_compared(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SystemExit) as done:
        main(["export", str(run.path), "--output", str(tmp_path / "out"), "--seed", "3"])
    assert done.value.code == 0
    assert "not compared with PyTorch: onnxruntime is not installed" in capsys.readouterr().out
    assert "The two were not compared" in (tmp_path / "out" / "README.md").read_text()


def test_the_command_prints_its_result_alone(run, monkeypatch):
    monkeypatch.setenv("HCSAC_TASKS", "tests.conftest")
    command = [sys.executable, "-m", "hcsac.cli", "export", str(run.path)]
    before = tree(run.path)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    agreed, written = done.stdout.splitlines()[-2:]
    assert agreed.startswith("policy.onnx agrees with PyTorch: actions differ by at most")
    assert written == f"written: {run.path / 'policy'}"
    assert tree(run.path) == before  # the same run gives the same bundle, to the byte
    assert not [path.name for path in run.path.iterdir() if path.name.startswith(".policy")]


def test_a_bundle_of_the_same_run_is_replaced(run, no_graph):
    held = run.path / "policy"
    (held / "policy.onnx").unlink()
    with write_atomically(held / "compared.json") as killed:
        killed.write_text("{")
    (held / "compared.json").rename(killed)  # as a process leaves it that is killed before
    export_policy(run.path, seed=5)
    assert load_policy(held).seeds == [5]
    assert {path.name for path in held.iterdir()} == FILES
    assert {path.name for path in run.path.iterdir() if "policy" in path.name} == {"policy"}


def put(name, content):
    return lambda place: (place / name).write_text(content)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("notes.txt", "mine"), "also contains notes.txt"),
        (put("README.md", "my card"), "README.md has been changed since it was exported"),
        (put("policy.safetensors", ""), "policy.safetensors has been changed"),
        (put("policy.json", "{"), "policy.json is corrupt"),
        (put("policy.json", json.dumps({"format": 2})), "made by a newer hcsac.*upgrade hcsac"),
        (put("policy.json", json.dumps({"format": 1})), "the policy of another run"),
        (lambda place: edit(place, distilled={}), "contains a distilled policy of this run; choose another --output"),
        (lambda place: (place / "policy.json").unlink(), "exists and is not a policy bundle"),
    ],
)
def test_what_is_not_an_unchanged_bundle_stays(run, no_graph, change, says):
    change(run.path / "policy")
    before = tree(run.path)
    with pytest.raises(UserError, match=says) as caught:
        export_policy(run.path)
    assert "\n" not in str(caught.value)
    assert tree(run.path) == before


def test_other_directories_stay(run, slides, tmp_path, no_graph):
    (tmp_path / "thesis.tex").write_text("years")
    other = train("hcsac", slides, tmp_path / "other", settings(updates=6), progress=False)
    export_policy(other.path)
    before = tree(tmp_path)
    for place, says in [
        (tmp_path / "thesis.tex", "exists and is not a policy bundle"),
        (tmp_path / "thesis.tex" / "policy", "cannot write to"),
        (tmp_path, "exists and is not a policy bundle"),
        (run.path, "exists and is not a policy bundle"),
        (other.path / "policy", "contains the policy of another run"),
    ]:
        with pytest.raises(UserError, match=says):
            export_policy(run.path, place)
        assert tree(tmp_path) == before


def test_what_cannot_be_exported(run, tmp_path, no_graph, monkeypatch):
    for call, says in [
        ((tmp_path / "nowhere",), "no run found at .*: it does not exist"),
        ((run.path, tmp_path / "out", 4), "unknown seed '4'; known: 3, 5"),
    ]:
        with pytest.raises(UserError, match=says):
            export_policy(*call)
    monkeypatch.setattr(registry.TASKS, "_items", {})
    with pytest.raises(UserError, match=r"task 'slide-left' of this run is not registered; .* HCSAC_PLUGINS"):
        export_policy(run.path, tmp_path / "out")
    monkeypatch.undo()
    (run.path / "evaluations.jsonl").unlink()
    with pytest.raises(UserError, match="has no evaluation of slide-left after 24 updates"):
        export_policy(run.path, tmp_path / "out")
    run.checkpoint.unlink()
    with pytest.raises(UserError, match="has no checkpoint yet"):
        export_policy(run.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_where_onnx_differs_or_the_disk_is_full(run, no_graph, monkeypatch):
    before = tree(run.path)

    def differs(content, state):
        raise UserError(graph._failure("differs"))

    with monkeypatch.context() as patch:
        patch.setattr(export, "largest_difference", differs)
        with pytest.raises(UserError, match="nothing was written"):
            export_policy(run.path)
    real = os.rename

    def full(source, target):
        if str(source).endswith("new"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(export.os, "rename", full)
    with pytest.raises(UserError, match=r"cannot write to .* \(No space left on device\)"):
        export_policy(run.path)
    assert tree(run.path) == before


BLOCKED = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("dm_control", "mujoco", "minari", "h5py", "matplotlib", "onnx", "onnxruntime"):
            raise ImportError(name + " is not here")
sys.meta_path.insert(0, Refuse())
import numpy as np
import hcsac
policy = hcsac.load_policy(sys.argv[1])
np.save(sys.argv[2], policy.act(np.load(sys.argv[2]), "slide-right", seed=5))
"""


def test_a_bundle_acts_without_data_or_simulator(run, tmp_path):
    """In a process of its own, where nothing but the bundle is left and importing what it must not need fails."""
    bundle = shutil.copytree(run.path / "policy", tmp_path / "robot")
    expected = load_policy(run.path).act(ROWS, "slide-right", 5)
    shutil.rmtree(run.path)
    np.save(tmp_path / "rows.npy", ROWS)
    source = os.path.dirname(os.path.dirname(hcsac.__file__))
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, bundle, tmp_path / "rows.npy"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": source},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_allclose(np.load(tmp_path / "rows.npy"), expected, atol=1e-6)


def test_a_bundle_is_evaluated(run, capsys):
    for path in (run.path, run.path / "policy"):
        with pytest.raises(SystemExit) as done:
            main(["evaluate", str(path), "--episodes", "3"])
        assert done.value.code == 0
    whole, bundle = capsys.readouterr().out.split(f"{run.path}/policy after")
    assert "slide-left" in bundle
    assert whole.splitlines()[1:] == bundle.splitlines()[1:]
