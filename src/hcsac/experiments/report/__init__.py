"""The report of a grid: one page that needs nothing else, and its Markdown twin, from the directories of its runs."""

from hcsac.experiments.report.html import write_report

__all__ = ["write_report"]
