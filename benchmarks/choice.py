"""How well a candidate of `one_step` is chosen without a simulator: `python -m benchmarks.choice RUN...`.

For every candidate of every finished run: its estimate by fitted Q evaluation, and its return in the simulator on the
same resets. For every task of every run: the return of the candidate that each rule chooses, what it loses against the
best candidate (regret), and the rank correlation of estimates and returns. Returns are kept in RUN/candidates.json.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from hcsac.algorithms.candidates import candidates_of
from hcsac.algorithms.one_step import OneStep
from hcsac.algorithms.presets import recorded_settings
from hcsac.data.dataset import Dataset
from hcsac.data.store import load
from hcsac.evaluation import Evaluator
from hcsac.training.loop import act_of
from hcsac.training.run_directory import RunDirectory
from hcsac.training.setup import set_up

RETURNS = "candidates.json"
# Rule -> the settings that it differs in from the run's own.
RULES: dict[str, dict[str, Any]] = {
    "fqe, bold everywhere": {"choose": "fqe", "narrow_spread": 0.0},
    "fqe": {"choose": "fqe"},
    "behaviour-safe": {"choose": "behaviour-safe"},
}


def of_run(path: Path, dataset: Dataset, episodes: int) -> list[dict[str, Any]]:
    """A record for each task of a run of one replica: candidates' returns and estimates, and what each rule chooses."""
    run = RunDirectory(path)
    identity = run.identity()
    settings = recorded_settings("one_step", identity["settings"]).replace({"compile": "off"})
    loop = set_up("one_step", dataset, settings, identity["seeds"], run)
    loop.restore()
    algorithm = loop.algorithm
    assert isinstance(algorithm, OneStep)
    assert algorithm.choice is not None
    assert len(algorithm.seeds) == 1
    names = [str(one) for one in candidates_of(settings)]
    returns = _returns(path / RETURNS, algorithm, loop.tasks, names, episodes)
    start, task = loop.active.first_states()
    estimate = algorithm.estimates(start, task)[0].mean(1)  # [C, n]
    chosen = {}
    for rule, changes in RULES.items():
        algorithm.settings = settings.replace(changes)
        algorithm.finish(start, task)
        chosen[rule] = algorithm.choice[0].tolist()
    return [
        {
            "data": ref,
            "task": name,
            "candidates": names,
            "returns": [float(np.mean(returns[one][name])) for one in names],
            "estimates": estimate[:, task == m].mean(1).tolist(),
            "chosen": {rule: choices[m] for rule, choices in chosen.items()},
        }
        for m, (name, ref) in enumerate(zip(loop.tasks, identity["data"] or loop.tasks, strict=True))
    ]


def _returns(
    path: Path, algorithm: OneStep, tasks: tuple[str, ...], names: list[str], episodes: int
) -> dict[str, dict[str, list[float]]]:
    """Candidate -> task -> returns, those that `path` has not yet measured and written there."""
    known = json.loads(path.read_text()) if path.exists() else {}
    wanted = [c for c, name in enumerate(names) if len(known.get(name, {}).get(tasks[0], ())) != episodes]
    evaluator = Evaluator(tasks, episodes, 1, workers=torch.get_num_threads())
    for c in wanted:
        assert algorithm.choice is not None
        algorithm.choice.fill_(c)
        returns = evaluator(act_of(algorithm))[0].round(2).tolist()
        known[names[c]] = dict(zip(tasks, returns, strict=True))
        path.write_text(json.dumps(known))
    evaluator.close()
    return known  # type: ignore[no-any-return]


def markdown(records: list[Mapping[str, Any]]) -> str:
    """One row for each task of each run, the means over them, and what each candidate would lose everywhere."""
    lines = [f"| data | best candidate | {' | '.join(RULES)} | rank correlation |",
             f"| --- | --- |{' ---: |' * (len(RULES) + 1)}"]  # fmt: skip
    regrets, fixed, correlations = [], [], []
    for record in records:
        returns = np.array(record["returns"])
        picked = {rule: returns[c] for rule, c in record["chosen"].items()}
        best = int(returns.argmax())
        regrets.append([(returns[best] - value) / abs(returns[best]) for value in picked.values()])
        fixed.append((returns[best] - returns) / abs(returns[best]))
        correlations.append(spearmanr(record["estimates"], returns).statistic)
        cells = [f"{value:.0f} (`{record['candidates'][record['chosen'][rule]]}`)" for rule, value in picked.items()]
        lines.append(f"| {record['data']} | {returns[best]:.0f} (`{record['candidates'][best]}`) | "
                     f"{' | '.join(cells)} | {correlations[-1]:.2f} |")  # fmt: skip
    regret = " | ".join(f"{x:.1%}" for x in np.mean(regrets, 0))
    lines.append(f"| mean regret | | {regret} | {np.mean(correlations):.2f} |")
    same = ", ".join(f"`{name}` {x:.1%}" for name, x in zip(records[0]["candidates"], np.mean(fixed, 0), strict=True))
    return "\n".join([*lines, "", f"Mean regret of one candidate everywhere: {same}."])


def main() -> None:
    """Measure the runs that are given and print the table."""
    parser = argparse.ArgumentParser(description="How well a candidate is chosen without a simulator.")
    parser.add_argument("runs", nargs="+", type=Path, help="directories of finished runs of one_step, of one seed")
    parser.add_argument("--episodes", type=int, default=50, help="episodes of every candidate and task")
    options = parser.parse_args()
    records = []
    for run in options.runs:
        records += of_run(run, load(RunDirectory(run).identity()["data"]), options.episodes)
    policies = sum(len(record["candidates"]) for record in records)
    print(f"{policies} policies of {len({r['task'] for r in records})} tasks\n\n{markdown(records)}")


if __name__ == "__main__":
    main()
