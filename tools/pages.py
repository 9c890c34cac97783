"""What the documentation's site is given at build time: tables made from the code, and files kept elsewhere."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = (
    "benchmarks/RESULTS.md",
    "CHANGELOG.md",
    "experiments/*.toml",
    "experiments/*.py",
)  # shown in the site, kept where they are
TABLE = re.compile(r"^<!-- settings of (\w+) -->$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Spell out entries of the navigation that name all pages of a folder."""
    assert isinstance(config.nav, list)
    docs = Path(config.docs_dir)
    for entry in config.nav:
        for title, what in entry.items():
            if isinstance(what, str) and what.endswith("/*"):
                entry[title] = sorted(str(path.relative_to(docs)) for path in docs.glob(f"{what}.md"))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files from outside of docs/."""
    for path in outside():
        files.append(File.generated(config, str(path), content=(ROOT / path).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the tables, and lead links to files from outside to their place in the site."""
    if TABLE.search(markdown):
        markdown = TABLE.sub(lambda found: settings_table(found[1]), markdown)
        page.meta["search"] = {"boost": 2}  # who looks for a setting wants its line
    up = "../" * page.file.src_uri.count("/")
    if page.file.src_uri in map(str, outside()):  # it says docs/x.md, or ../docs/x.md, of what lies at x.md here
        return re.sub(rf"\]\({up}docs/", f"]({up}", markdown)
    for path in outside():
        markdown = markdown.replace(f"](../{up}{path}", f"]({up}{path}")
    return markdown


def outside() -> list[Path]:
    """The files from outside, as paths from the root."""
    return [path.relative_to(ROOT) for pattern in OUTSIDE for path in sorted(ROOT.glob(pattern))]


def settings_table(name: str) -> str:
    """Markdown tables of settings, one for each group: of every algorithm (Settings), or of the collection."""
    from hcsac.collection import CollectSettings

    if name == "CollectSettings":
        hints = get_type_hints(CollectSettings)
        rows = [_row(entry, hints[entry.name], [_value(entry.default)]) for entry in fields(CollectSettings)]
        return "\n".join(["| setting | default |", "| --- | --- |", *rows, ""])
    return _settings_of_algorithms()


def _settings_of_algorithms() -> str:
    from hcsac.algorithms import ALGORITHMS, PRESETS, preset, settings_of
    from hcsac.settings import groups

    owners: dict[str, list[str]] = {}  # setting -> algorithms that have it
    found: dict[str, dict[str, tuple[Any, Any, list[str]]]] = {}  # group -> setting -> field, hint, its presets' values
    for algorithm in ("hcsac", *ALGORITHMS.names()):
        kind = settings_of(algorithm)
        hints = get_type_hints(kind)
        for title, entries in groups(kind).items():
            for entry in entries:
                owners.setdefault(entry.name, []).append(algorithm)
                values = [_value(getattr(preset(word, algorithm), entry.name)) for word in PRESETS]
                found.setdefault(title, {}).setdefault(entry.name, (entry, hints[entry.name], values))
    lines = []
    for title, entries in found.items():
        lines += [
            f"## {title}",
            "",
            f"| setting | algorithms | {' | '.join(PRESETS)} |",
            "|" + " --- |" * (2 + len(PRESETS)),
        ]
        for entry, hint, values in entries.values():
            of = list(dict.fromkeys(owners[entry.name]))
            some = "all" if len(of) == len(ALGORITHMS.names()) else ", ".join(f"`{word}`" for word in sorted(of))
            short = [values[0], *(value if value != values[0] else "" for value in values[1:])]
            lines.append(_row(entry, hint, [some, *short]))
        lines.append("")
    return "\n".join(lines)


def _row(entry: Any, hint: Any, cells: list[str]) -> str:
    meaning = f"`{entry.name}`<br>{entry.metadata['help']}; *{_values(entry, hint)}*"
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (meaning, *cells)) + " |"


def _value(value: Any) -> str:
    """As it is written in TOML; a dash for what the machine or another setting decides."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _values(entry: Any, hint: Any) -> str:
    from hcsac.settings import choices, plain_type

    if words := choices(hint, entry.metadata):
        return ", ".join(f'"{word}"' for word in words)
    low, high = entry.metadata["low"], entry.metadata["high"]
    kind = {int: "whole number", float: "number", bool: "true, false", str: "text"}[plain_type(hint)]
    if low == float("-inf"):
        return kind
    return f"{kind}, {low:g} to {high:g}" if high < float("inf") else f"{kind}, {low:g} or more"
