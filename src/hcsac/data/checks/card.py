"""The written results of the checks: Markdown for people, JSON for programs, one pair of files a dataset."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hcsac.data.checks.findings import Report
from hcsac.data.checks.matrix import Matrix
from hcsac.errors import UserError
from hcsac.files import parse_json

_FORMAT = "hcsac data card"
_OFFSETS = "Offset k (-1, 0, +1): the value of step t was compared with row t + k. Correct data match at 0."


def require_free(folder: Path, datasets: Iterable[str], matrix: bool) -> None:
    """Find out, before any work is done, whether `write` would have to overwrite something.

    A card of the same dataset is replaced.

    Raises:
        UserError: a file of that name is something else, `folder` is a file, or two cards would have the same name.
    """
    taken: dict[str, str] = {}
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder for the cards.")
    for subject in [*datasets, *(["matrix"] if matrix else [])]:
        name = _name(subject)
        if name in taken:
            raise UserError(
                f"the cards of {taken[name]} and {subject} would both be {name}.md; check them one at a time."
            )
        taken[name] = subject
        markdown, numbers = folder / f"{name}.md", folder / f"{name}.json"
        if (markdown.exists() or numbers.exists()) and _subject_of(numbers) != subject:
            raise UserError(f"{markdown} is not a card of {subject} and would be overwritten; name another folder.")


def write(folder: Path, report: Report, matrix: Matrix | None = None) -> list[Path]:
    """Write the card of one dataset, [Markdown, JSON], with the matrix it is part of; raises as `require_free`."""
    require_free(folder, [report.dataset], matrix=False)
    return _write(folder, report.dataset, markdown(report, matrix), as_json(report, matrix))


def write_matrix(folder: Path, matrix: Matrix) -> list[Path]:
    """Write matrix.md and matrix.json; raises as `require_free`."""
    require_free(folder, [], matrix=True)
    return _write(folder, "matrix", f"# Cross-task matrix\n\n{matrix.markdown()}\n", matrix.as_json())


def markdown(report: Report, matrix: Matrix | None = None) -> str:
    """The card as a Markdown page."""
    lines = [f"# {report.dataset}", "", f"Checked as data of the task `{report.task}`: **{report.verdict}**.", ""]
    lines += ["## Findings", ""]
    if not report.findings:
        lines += ["None.", ""]
    for finding in report.findings:
        lines += [f"- **{finding.severity}: {finding.kind}.** {finding.evidence}", f"  To fix: {finding.fix}"]
    lines += [""] if report.findings else []
    lines += ["Training on data with an error gives wrong results; a warning is probably unintended.", ""]
    lines += ["## Checks", "", "| check | result | measured |", "| --- | --- | --- |"]
    drawn = []
    for check in report.checks:
        head, *histogram = check.message.split("\n")
        lines.append(f"| {check.name} | {check.status} | {head.replace('|', '/')} |")
        if histogram:
            drawn += ["", f"### {check.name.capitalize()}", "", "```", *histogram, "```"]
    lines += ["", _OFFSETS, *drawn]
    if matrix is not None:
        lines += ["", "### Under the rewards of every task", "", matrix.markdown()]
    return "\n".join([*lines, ""])


def as_json(report: Report, matrix: Matrix | None = None) -> dict[str, Any]:
    """The card as JSON values; `cross_task` is the matrix, or null where the dataset was checked alone."""
    checks = [
        {"name": check.name, "status": check.status, "message": check.message, "numbers": check.numbers or {}}
        for check in report.checks
    ]
    return {
        "task": report.task,
        "passed": report.passed,
        "verdict": report.verdict,
        "findings": [vars(finding) for finding in report.findings],
        "checks": checks,
        "cross_task": None if matrix is None else matrix.as_json(),
    }


def _write(folder: Path, subject: str, text: str, numbers: dict[str, Any]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"format": _FORMAT, "dataset": subject, **numbers}
    paths = [folder / f"{_name(subject)}.md", folder / f"{_name(subject)}.json"]
    for path, written in zip(paths, (text, json.dumps(content, indent=1, allow_nan=False) + "\n"), strict=True):
        part = path.with_name(path.name + ".part")
        part.write_text(written)
        os.replace(part, path)
    return paths


def _name(subject: str) -> str:
    return re.sub(r"[^-\w]+", "-", subject).strip("-") or "data"


def _subject_of(numbers: Path) -> str | None:
    """Which dataset the card in this JSON file is of; None if it is no card."""
    try:
        card = parse_json(numbers.read_text())
    except (OSError, ValueError):
        return None
    return card.get("dataset") if isinstance(card, dict) and card.get("format") == _FORMAT else None
