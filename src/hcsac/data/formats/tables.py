"""Tables of steps, CSV or Parquet: a row a step, a column for the episode, columns for everything else."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hcsac.data.episode import Episode
from hcsac.data.formats.base import dataset_format
from hcsac.data.formats.ends import DONE, KNOWN, TERMINATED, TRUNCATED, read_ends, require_understood
from hcsac.data.formats.flat import Rows, to_episode
from hcsac.errors import UserError, needs, unknown

if TYPE_CHECKING:
    import pyarrow as pa

# Kind -> the names that its column, or its columns with a number at the end, may have.
KINDS: dict[str, tuple[str, ...]] = {
    "episode": ("episode", "episode_index", "episode_id"),
    "observation": ("observation", "observations", "obs", "state", "observation.state"),
    "action": ("action", "actions", "act"),
    "reward": ("reward", "rewards", "next.reward"),
    "next_observation": ("next_observation", "next_observations", "next_obs", "next_state"),
    "physics": ("physics",),
    "terminated": TERMINATED,
    "truncated": TRUNCATED,
    "done": DONE,
}
_NEEDED = ("episode", "observation", "action")


class _TableFormat:
    """Tables of one kind of file, or a folder of them, with a column for the episode."""

    suffix: str
    rewards_optional = True

    def matches(self, path: Path) -> bool:
        """Whether it is such a file, or a folder of them without a description of another format."""
        if path.is_file():
            return path.suffix.lower() == self.suffix
        return path.is_dir() and not (path / "meta").exists() and bool(self._files(path))

    def read(self, path: Path, columns: Sequence[str] = ()) -> Iterator[Episode]:
        """The rows of each episode, which must follow one another.

        Args:
            columns: KIND=COLUMN[,COLUMN...] where a column has none of the names that are known; * stands for any text.
        """
        yield from read_tables(self._files(path), given_columns(columns))

    def _files(self, path: Path) -> list[Path]:
        if path.is_file():
            return [path]
        return sorted(file for file in path.iterdir() if file.suffix.lower() == self.suffix)


@dataset_format("csv")
class CsvFormat(_TableFormat):
    """A .csv table, or a folder of them, with a row a step and a column for the episode."""

    suffix = ".csv"


@dataset_format("parquet")
class ParquetFormat(_TableFormat):
    """A .parquet table, or a folder of them, with a row a step and a column for the episode."""

    suffix = ".parquet"

    def write(self, path: Path, episodes: Iterable[Episode], task: str) -> None:
        """One table. Each episode has one row more than steps, for its last observation."""
        write_table(path, ((number, frames(episode)) for number, episode in enumerate(episodes)))


def frames(episode: Episode) -> dict[str, np.ndarray]:
    """The T+1 observations of an episode as rows; what belongs to steps is 0 in the last one."""

    def pad(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.zeros_like(values[:1])])

    rows = {
        "observation": episode.observation,
        "action": pad(episode.action),
        "reward": pad(episode.reward),
        "terminated": pad(episode.terminated),
    }
    return rows if episode.physics is None else {**rows, "physics": episode.physics}


def write_table(path: Path, episodes: Iterable[tuple[int, Mapping[str, np.ndarray]]], number: str = "episode") -> None:
    """A Parquet table of episodes, one row group each; arrays [T, size] are columns of lists."""
    with needs("tables"):
        import pyarrow as pa
        from pyarrow import parquet

    writer = None
    for index, rows in episodes:
        columns = {number: pa.array(np.full(len(rows["action"]), index))}
        for name, array in rows.items():
            values = pa.array(array.reshape(-1))
            columns[name] = pa.FixedSizeListArray.from_arrays(values, array.shape[1]) if array.ndim == 2 else values
        table = pa.table(columns)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def given_columns(columns: Sequence[str]) -> dict[str, list[str]]:
    """KIND=COLUMN[,COLUMN...] -> kind -> columns; a `UserError` for another form."""
    chosen: dict[str, list[str]] = {}
    for text in columns:
        kind, sign, names = text.partition("=")
        if not sign or not names:
            raise UserError(f"--columns {text!r}: write KIND=COLUMN, as observation=x,y or action=u*.")
        if kind not in KINDS:
            raise unknown("kind of column", kind, list(KINDS))
        chosen[kind] = [name.strip() for name in names.split(",")]
    return chosen


def read_tables(files: Sequence[Path], given: Mapping[str, Sequence[str]]) -> Iterator[Episode]:
    """The episodes of tables that are read one after the other; an episode may go on in the next file.

    Raises:
        UserError: a column is missing or has no numbers, an episode comes back after another one, or as `to_episode`.
    """
    seen, current, parts = set[Any](), None, list[dict[str, np.ndarray]]()
    where = ""
    for file in files:
        where = str(file)
        names: dict[str, list[str]] | None = None
        for batch in _batches(file):
            names = names or _columns_of(batch.schema.names, given, where)
            arrays = {kind: _matrix(batch, of_kind, f"{where}: {kind}") for kind, of_kind in names.items()}
            episode = arrays.pop("episode")[:, 0]
            starts = np.flatnonzero(np.concatenate([[True], episode[1:] != episode[:-1]]))
            for first, stop in zip(starts, [*starts[1:], len(episode)], strict=True):
                number = episode[first].item()
                if number != current:
                    if parts:
                        yield from _episode(parts, f"{where}, episode {current}")
                    if number in seen:
                        raise UserError(
                            f"{where}: rows of episode {number} are not together; sort the table by episode and step."
                        )
                    seen.add(number)
                    current, parts = number, []
                parts.append({kind: array[first:stop] for kind, array in arrays.items()})
    if parts:
        yield from _episode(parts, f"{where}, episode {current}")


def _episode(parts: Sequence[Mapping[str, np.ndarray]], where: str) -> Iterator[Episode]:
    rows = {kind: np.concatenate([part[kind] for part in parts]) for kind in parts[0]}
    ends = read_ends({kind: array for kind, array in rows.items() if kind in KNOWN}, len(rows["action"]), where)
    episode = to_episode(
        Rows(
            rows["observation"], rows["action"], rows.get("reward"), ends.terminated, rows.get("next_observation"),
            rows.get("physics"),
        ),
        where,
    )  # fmt: skip
    if episode is not None:
        yield episode


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    with needs("tables"):
        import pyarrow as pa
        from pyarrow import csv, parquet

    try:
        if file.suffix.lower() == ".csv":
            with csv.open_csv(file) as opened:
                yield from (batch for batch in opened if batch.num_rows)
        else:
            with parquet.ParquetFile(file) as table:
                yield from table.iter_batches()
    except pa.ArrowException as error:
        raise UserError(f"{file} cannot be read ({' '.join(str(error).split())}); write it again.") from error


def _columns_of(present: Sequence[str], given: Mapping[str, Sequence[str]], where: str) -> dict[str, list[str]]:
    """Kind -> its columns, in their order in the table where they are found by their names."""
    found = {}
    for kind, known in KINDS.items():
        if kind in given:
            found[kind] = [name for pattern in given[kind] for name in _matching(pattern, present, kind, where)]
            continue
        single = next((name for name in known if name in present), None)
        numbered = [
            name for name in present if re.fullmatch(rf"({'|'.join(map(re.escape, known))})[_.\[]?\d+\]?", name)
        ]
        if single is not None or numbered:
            found[kind] = [single] if single is not None else numbered
    for kind in _NEEDED:
        if kind not in found:
            raise UserError(
                f"{where}: no column is known as the {kind}; its columns are {', '.join(present)}. Name it: "
                f"--columns {kind}=COLUMN."
            )
    used = {name for of_kind in found.values() for name in of_kind}
    require_understood((name for name in present if name not in used), where)
    return found


def _matching(pattern: str, present: Sequence[str], kind: str, where: str) -> list[str]:
    found = fnmatch.filter(present, pattern)
    if not found:
        raise UserError(f"{where}: --columns {kind}={pattern} fits none of its columns {', '.join(present)}.")
    return found


def _matrix(batch: pa.RecordBatch, names: Sequence[str], where: str) -> np.ndarray:
    """[rows, size] of the columns of one kind, side by side; a column of lists has a number for each place."""
    from pyarrow import compute
    from pyarrow.types import is_fixed_size_list, is_large_list, is_list

    parts = []
    for name in names:
        column = batch.column(name)
        if column.null_count:
            raise UserError(f"{where}: column {name} has empty cells; fill or remove these rows.")
        if any(is_one(column.type) for is_one in (is_list, is_large_list, is_fixed_size_list)):
            values = column.flatten()
            if len(compute.list_value_length(column).unique()) != 1:
                raise UserError(f"{where}: the lists of column {name} differ in length; write as many numbers in each.")
            array = values.to_numpy(zero_copy_only=False).reshape(len(column), -1)
        else:
            array = column.to_numpy(zero_copy_only=False)[:, None]
        if array.dtype.kind not in "fiub" and not where.endswith(": episode"):
            raise UserError(
                f"{where}: column {name} has the type {column.type}, not numbers; leave it out or convert it."
            )
        parts.append(array)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, 1)
