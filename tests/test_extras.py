"""The plain installation: training and evaluating need no library of the extras; the rest says what it needs."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
EXTRAS = {
    "av": "video", "jinja2": "report", "matplotlib": "report", "onnx": "export", "onnxscript": "export",
    "plotly": "report", "pyarrow": "tables",
}  # fmt: skip
COMMANDS = """
import contextlib, io, json, sys
from hcsac.cli import main
sys.modules.update(dict.fromkeys(json.loads(sys.argv[1])))
for command in json.loads(sys.argv[2]):
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            main(command)
        except SystemExit as end:
            status = end.code or 0
    print(json.dumps([status, said.getvalue()]))
"""
DATA, OTHER = "sample/walker-walk-medium-v0", "sample/walker-run-medium-v0"
SMALL = [
    *("--preset", "quick", "--updates", "3", "--hidden-size", "8"),
    *("--evaluation-episodes", "1", "--final-episodes", "1", "--evaluation-steps", "2"),
]
WORKS = [
    ["train", "bc", "--data", DATA, "--output", "run", *SMALL],
    ["evaluate", "run", "--episodes", "1"],
    ["data", "info", DATA],
    ["data", "check", DATA],
    [
        "train",
        "td3_bc",
        "--data",
        f"{DATA},{OTHER}",
        "--output",
        "shared",
        "--sharing",
        "all",
        *SMALL,
    ],
]
LACKS = {
    "pyarrow": ["data", "export", DATA, "--format", "parquet", "--output", "rows"],
    "matplotlib": ["sharing-history", "shared"],
    "av": ["render", "run", "--seconds", "0.1"],
    "onnx": ["export", "run"],
}


def test_the_extras_have_what_the_plain_installation_lacks():
    if not PROJECT.exists():
        pytest.skip("needs pyproject.toml, which is not beside an installed package")
    project = tomllib.loads(PROJECT.read_text())["project"]
    plain = [line.split(">")[0] for line in project["dependencies"]]
    assert not set(EXTRAS) & set(plain)
    for library, extra in EXTRAS.items():
        assert any(line.startswith(library) for line in project["optional-dependencies"][extra])
    everything = project["optional-dependencies"]["all"][0].removeprefix("hcsac[").removesuffix("]")
    assert set(everything.split(",")) == {"export", "ray", "report", "track", "video"}


def test_training_and_evaluating_without_them(tmp_path):
    commands = [*WORKS, *LACKS.values()]
    ended = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(list(EXTRAS)), json.dumps(commands)],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    outcomes = [json.loads(line) for line in ended.stdout.splitlines()]
    for command, (status, said) in zip(WORKS, outcomes, strict=False):
        assert status == 0, (command, said)
    for (library, command), (status, said) in zip(LACKS.items(), outcomes[len(WORKS) :], strict=True):
        assert status == 2, (command, said)
        assert said.splitlines()[-1] == (
            f"hcsac: this needs {library}, which is not installed; pip install 'hcsac[{EXTRAS[library]}]'."
        )
