"""A grid's report on disk: the page, its Markdown twin and the returns, each written whole or not at all."""

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from hcsac.errors import UserError
from hcsac.experiments.record import Record
from hcsac.experiments.report.load import gather
from hcsac.experiments.report.markdown import markdown
from hcsac.experiments.report.sections import Report, compose
from hcsac.experiments.report.text import table_text
from hcsac.experiments.report.videos import film
from hcsac.experiments.returns import read_returns, write_returns
from hcsac.experiments.summary import Summary

RETURNS = "returns.parquet"
GENERATOR = "hcsac grid report"  # by which a report of ours is known
_TWIN = f"<!-- {GENERATOR} -->\n"
_NO_VIDEOS = "Videos were left out."


class Written(NamedTuple):
    """What was written."""

    page: Path
    twin: Path
    returns: Path
    summary: Summary
    tables: str  # of the returns, as plain text
    note: str  # on the videos


def write_report(
    record: Record,
    output: Path | None = None,
    log: Path | None = None,
    videos: bool = True,
    tell: Callable[[str], None] = lambda text: None,
) -> Written:
    """Write the report of a grid: one HTML file that needs nothing else, the same tables as Markdown, and the returns.

    Args:
        output: the HTML file (default: `report.html` in the grid's output); the twin lies beside it with the suffix
            `.md`, the returns as `returns.parquet`. Earlier reports are replaced.
        log: the grid's events (default: `events.jsonl` in its output).
        tell: is told what is being done.

    Raises:
        UserError: no cell is finished yet; a file is in the way that is no earlier report; a place cannot be written.
    """
    page = output or record.output / "report.html"
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{page} does not end in .html, and the report is a page; give such a name.")
    twin, returns = page.with_suffix(".md"), page.with_name(RETURNS)
    _require_ours(page, twin, returns)
    gathered = gather(record, log or record.output / "events.jsonl", tell)
    clips, note = film(gathered.finished, tell) if videos else ([], _NO_VIDEOS)
    report = compose(gathered, clips, note, returns.name, twin.name)
    tell("writing")
    write_returns(gathered.table, returns)
    _write(twin, _TWIN + markdown(report, page.name))
    _write(page, page_of(report))
    tables = [table_text(table) for part in report.sections[0].parts for table in part.tables]
    return Written(page, twin, returns, gathered.summary, "\n\n".join(tables), note)


def page_of(report: Report) -> str:
    """The page, with all that it shows and all that draws it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    ours = {name: Markup((here / f"page.{name}").read_text()) for name in ("css", "js")}
    generator = f"{GENERATOR} {version('hcsac')}"
    return environment.get_template("page.html.j2").render(
        report=report, generator=generator, plotly=Markup(get_plotlyjs()), **ours
    )


def _require_ours(page: Path, twin: Path, returns: Path) -> None:
    for path, sign in ((page, f'content="{GENERATOR}'), (twin, _TWIN)):
        if path.exists():
            try:
                with open(path, errors="replace") as file:
                    ours = sign in file.read(2000)
            except OSError as error:
                raise UserError(f"cannot read {path} ({error.strerror}); choose another --output.") from error
            if not ours:
                raise UserError(f"{path} exists and is not an earlier report; choose another --output.")
    if returns.exists():
        try:
            read_returns(returns)
        except UserError as error:
            raise UserError(f"{returns} exists and is not an earlier report's; choose another --output.") from error


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        try:
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); choose another --output.") from error
