"""How well a candidate of `one_step` is chosen without a simulator: `python -m benchmarks.choice RUN...`.

For every candidate of every finished run: its estimate by fitted Q evaluation, and its return in the simulator on the
same resets. For every task of every run: the return of the candidate that each rule chooses, what it loses against the
best candidate (regret), and the rank correlation of estimates and returns. Returns are kept in RUN/candidates.json.

With --offline also what `hcsac evaluate` says of every candidate without a simulator: kept in RUN/judged.npz.
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
from hcsac.policy.fitted_q import FittedQSettings, first_state_values
from hcsac.policy.offline import compared, improvement_on, residuals
from hcsac.training.loop import act_of
from hcsac.training.run_directory import RunDirectory
from hcsac.training.setup import set_up

RETURNS, JUDGED = "candidates.json", "judged.npz"
# Rule -> the settings that it differs in from the run's own.
RULES: dict[str, dict[str, Any]] = {
    "fqe, bold everywhere": {"choose": "fqe", "narrow_spread": 0.0},
    "fqe": {"choose": "fqe"},
    "behaviour-safe": {"choose": "behaviour-safe"},
}


def of_run(path: Path, dataset: Dataset, episodes: int, offline: FittedQSettings | None = None) -> list[dict[str, Any]]:
    """A record for each task of a run of one replica: candidates' returns and estimates, and what each rule chooses.

    With `offline` also their errors, estimates and verdicts as `hcsac evaluate` gives them without a simulator.
    """
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
    found = None if offline is None else judged(algorithm, dataset, offline, path / JUDGED)
    return [
        {
            "data": ref,
            "task": name,
            "candidates": names,
            "returns": [float(np.mean(returns[one][name])) for one in names],
            "estimates": estimate[:, task == m].mean(1).tolist(),
            "chosen": {rule: choices[m] for rule, choices in chosen.items()},
            **({} if found is None else _offline(found, m, task.numpy() == m)),
            "logged": dataset.mean_returns[name],
        }
        for m, (name, ref) in enumerate(zip(loop.tasks, identity["data"] or loop.tasks, strict=True))
    ]


class Candidates:
    """The candidates of a run of one replica as the replicas of one policy, for fitted Q evaluation."""

    def __init__(self, algorithm: OneStep):
        self.algorithm, self.seeds = algorithm, range(algorithm.candidates)
        self.tasks, self.observation_size = algorithm.spec.tasks, algorithm.spec.observation_size

    @torch.no_grad()
    def act_all(self, observation: np.ndarray, task: np.ndarray) -> np.ndarray:
        """[C, n, S], [C, n] -> [C, n, A] in the robot's units."""
        scaling, acting = self.algorithm.scaling, self.algorithm.acting
        action = self.algorithm.joint(acting, scaling(torch.tensor(observation)), torch.tensor(task))
        return scaling.robot(action).numpy()


def judged(algorithm: OneStep, dataset: Dataset, settings: FittedQSettings, kept: Path) -> dict[str, np.ndarray]:
    """What `hcsac evaluate` says of every candidate without a simulator, kept in a file.

    Returns:
        `policies` [C, critics, n], `behaviour` [critics, n] and `logged` [n] as in `FirstStateValues`, and `error`
        [C, M]: the mean squared error of its actions against the logged ones.
    """
    if kept.exists():
        return dict(np.load(kept))
    policy = Candidates(algorithm)
    value = first_state_values([policy], dataset, settings)  # type: ignore[list-item]
    left = [residuals(policy, dataset, dataset.rows_of(m)) for m in range(dataset.num_tasks)]  # type: ignore[arg-type]
    error = [np.square(one).mean((1, 2)) for one in left]
    found = {**value._asdict(), "error": np.stack(error, 1)}
    np.savez(kept, **found)
    return found


def _offline(found: Mapping[str, np.ndarray], m: int, own: np.ndarray) -> dict[str, Any]:
    """Of task m, whose first states are `own`."""
    value, logged = found["policies"][..., own], found["logged"][own]
    verdicts = [compared(improvement_on(one[None], logged), found["spread"][m]) for one in value]
    return {"fitted_q": value.mean((1, 2)).tolist(), "error": found["error"][:, m].tolist(), "verdicts": verdicts}


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


def offline_markdown(records: list[Mapping[str, Any]]) -> str:
    """How well the candidates are ranked by fitted Q evaluation, and by the error of their actions alone."""
    lines = ["| data | data return | returns of the candidates | rank correlation of fitted Q evaluation | regret | "
             "rank correlation of the error | regret | verdicts right |",
             "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    rows, right, told = [], 0, 0
    for record in records:
        returns, row = np.array(record["returns"]), []
        for score in (np.array(record["fitted_q"]), -np.array(record["error"])):
            row += [spearmanr(score, returns).statistic, 1 - returns[score.argmax()] / returns.max()]
        rows.append(row)
        truth = np.where(returns > record["logged"], "above", "below")
        decided = np.isin(record["verdicts"], ["above", "below"])
        agreed = int((truth == record["verdicts"]).sum())
        right, told = right + agreed, told + int(decided.sum())
        lines.append(f"| {record['data']} | {record['logged']:.0f} | {returns.min():.0f} to {returns.max():.0f} | "
                     f"{_ranked(row)} | {agreed} of {decided.sum()} |")  # fmt: skip
    lines.append(f"| mean | | | {_ranked(np.mean(rows, 0))} | {right} of {told} |")
    return "\n".join(lines)


def _ranked(row: Any) -> str:
    return f"{row[0]:.2f} | {row[1]:.1%} | {row[2]:.2f} | {row[3]:.1%}"


def main() -> None:
    """Measure the runs that are given and print the table."""
    parser = argparse.ArgumentParser(description="How well a candidate is chosen without a simulator.")
    parser.add_argument("runs", nargs="+", type=Path, help="directories of finished runs of one_step, of one seed")
    parser.add_argument("--episodes", type=int, default=50, help="episodes of every candidate and task")
    parser.add_argument("--offline", action="store_true", help="also judge them as hcsac evaluate does")
    options = parser.parse_args()
    records = []
    for run in options.runs:
        settings = FittedQSettings(critics=1) if options.offline else None
        records += of_run(run, load(RunDirectory(run).identity()["data"]), options.episodes, settings)
    policies = sum(len(record["candidates"]) for record in records)
    print(f"{policies} policies of {len({r['task'] for r in records})} tasks\n\n{markdown(records)}")
    if options.offline:
        print(f"\n{offline_markdown(records)}")


if __name__ == "__main__":
    main()
