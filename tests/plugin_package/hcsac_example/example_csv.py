"""A dataset format: one CSV file, a row for every observation.

The first line names the task, as `# task: example-push`. The row of an observation has the action that was chosen in it
and the reward that this action earned; in the last row of an episode these are empty.
"""

import csv

import numpy as np

import hcsac


@hcsac.dataset_format("example-csv")
class ExampleCsv:
    """One .csv file with a column `episode`."""

    def matches(self, path):
        return path.suffix == ".csv"

    def task(self, path):
        with path.open() as file:
            return file.readline().removeprefix("# task:").strip()

    def read(self, path):
        with path.open(newline="") as file:
            file.readline()
            rows = list(csv.DictReader(file))
        for number in dict.fromkeys(row["episode"] for row in rows):
            yield _episode([row for row in rows if row["episode"] == number])


def _episode(rows):
    def columns(prefix, chosen):
        names = [name for name in chosen[0] if name.startswith(prefix)]
        return np.array([[float(row[name]) for name in names] for row in chosen], np.float32)

    steps = rows[:-1]
    return hcsac.Episode(
        observation=columns("observation", rows),
        action=columns("action", steps),
        reward=columns("reward", steps)[:, 0],
        terminated=np.zeros(len(steps), bool),
        truncated=np.arange(len(steps)) == len(steps) - 1,
    )


def write(path, task, episodes):
    """Write such a file."""
    S, A = episodes[0].observation.shape[1], episodes[0].action.shape[1]
    names = [*(f"observation_{i}" for i in range(S)), *(f"action_{i}" for i in range(A))]
    with path.open("w", newline="") as file:
        print(f"# task: {task}", file=file)
        table = csv.writer(file)
        table.writerow(["episode", *names, "reward"])
        for number, episode in enumerate(episodes):
            for t, observation in enumerate(episode.observation):
                done = t == len(episode)
                step = [""] * (A + 1) if done else [*episode.action[t], episode.reward[t]]
                table.writerow([number, *observation, *step])
