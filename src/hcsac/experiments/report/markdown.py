"""The Markdown twin of a report: its texts and tables in GitHub's flavour."""

from hcsac.experiments.report.sections import Report
from hcsac.experiments.report.tables import Box, Table


def markdown(report: Report, page: str) -> str:
    """The whole report but charts and videos; `page` names the file that has these."""
    lines = [f"# {_escaped(report.title)}", ""]
    lines += [_escaped(report.description), ""] * bool(report.description)
    lines += [_escaped(report.facts), ""]
    counts = ", ".join(f"{value} {name}" for name, value in report.counts)
    lines += [f"{counts}. Charts and videos: [{page}]({page}).", ""]
    for text in report.warnings:
        lines += [f"> {_escaped(text)}", ""]
    for section in report.sections:
        own = []
        for part in section.parts:
            shown = [table_markdown(table) for table in part.tables if table.groups]
            heading = part.heading or part.folded
            if not shown and part.charts:
                continue
            own += [f"### {_escaped(heading)}", ""] * bool(heading)
            for text in part.texts:
                own += [_escaped(text), ""]
            for table, text in zip(part.tables, shown, strict=False):
                own += [text, ""] + [table.note, ""] * bool(table.note)
        if any(own) and section.anchor != "videos":
            lines += [f"## {section.title}", "", *own]
    return "\n".join(lines).rstrip() + "\n"


def table_markdown(table: Table) -> str:
    """A table; the groups of its rows become the first column, where they have names."""
    grouped = any(group for group, _ in table.groups)
    heads = [*(["Dataset"] if grouped else []), *table.columns]
    named = len(heads) - len(table.columns) + 1
    rest = "---" if table.words else "---:"
    lines = [_row([_escaped(head) for head in heads]), _row(["---"] * named + [rest] * (len(heads) - named))]
    for group, rows in table.groups:
        lines += [_row(([_escaped(group)] if grouped else []) + [_box(box) for box in row]) for row in rows]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _box(box: Box) -> str:
    text = _escaped(box.text)
    bold = f"**{text}**" if box.mark in ("best", "changed") else text
    return "<br>".join([bold, *map(_escaped, box.under)])


def _escaped(text: str) -> str:
    """Text that means itself in a table of GitHub's Markdown."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    for sign in "\\`*[]|":
        text = text.replace(sign, f"\\{sign}")
    return text
