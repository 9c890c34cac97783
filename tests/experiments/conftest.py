"""Hand-made run directories."""

import json

import pytest

from hcsac.training import RunDirectory

BEHAVIOUR = {"slide-left": 5.0, "slide-right": 3.0}

# A study of one run on a light task, for the command line.
STUDY = """
preset = "quick"
agents = ["bc"]

[datasets]
medium = ["lab/slide-left-medium-v0"]

[settings]
hidden_size = 8
batch_size = 16
updates = 6
evaluation_episodes = 1
final_episodes = 1
device = "cpu"
"""


@pytest.fixture
def make_run(tmp_path):
    """A run of `agent` whose evaluations are `returns`: update -> task -> seed -> returns of its episodes."""

    def make(path, agent, returns, **identity):
        run = RunDirectory(tmp_path / path)
        run.path.mkdir(parents=True)
        records = [
            {"update": update, "seed": seed, "task": task, "returns": episodes}
            for update, of_tasks in returns.items()
            for task, of_seeds in of_tasks.items()
            for seed, episodes in of_seeds.items()
        ]
        seeds = list(dict.fromkeys(record["seed"] for record in records))
        tasks = list(dict.fromkeys(record["task"] for record in records))
        behaviour = {task: BEHAVIOUR.get(task, 0.0) for task in tasks}
        said = {"agent": agent, "seeds": seeds, "tasks": tasks, "behaviour": behaviour, "settings": {}, **identity}
        (run.path / "run.json").write_text(json.dumps(said))
        (run.path / "evaluations.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        return run

    return make
