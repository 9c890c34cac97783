"""Tables on disk as Parquet, each with the columns that its reader needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hcsac.errors import UserError, needs
from hcsac.experiments.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa


def write_table(table: "pa.Table", path: str | Path) -> Path:
    """Write the table (zstd) and return the path; a file of that name is replaced as a whole.

    Raises:
        UserError: the file cannot be written.
    """
    with needs("tables"):
        from pyarrow import parquet

    path = Path(path)
    with replacing(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd")
    return path


def read_table(path: str | Path, content: str, columns: Mapping[str, str]) -> "pa.Table":
    """The table in a file.

    Args:
        content: what the table has, as returns; `content`.parquet is the name of the file in a report.
        columns: name -> type of the columns that it must have.

    Raises:
        UserError: there is no such file, or it has other content.
    """
    with needs("tables"):
        import pyarrow as pa
        from pyarrow import parquet

    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; give the {content}.parquet of a study's report.")
    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is corrupt or no Parquet file ({error}); write the report again.") from error
    for name, kind in columns.items():
        if name not in table.column_names or str(table.schema.field(name).type) != kind:
            raise UserError(
                f"{path} is no table of {content}: it has no column {name} ({kind}); write the report again."
            )
    return table
