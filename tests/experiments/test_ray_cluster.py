"""Runs on a Ray cluster of three nodes on this machine: one is killed, its run resumes elsewhere and ends the same."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

from hcsac.data import store
from hcsac.errors import UserError
from hcsac.experiments import RayLauncher, StudyRun, gpus_for, opened, read_study, run_all, start_study
from hcsac.experiments.status import events
from hcsac.training import RunDirectory, train
from hcsac.training.checkpoint import load
from tests.conftest import run, slide_episodes

REF = "lab/slide-left-medium-v0"
UPDATES = 6000
STUDY = f"""
preset = "quick"
agents = ["bc"]
seeds = [0, 1]
replicas = "apart"

[datasets]
medium = ["{REF}"]

[settings]
hidden_size = 8
hidden_layers = 2
batch_size = 16
updates = {UPDATES}
evaluate_interval = 100
evaluation_episodes = 1
final_episodes = 2
log_interval = 100
compile = "off"
device = "cpu"
"""


# Modules of tasks, which do nothing in the process of these tests but much in the others.
MODULES = {
    "deadly": f"""
import os
if os.getpid() != {os.getpid()}:
    os.kill(os.getpid(), 9)
""",
    "spy": f"""
import os, pathlib
from tests import conftest
if os.getpid() != {os.getpid()}:
    pathlib.Path(os.environ["MINARI_DATASETS_PATH"], "seen").write_text(repr(os.environ["CUDA_VISIBLE_DEVICES"]))
""",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head without cores, and two nodes with one each, in processes of their own on the loopback."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # sockets need a short path
    (Path(folder) / "ray").mkdir()
    modules = tmp_path_factory.mktemp("modules")
    for name, text in MODULES.items():
        (modules / f"{name}.py").write_text(text)
    here = {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "PYTHONPATH": os.pathsep.join([*sys.path, str(modules)])}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in here.items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(modules))  # the driver imports them, too
        pytest.importorskip("ray", reason="needs Ray: pip install 'hcsac[ray]'")
        from ray.cluster_utils import Cluster

        small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
        try:
            made.add_node(num_cpus=1, **small)
            made.add_node(num_cpus=1, **small)
            yield made
        finally:
            made.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The file of a study whose data are stored."""
    monkeypatch.setenv("HCSAC_TASKS", "tests.conftest")
    store.write(REF, "slide-left", slide_episodes("slide-left"))
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "study.toml"


class Killing(RayLauncher):
    """Kills the node of a run as soon as a checkpoint of the run is stored."""

    killed, at = "", 0

    def results(self, seconds):
        ends = super().results(0.2)
        running = {self._key(study_run): study_run for study_run in self._running.values()}
        stored = [path for path in self.store.rglob("checkpoint.safetensors") if not self.killed]
        for path in stored:
            key = path.parent.relative_to(self.store).as_posix()
            node = self._progress.get(key, (0, ""))[1]
            at = load(path)[1]
            if key in running and node and at < 0.8 * UPDATES:
                self.killed, self.at, self.path = node, at, path.parent
                (its,) = (one for one in self.cluster.worker_nodes if one.node_id == node)
                self.cluster.remove_node(its, allow_graceful=False)
                break
        return ends


def first_steps(run):
    """The update from which each process that worked on a run counted, by its TensorBoard file, in order of time."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    files = sorted((run / "tensorboard").iterdir(), key=lambda path: int(path.name.split(".")[3]))
    return [
        next((event.step for event in EventFileLoader(str(file)).Load() if event.HasField("session_log")), None)
        for file in files
    ]


@pytest.mark.long
def test_a_run_that_kills_its_process_fails_after_two_attempts(cluster, study, tmp_path, monkeypatch):
    monkeypatch.setenv("HCSAC_TASKS", "deadly")
    study = read_study(study)
    with opened((tmp_path / "store").as_uri()) as (folder, mirror):
        study_run = start_study(study, folder, mirror=mirror).runs[0]
        launcher = RayLauncher(cluster.address, folder, mirror, jobs=1)
        (end,) = run_all([study_run], launcher, folder / "events.jsonl", progress=False, mirror=mirror)
    assert (end.run, end.lost) == (study_run, False)
    assert "worker process on node" in end.error
    told = events(tmp_path / "store" / "events.jsonl")
    assert [(one["event"], one["attempt"]) for one in told] == [
        ("started", 1), ("failed", 1), ("started", 2), ("failed", 2),
    ]  # fmt: skip


def test_what_cannot_run_is_a_sentence(cluster, study, tmp_path, capsys):
    command = ["study", "run", study, "--launcher", "ray", "--output", tmp_path / "out"]
    for more, says in [
        ([], "give --address auto on one of its nodes, or --address HOST:PORT of its head node"),
        (["--address", "local"], "needs a running cluster"),
        (["--address", "ray://there:10001"], "is not auto or HOST:PORT"),
        (["--address", "127.0.0.1:1"], "nothing answers at 127.0.0.1:1"),
        (["--address", cluster.address, "--gpus-per-run", "2"], "no node of the Ray cluster"),
        (["--address", cluster.address, "--gpus-per-run", "1.5"], "give a whole number"),
        (["--address", cluster.address, "--cpus-per-run", "64"], "has 64 CPUs and 0 GPUs for a run"),
    ]:
        assert run(*command, *more) == 2
        assert says in capsys.readouterr().err


@pytest.mark.long
def test_the_run_of_a_lost_node_is_not_lost(cluster, study, tmp_path):
    store = tmp_path / "store"
    study = read_study(study)
    with opened(store.as_uri()) as (folder, mirror):
        runs = start_study(study, folder, mirror=mirror).runs
        launcher = Killing(cluster.address, folder, mirror)
        launcher.store, launcher.cluster = store, cluster
        assert launcher.slots == 2
        assert run_all(runs, launcher, folder / "events.jsonl", progress=False, mirror=mirror) == []
    assert launcher.killed
    assert launcher.at > 0
    told = events(store / "events.jsonl")
    assert sorted(one["event"] for one in told) == ["finished"] * 2 + ["lost"] + ["started"] * 3
    (lost,) = (one for one in told if one["event"] == "lost")
    assert store / lost["run"] == launcher.path
    assert lost["node"] == launcher.killed
    finished = {one["run"]: one["node"] for one in told if one["event"] == "finished"}
    assert launcher.killed not in finished.values()  # with "lost": both nodes worked
    assert all(finished.values())
    # The run went on from a checkpoint that its first node had stored.
    first, second = first_steps(launcher.path)
    assert first == 1
    assert second >= launcher.at + 1
    # And ended as it would have without all this.
    study_run = next(study_run for study_run in runs if study_run.path.relative_to(folder).as_posix() == lost["run"])
    alone = train("bc", [REF], tmp_path / "alone", study_run.settings, seeds=study_run.seeds, progress=False).path
    for name in ("metrics.jsonl", "evaluations.jsonl", "checkpoint.safetensors"):
        assert (launcher.path / name).read_bytes() == (alone / name).read_bytes()


class Interrupted(RayLauncher):
    """Is interrupted as soon as a run has written a checkpoint."""

    def results(self, seconds):
        super().results(0.1)
        if any(self.output.rglob("checkpoint.safetensors")):
            raise KeyboardInterrupt
        return []


@pytest.mark.long
def test_an_interrupted_driver_ends_its_tasks_and_can_resume(cluster, study, tmp_path):
    study.write_text(STUDY.replace("[0, 1]", "[0]"))
    out = tmp_path / "out"
    (study_run,) = start_study(read_study(study), out).runs
    with pytest.raises(KeyboardInterrupt):
        run_all([study_run], Interrupted(cluster.address, out), out / "events.jsonl", progress=False)
    written = (study_run.path / "metrics.jsonl").read_bytes()
    assert written
    time.sleep(1)
    assert (study_run.path / "metrics.jsonl").read_bytes() == written
    assert not RunDirectory(study_run.path).finished
    at = load(RunDirectory(study_run.path).checkpoint)[1]
    assert run_all([study_run], RayLauncher(cluster.address, out), out / "events.jsonl", progress=False) == []
    assert first_steps(study_run.path) == [1, at + 1]
    assert RunDirectory(study_run.path).read_json("result.json")["updates"] == UPDATES


def test_the_command_line_on_a_shared_folder(cluster, study, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HCSAC_TASKS", "spy")
    study.write_text(STUDY.replace(f"updates = {UPDATES}", "updates = 6"))
    assert run("study", "run", study, "--launcher", "ray", "--address", cluster.address) == 0
    assert "2 of 2 runs finished." in capsys.readouterr().out
    # The environment that the driver hands on is there before a run looks for its data and tasks.
    assert (tmp_path / "minari" / "seen").read_text() == "''"
    assert run("study", "status", study) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 finished"


def test_one_gpu_for_runs_on_cuda(study, tmp_path):
    runs = read_study(study).runs(tmp_path)
    assert gpus_for(runs) == 0
    assert gpus_for([StudyRun(**{**runs[0].__dict__, "settings": runs[0].settings.replace({"device": "cuda"})})]) == 1


def test_without_ray_the_sentence_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"not installed; pip install 'hcsac\[ray\]'"):
        RayLauncher("auto", tmp_path)
