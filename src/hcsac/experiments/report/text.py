"""A report's tables for a terminal: aligned columns, nothing marked up."""

from hcsac.experiments.report.tables import Box, Table


def table_text(table: Table) -> str:
    """Title, columns, rows; what stands below a number on the page stands behind it here, the best carries a star."""
    grouped = any(group for group, _ in table.groups)
    lines = [[*(["Dataset"] if grouped else []), *table.columns]]
    for group, rows in table.groups:
        lines += [[*([group] if grouped else []), *map(_box, row)] for row in rows]
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


def _box(box: Box) -> str:
    return " ".join(["*" * (box.mark == "best") + box.text, *box.under])
