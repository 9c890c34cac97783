"""The report of a study: an HTML page that works offline, with a Markdown copy, made from its directory."""

from hcsac.experiments.report.html import summary_tables, write_report

__all__ = ["summary_tables", "write_report"]
