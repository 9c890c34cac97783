"""The Markdown copy of a report: its texts and tables in GitHub's flavour."""

from collections.abc import Sequence

from hcsac.experiments.report.sections import Part, Report
from hcsac.experiments.report.tables import Table, TableCell


def markdown(report: Report, page: str) -> str:
    """The whole report except charts and videos; `page` is the name of the HTML file, which has these."""
    lines = [f"# {_escaped(report.title)}", ""]
    if report.description:
        lines += [_escaped(report.description), ""]
    lines += [_escaped(report.facts), ""]
    counts = ", ".join(f"{value} {name}" for name, value in report.counts)
    lines += [f"{counts}. Charts and videos: [{page}]({page}).", ""]
    for text in report.warnings:
        lines += [f"> {_escaped(text)}", ""]
    for section in report.sections:
        own = [line for part in section.parts for line in _part(part)]
        if any(own) and section.anchor != "videos":
            lines += [f"## {section.title}", "", *own]
    return "\n".join(lines).rstrip() + "\n"


def _part(part: Part) -> Sequence[str]:
    """The lines of a part; none for one of charts alone."""
    tables = [table for table in part.tables if table.groups]
    if not tables and part.charts:
        return []
    lines = []
    if heading := part.heading or part.folded:
        lines += [f"### {_escaped(heading)}", ""]
    for text in part.texts:
        lines += [_escaped(text), ""]
    for table in tables:
        lines += [table_markdown(table), ""]
        if table.note:
            lines += [table.note, ""]
    return lines


def table_markdown(table: Table) -> str:
    """A table; the groups of its rows become the first column, where they have names."""
    grouped = any(group for group, _ in table.groups)
    heads = [*([table.grouped_by] if grouped else []), *table.columns]
    named = len(heads) - len(table.columns) + 1
    rest = "---" if table.words else "---:"
    lines = [_row([_escaped(head) for head in heads]), _row(["---"] * named + [rest] * (len(heads) - named))]
    for group, rows in table.groups:
        lines += [_row(([_escaped(group)] if grouped else []) + [_cell_text(cell) for cell in row]) for row in rows]
    return "\n".join(lines)


def _row(texts: list[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _cell_text(cell: TableCell) -> str:
    text = _escaped(cell.text)
    bold = f"**{text}**" if cell.mark in ("best", "changed") else text
    return "<br>".join([bold, *map(_escaped, cell.under)])


def _escaped(text: str) -> str:
    """Text that GitHub's Markdown shows as it is, also in a table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    for sign in "\\`*[]|":
        text = text.replace(sign, f"\\{sign}")
    return text
