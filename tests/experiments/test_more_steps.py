"""The plug-in of a published study: critics of the new policy, then actors again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_each_step_has_critics_and_actors(tmp_path):
    """In a process of its own: what a plug-in registers stays."""
    command = [
        sys.executable,
        "-m",
        "hcsac.cli",
        "train",
        "more_steps",
        "--plugin",
        "experiments.more_steps",
        "--preset",
        "best",
    ]
    command += [
        "--data",
        "sample/walker-walk-medium-v0",
        "--candidates",
        "0.1:all",
        "--choose",
        "given",
        "--candidate",
        "0.1:all",
    ]
    command += [
        "--updates",
        "12",
        "--critic-updates",
        "4",
        "--actor-updates",
        "2",
        "--hidden-size",
        "8",
        "--batch-size",
        "16",
    ]
    command += ["--log-interval", "1", "--evaluation-episodes", "1", "--final-episodes", "1", "--evaluation-steps", "2"]
    ended = subprocess.run([*command, "--output", tmp_path / "run"], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    parts = ["q_spread" if "q_spread" in line else "q" if "q" in line else "actor_q" for line in lines]
    assert parts == ["q_spread"] * 4 + ["actor_q"] * 2 + ["q"] * 4 + ["actor_q"] * 2
