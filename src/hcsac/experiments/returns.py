"""The table of returns: one row per episode, task, seed and evaluation of many runs, as Parquet."""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hcsac import files
from hcsac.errors import UserError, needs
from hcsac.experiments.parquet import read_table, write_table
from hcsac.tasks import get_task
from hcsac.training import RunDirectory

if TYPE_CHECKING:
    import pyarrow as pa

LABELS = ("dataset", "variant")  # of every table; a run may have more
_COLUMNS = {
    "run": "string", "dataset": "string", "variant": "string", "agent": "string", "task": "string",
    "seed": "int64", "update": "int64", "episode": "int32", "return": "double", "last": "bool",
    "behaviour": "double", "random_return": "double", "expert_return": "double",
}  # fmt: skip
_LOGGED = b"hcsac.behaviour_returns"  # in the table's metadata


class RunReturns(NamedTuple):
    """The returns of one run, for a table.

    Its labels are `run`, `agent` (the algorithm), those of `LABELS`, and any others.
    """

    labels: Mapping[str, str]
    seeds: Sequence[int]
    tasks: Sequence[str]
    behaviour: Mapping[str, float]  # task -> dataset return
    logged: Mapping[str, Sequence[float]]  # task -> the returns of the logged episodes; empty where not known
    records: Mapping[tuple[int, int, str], Sequence[float]]  # (update, seed, task) -> returns of an evaluation


def collect_returns(runs: Sequence[tuple[RunDirectory, Mapping[str, str]]], root: str | Path) -> "pa.Table":
    """One table of all returns of the runs' evaluations, run after run, each in the order of its evaluations.

    Columns: `run` (path below `root`), `dataset`, `variant` (labels, empty where not given), `agent` (the algorithm),
    `task`, `seed` and `update` int64, `episode` int32, `return` float64, `last` (whether this is the run's last
    evaluation of all its seeds and tasks), `behaviour` (the dataset return), `random_return`, `expert_return` float64,
    null where not known: a task that is not registered here has returns, but no score. Further labels become further
    columns of text, null for runs that lack them. The metadata contain the returns of the logged episodes, where the
    runs do (see `dataset_returns`).

    Args:
        runs: each run and its labels; the label `agent` replaces the algorithm in the record of the run.

    Raises:
        UserError: one of them is not a run directory.
    """
    return returns_table([_of_directory(run, labels, Path(root)) for run, labels in runs])


def returns_table(runs: Sequence[RunReturns]) -> "pa.Table":
    """The table of `collect_returns` for returns from anywhere."""
    with needs("tables"):
        import pyarrow as pa

    further = dict.fromkeys(chain.from_iterable(run.labels for run in runs))
    extra = [name for name in further if name not in (*LABELS, "agent", "run")]
    if taken := set(extra) & set(_COLUMNS):
        raise ValueError(f"labels {sorted(taken)} are columns of the table")
    schema = pa.schema([*_COLUMNS.items(), *((name, "string") for name in extra)])
    tables, logged = [schema.empty_table()], {}
    for run in runs:
        constant = dict.fromkeys(LABELS, "") | dict(run.labels)
        columns = _evaluations(run)
        count = len(columns["return"])
        for name in ("run", "agent", *LABELS, *extra):
            columns[name] = pa.repeat(pa.scalar(constant.get(name), "string"), count)
        tables.append(pa.table(columns, schema=schema))
        for task, returns in run.logged.items():
            logged[constant["dataset"], constant["variant"], task] = returns
    table = pa.concat_tables(tables).combine_chunks()
    return table.replace_schema_metadata({_LOGGED: json.dumps([[*key, value] for key, value in logged.items()])})


def dataset_returns(table: "pa.Table") -> dict[tuple[str, str, str], np.ndarray]:
    """(dataset, variant, task) -> returns of the logged episodes [episodes], where the runs recorded them."""
    rows = files.parse_json((table.schema.metadata or {}).get(_LOGGED, b"[]"))
    return {(dataset, variant, task): np.array(returns, float) for dataset, variant, task, returns in rows}


def write_returns(table: "pa.Table", path: str | Path) -> Path:
    """Write the table as Parquet and return the path; a file of that name is replaced as a whole.

    Raises:
        UserError: the file cannot be written.
    """
    return write_table(table, path)


def read_returns(path: str | Path) -> "pa.Table":
    """The table that `write_returns` wrote.

    Raises:
        UserError: there is no such file, or it is another one.
    """
    return read_table(path, "returns", _COLUMNS)


def _of_directory(run: RunDirectory, labels: Mapping[str, str], root: Path) -> RunReturns:
    """All evaluations of a run; of two records of one evaluation the later one counts."""
    identity = run.identity()
    return RunReturns(
        labels={"agent": identity["agent"], **labels, "run": _relative(run.path, root)},
        seeds=identity["seeds"],
        tasks=identity["tasks"],
        behaviour=identity["behaviour"],
        logged=identity.get("behaviour_returns", {}),
        records={(r["update"], r["seed"], r["task"]): r["returns"] for r in run.lines(files.EVALUATIONS)},
    )


def _evaluations(run: RunReturns) -> dict[str, Any]:
    """The columns that vary within a run, and the reference returns of its tasks."""
    import pyarrow as pa

    records = run.records
    everyone = [(seed, task) for seed in run.seeds for task in run.tasks]
    whole = [u for u in {update for update, _, _ in records} if all((u, *one) in records for one in everyone)]
    last = max(whole, default=None)
    lengths = np.array([len(returns) for returns in records.values()], np.int64)
    starts = np.cumsum(lengths) - lengths
    names = list(dict.fromkeys(task for _, _, task in records))
    which = np.repeat(np.array([names.index(task) for _, _, task in records], np.int64), lengths)
    update = np.repeat(np.array([update for update, _, _ in records], np.int64), lengths)
    known = [(run.behaviour.get(name), *_references(name)) for name in names]
    behaviour, random, expert = (
        [pa.array(column, "double") for column in zip(*known, strict=True)] if known else [[], [], []]
    )
    per_task = {
        "task": pa.array(names, "string"),
        "behaviour": behaviour,
        "random_return": random,
        "expert_return": expert,
    }
    return {
        **{name: column.take(pa.array(which)) if known else [] for name, column in per_task.items()},
        "seed": np.repeat(np.array([seed for _, seed, _ in records], np.int64), lengths),
        "update": update,
        "episode": (np.arange(lengths.sum()) - np.repeat(starts, lengths)).astype(np.int32),
        "return": np.fromiter(chain.from_iterable(records.values()), float, int(lengths.sum())),
        "last": update == last if last is not None else np.zeros(len(update), bool),
    }


def _references(task: str) -> tuple[float | None, float | None]:
    try:
        known = get_task(task)
    except UserError:
        return None, None
    return known.random_return, known.expert_return


def _relative(path: Path, root: Path) -> str:
    path, root = path.resolve(), root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
