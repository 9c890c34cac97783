"""A study's report on disk: the page, its Markdown copy and the returns."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from hcsac import files
from hcsac.errors import UserError, needs
from hcsac.experiments.files import write_text
from hcsac.experiments.record import StudyRecord
from hcsac.experiments.report.load import load_study
from hcsac.experiments.report.markdown import markdown
from hcsac.experiments.report.sections import Report, build_report
from hcsac.experiments.report.text import table_text
from hcsac.experiments.report.videos import render_clips
from hcsac.experiments.returns import read_returns, write_returns
from hcsac.experiments.summary import Summary
from hcsac.experiments.table import read_metrics, write_metrics

RETURNS, METRICS = files.RETURNS, files.REPORT_METRICS
GENERATOR = "hcsac study report"
GENERATORS = (GENERATOR, "hcsac grid report")  # that earlier reports carry; the second one is that of hcsac 0.1
_NO_VIDEOS = "Videos were left out."


class Written(NamedTuple):
    """The files of a report, and what a terminal shows of it."""

    page: Path  # HTML
    markdown: Path
    returns: Path  # Parquet
    metrics: Path  # Parquet
    summary: Summary
    tables: str  # of the returns, as plain text
    note: str  # on the videos


def write_report(
    record: StudyRecord,
    output: Path | None = None,
    events_log: Path | None = None,
    videos: bool = True,
    log: Callable[[str], None] = lambda text: None,
) -> Written:
    """Write the report of a study: one HTML file that works offline, its tables as Markdown, returns and metrics.

    Args:
        output: the HTML file (default: `report.html` in the directory of the study). The Markdown copy has the same
            name with the suffix `.md`; `returns.parquet` beside it has every return, `metrics.parquet` every
            metric of every seed. Earlier reports are replaced.
        events_log: the events of the study (default: `events.jsonl` in its directory).
        log: called with a line per step of the work.

    Raises:
        UserError: no run is finished yet; a file of another kind is in the way; a file cannot be written.
    """
    page = output or record.output / files.REPORT
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{page} does not end in .html; the report is an HTML file.")
    copy, returns, metrics = page.with_suffix(".md"), page.with_name(RETURNS), page.with_name(METRICS)
    _require_replaceable(page, 'content="{}')
    _require_replaceable(copy, "<!-- {} -->\n")
    _require_replaceable_table(returns, read_returns)
    _require_replaceable_table(metrics, read_metrics)
    loaded = load_study(record, events_log or record.output / files.EVENTS, log)
    clips, note = render_clips(loaded.finished, log) if videos else ([], _NO_VIDEOS)
    report = build_report(loaded, clips, note, returns.name, copy.name)
    log("writing")
    write_returns(loaded.table, returns)
    write_metrics(loaded.summary, metrics)
    write_text(copy, f"<!-- {GENERATOR} -->\n" + markdown(report, page.name))
    write_text(page, page_of(report))
    return Written(page, copy, returns, metrics, loaded.summary, _tables_text(report), note)


def summary_tables(
    record: StudyRecord, events_log: Path, log: Callable[[str], None] = lambda text: None
) -> tuple[Summary, str]:
    """The statistics of a study, and its tables of returns and metrics as plain text.

    Raises:
        UserError: no run is finished yet.
    """
    loaded = load_study(record, events_log, log)
    return loaded.summary, _tables_text(build_report(loaded, [], "", "", ""))


def _tables_text(report: Report) -> str:
    """The tables of the first section, that of returns, as plain text."""
    return "\n\n".join(table_text(table) for part in report.sections[0].parts for table in part.tables)


def page_of(report: Report) -> str:
    """The HTML page, with its styles, scripts and data."""
    with needs("report"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
        from plotly.offline import get_plotlyjs

    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    assets = {name: Markup((here / f"page.{name}").read_text()) for name in ("css", "js")}
    generator = f"{GENERATOR} {version('hcsac')}"
    return environment.get_template("page.html.j2").render(
        report=report, generator=generator, plotly=Markup(get_plotlyjs()), **assets
    )


def _require_replaceable(path: Path, mark: str) -> None:
    """Raise `UserError` if `path` exists and does not begin as a report does, with a generator in `mark`."""
    if not path.exists():
        return
    try:
        with open(path, errors="replace") as file:
            start = file.read(2000)
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); choose another --output.") from error
    if not any(mark.format(generator) in start for generator in GENERATORS):
        raise UserError(f"{path} exists and is not an earlier report; choose another --output.")


def _require_replaceable_table(path: Path, read: Callable[[Path], object]) -> None:
    if path.exists():
        try:
            read(path)
        except UserError as error:
            raise UserError(f"{path} exists and is not an earlier report's; choose another --output.") from error
