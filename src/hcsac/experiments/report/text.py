"""A report's tables for a terminal: aligned columns of plain text."""

from hcsac.experiments.report.tables import Table, TableCell


def table_text(table: Table) -> str:
    """Title, columns, rows. The small lines below a number follow it on its line; a star marks the best number."""
    grouped = any(group for group, _ in table.groups)
    lines = [[*([table.grouped_by] if grouped else []), *table.columns]]
    for group, rows in table.groups:
        lines += [[*([group] if grouped else []), *map(_cell_text, row)] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    named = len(lines[0]) - len(table.columns) + 1
    text = [
        "  ".join(
            word.ljust(width) if column < named else word.rjust(width)
            for column, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([table.title, *text])


def _cell_text(cell: TableCell) -> str:
    text = f"*{cell.text}" if cell.mark == "best" else cell.text
    return " ".join([text, *cell.under])
