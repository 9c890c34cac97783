"""The state of a run by what its training has written."""

import os
import time

from filelock import FileLock

from hcsac.experiments.status import QUIET, state_of
from tests.experiments.report.conftest import make_study


def test_only_what_a_training_writes_keeps_a_run_alive(tmp_path):
    run = make_study(tmp_path / "study").runs[0]
    assert state_of(run, {}) == "finished"
    (run.path / "result.json").unlink()
    assert state_of(run, {}) == "running"
    assert state_of(run, {str(run.path): "bad"}) == "failed"
    for file in run.path.iterdir():
        os.utime(file, (time.time() - QUIET - 1,) * 2)
    assert state_of(run, {}) == "interrupted"
    (run.path / "compared.json").write_text("{}")
    assert state_of(run, {}) == "interrupted"
    with FileLock(run.path / ".lock"):  # as a training holds it
        assert state_of(run, {}) == "running"
    assert state_of(run, {}) == "interrupted"  # at once: nothing holds the lock
    (run.path / ".lock").unlink()
    (run.path / "metrics.jsonl").write_text("")
    assert state_of(run, {}) == "running"
    for file in run.path.iterdir():
        file.unlink()
    assert state_of(run, {}) == "waiting"
