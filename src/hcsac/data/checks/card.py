"""The written card of an examination: Markdown for people, JSON for programs, one pair of files a dataset."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hcsac.data.checks.findings import Report
from hcsac.data.checks.matrix import Matrix
from hcsac.errors import UserError

_FORMAT = "hcsac data card"
_OFFSETS = "Offset k (-1, 0, +1): what belongs to step t was looked for in row t + k. Sound data match at 0."


def claim(folder: Path, datasets: Iterable[str], matrix: bool) -> None:
    """Refuse, before any work is done, what `write` would have to overwrite.

    A card of the same dataset is replaced, anything else that has its name is not: `UserError`. So is a folder that
    cannot be one, and two datasets whose cards would have one name.
    """
    taken: dict[str, str] = {}
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder for the cards.")
    for subject in [*datasets, *(["matrix"] if matrix else [])]:
        name = _name(subject)
        if name in taken:
            raise UserError(f"the cards of {taken[name]} and {subject} would both be {name}.md; check them apart.")
        taken[name] = subject
        markdown, numbers = folder / f"{name}.md", folder / f"{name}.json"
        if (markdown.exists() or numbers.exists()) and _subject_of(numbers) != subject:
            raise UserError(f"{markdown} is not a card of {subject} and would be overwritten; name another folder.")


def write(folder: Path, report: Report, matrix: Matrix | None = None) -> list[Path]:
    """Write the card of one dataset, [Markdown, JSON], with the matrix it is part of; refuses as `claim` does."""
    claim(folder, [report.dataset], matrix=False)
    return _write(folder, report.dataset, markdown(report, matrix), as_json(report, matrix))


def write_matrix(folder: Path, matrix: Matrix) -> list[Path]:
    """Write matrix.md and matrix.json; refuses as `claim` does."""
    claim(folder, [], matrix=True)
    return _write(folder, "matrix", f"# Cross-task matrix\n\n{matrix.markdown()}\n", matrix.as_json())


def markdown(report: Report, matrix: Matrix | None = None) -> str:
    """The card as a page that needs no program to be understood."""
    lines = [f"# {report.dataset}", "", f"Examined as data of the task `{report.task}`: **{report.verdict}**.", ""]
    lines += ["## Findings", ""]
    if not report.findings:
        lines += ["None.", ""]
    for finding in report.findings:
        lines += [f"- **{finding.severity}: {finding.kind}.** {finding.evidence}", f"  Mend: {finding.mend}"]
    lines += [""] if report.findings else []
    lines += ["An error teaches an agent something false; a warning is probably not what was meant.", ""]
    lines += ["## What was examined", "", "| examined | result | what was seen |", "| --- | --- | --- |"]
    drawn = []
    for look in report.looks:
        head, *picture = look.said.split("\n")
        lines.append(f"| {look.name} | {look.status} | {head.replace('|', '/')} |")
        if picture:
            drawn += ["", f"### {look.name.capitalize()}", "", "```", *picture, "```"]
    lines += ["", _OFFSETS, *drawn]
    if matrix is not None:
        lines += ["", "### Under the rewards of every task", "", matrix.markdown()]
    return "\n".join([*lines, ""])


def as_json(report: Report, matrix: Matrix | None = None) -> dict[str, Any]:
    """The card as JSON values; `cross_task` is the matrix, or null where the dataset was examined alone."""
    looks = [
        {"name": look.name, "status": look.status, "said": look.said, "numbers": look.numbers or {}}
        for look in report.looks
    ]
    return {"task": report.task, "passed": report.passed, "verdict": report.verdict,
            "findings": [vars(finding) for finding in report.findings], "looks": looks,
            "cross_task": None if matrix is None else matrix.as_json()}  # fmt: skip


def _write(folder: Path, subject: str, text: str, numbers: dict[str, Any]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    told = {"format": _FORMAT, "dataset": subject, **numbers}
    paths = [folder / f"{_name(subject)}.md", folder / f"{_name(subject)}.json"]
    for path, content in zip(paths, (text, json.dumps(told, indent=1, allow_nan=False) + "\n"), strict=True):
        part = path.with_name(path.name + ".part")
        part.write_text(content)
        os.replace(part, path)
    return paths


def _name(subject: str) -> str:
    return re.sub(r"[^-\w]+", "-", subject).strip("-") or "data"


def _subject_of(numbers: Path) -> str | None:
    """Which dataset the card in this JSON file is of; None if it is no card."""
    try:
        told = json.loads(numbers.read_text())
    except (OSError, ValueError):
        return None
    return told.get("dataset") if isinstance(told, dict) and told.get("format") == _FORMAT else None
