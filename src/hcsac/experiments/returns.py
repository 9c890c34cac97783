"""The raw table: the return of every episode, task, seed and evaluation of many runs, one row each, as Parquet."""

import json
import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hcsac.errors import UserError
from hcsac.tasks import get_task
from hcsac.training import RunDirectory

if TYPE_CHECKING:
    import pyarrow as pa

LABELS = ("dataset", "variant")  # that every table has; a run may bring more
_COLUMNS = {
    "run": "string", "dataset": "string", "variant": "string", "agent": "string", "task": "string",
    "seed": "int64", "update": "int64", "episode": "int32", "return": "double", "last": "bool",
    "behaviour": "double", "random_return": "double", "expert_return": "double",
}  # fmt: skip
_LOGGED = b"hcsac.behaviour_returns"  # in the table's metadata


def collect_returns(runs: Sequence[tuple[RunDirectory, Mapping[str, str]]], root: str | Path) -> "pa.Table":
    """One table of all that the runs' evaluations returned, run after run, each in the order of its evaluations.

    Columns: `run` (path below `root`), `dataset`, `variant` (labels, empty where not given), `agent`, `task`, `seed`
    and `update` int64, `episode` int32, `return` float64, `last` (whether this is the run's last evaluation of all its
    seeds and tasks), `behaviour`, `random_return`, `expert_return` float64, null where not known: a task that is not
    registered here has returns, but no score. Further labels become further columns of text, null for runs that lack
    them. The metadata hold the returns of the logged episodes, where the runs do (see `behaviour_returns`).

    Args:
        runs: each run and its labels; `agent` may be one, in place of what the run says.

    Raises:
        UserError: one of them is not the directory of a run.
    """
    import pyarrow as pa

    further = dict.fromkeys(chain.from_iterable(labels for _, labels in runs))
    extra = [name for name in further if name not in (*LABELS, "agent")]
    if taken := set(extra) & set(_COLUMNS):
        raise ValueError(f"labels {sorted(taken)} are columns of the table")
    schema = pa.schema([*_COLUMNS.items(), *((name, "string") for name in extra)])
    tables, logged = [schema.empty_table()], {}
    for run, labels in runs:
        identity = run.identity()
        said = {"dataset": "", "variant": "", "agent": identity["agent"], **labels, "run": _below(run.path, Path(root))}
        columns = _evaluations(run, identity)
        count = len(columns["return"])
        for name in ("run", "agent", *LABELS, *extra):
            columns[name] = pa.repeat(pa.scalar(said.get(name), "string"), count)
        tables.append(pa.table(columns, schema=schema))
        for task, returns in identity.get("behaviour_returns", {}).items():
            logged[said["dataset"], said["variant"], task] = returns
    table = pa.concat_tables(tables).combine_chunks()
    return table.replace_schema_metadata({_LOGGED: json.dumps([[*key, value] for key, value in logged.items()])})


def behaviour_returns(table: "pa.Table") -> dict[tuple[str, str, str], np.ndarray]:
    """(dataset, variant, task) -> returns of the logged episodes [episodes], of those whose runs hold them."""
    rows = json.loads((table.schema.metadata or {}).get(_LOGGED, b"[]"))
    return {(dataset, variant, task): np.array(returns, float) for dataset, variant, task, returns in rows}


def write_returns(table: "pa.Table", path: str | Path) -> Path:
    """Write the table as Parquet (zstd), whole or not at all; a file of that name is replaced.

    Raises:
        UserError: the place cannot be written.
    """
    from pyarrow import parquet

    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            parquet.write_table(table, temporary, compression="zstd")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}); name a place that can be written."
        ) from error
    return path


def read_returns(path: str | Path) -> "pa.Table":
    """The table that `write_returns` wrote.

    Raises:
        UserError: there is no such file, or it is no such table.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; give the Parquet file of a grid's returns.")
    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged or no Parquet file ({error}); write it again from the runs.") from error
    for name, kind in _COLUMNS.items():
        if name not in table.column_names or str(table.schema.field(name).type) != kind:
            raise UserError(f"{path} is no table of returns: it has no column {name} ({kind}); write it from the runs.")
    return table


def _evaluations(run: RunDirectory, identity: dict[str, Any]) -> dict[str, Any]:
    """The columns that differ within a run, and what is known of its tasks."""
    import pyarrow as pa

    # A record written twice counts once, and the later one holds.
    held = {(r["update"], r["seed"], r["task"]): r["returns"] for r in run.lines("evaluations.jsonl")}
    everyone = [(seed, task) for seed in identity["seeds"] for task in identity["tasks"]]
    whole = [u for u in {update for update, _, _ in held} if all((u, *one) in held for one in everyone)]
    last = max(whole, default=None)
    lengths = np.array([len(returns) for returns in held.values()], np.int64)
    starts = np.cumsum(lengths) - lengths
    names = list(dict.fromkeys(task for _, _, task in held))
    which = np.repeat(np.array([names.index(task) for _, _, task in held], np.int64), lengths)
    update = np.repeat(np.array([update for update, _, _ in held], np.int64), lengths)
    known = [(identity["behaviour"].get(name), *_references(name)) for name in names]
    behaviour, random, expert = (
        (pa.array(column, "double") for column in zip(*known, strict=True)) if known else ([],) * 3
    )
    per_task = {
        "task": pa.array(names, "string"),
        "behaviour": behaviour,
        "random_return": random,
        "expert_return": expert,
    }
    return {
        **{name: column.take(pa.array(which)) if known else [] for name, column in per_task.items()},
        "seed": np.repeat(np.array([seed for _, seed, _ in held], np.int64), lengths),
        "update": update,
        "episode": (np.arange(lengths.sum()) - np.repeat(starts, lengths)).astype(np.int32),
        "return": np.fromiter(chain.from_iterable(held.values()), float, int(lengths.sum())),
        "last": update == last if last is not None else np.zeros(len(update), bool),
    }


def _references(task: str) -> tuple[float | None, float | None]:
    try:
        known = get_task(task)
    except UserError:
        return None, None
    return known.random_return, known.expert_return


def _below(path: Path, root: Path) -> str:
    path, root = path.resolve(), root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
