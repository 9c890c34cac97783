"""What a command that trains and simulates nothing must not import, since that takes most of its time."""

import subprocess
import sys

import pytest

from hcsac.experiments import read_study, start_study

PROBE = """
import sys
from hcsac.cli import main
try:
    main(sys.argv[2:])
except SystemExit as end:
    assert end.code == 0
print("LOADED", *(name for name in sys.argv[1].split(",") if name in sys.modules))
"""
HEAVY = "torch,mujoco,dm_control,matplotlib,pyarrow,onnx"


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        (["--help"], f"{HEAVY},numpy,gymnasium,minari,h5py"),
        (["--version"], f"{HEAVY},numpy,gymnasium,minari,h5py"),
        (["data", "list"], HEAVY),
        (["data", "info", "sample/walker-run-medium-v0"], HEAVY),
    ],
    ids=["help", "version", "list", "info"],
)
def test_it_starts_without(command, absent):
    done = subprocess.run([sys.executable, "-c", PROBE, absent, *command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"
    assert len(done.stdout.splitlines()) > 1


def test_the_state_of_a_study_is_shown_without(tmp_path):
    (tmp_path / "new.toml").write_text('preset = "quick"\n[datasets]\nmedium = ["sample/walker-walk-medium-v0"]\n')
    start_study(read_study(tmp_path / "new.toml"), tmp_path / "new")
    test_it_starts_without(["study", "status", str(tmp_path / "new")], HEAVY)
