"""What the documentation's site is given at build time: tables made from the code, and files kept elsewhere."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = ("benchmarks/RESULTS.md", "CHANGELOG.md", "experiments/*.toml")  # shown in the site, kept where they are
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
    """Markdown tables of a settings class, one for each group, from its fields and the presets."""
    from hcsac.algorithms import PRESETS, preset
    from hcsac.collection import CollectSettings
    from hcsac.settings import Settings

    kind = {"Settings": Settings, "CollectSettings": CollectSettings}[name]
    presets = {word: preset(word, "hcsac") for word in PRESETS} if kind is Settings else {"default": kind()}
    hints = get_type_hints(kind)
    lines = []
    for title, names in groups(kind):
        if title:
            lines += [f"## {title.removeprefix('the ').capitalize()}", ""]
        lines += [f"| setting | {' | '.join(presets)} |", "| --- |" + " --- |" * len(presets)]
        for entry in fields(kind):
            if entry.name in names:
                given = [_value(getattr(held, entry.name)) for held in presets.values()]
                values = [given[0], *(value if value != given[0] else "" for value in given[1:])]
                meaning = f"{entry.metadata['help']}; *{_values(entry, hints[entry.name])}*"
                cells = [f"`{entry.name}`<br>{meaning}", *values]
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def groups(kind: type) -> Iterator[tuple[str, list[str]]]:
    """Title and fields of each group: the comments that stand by themselves between the fields of the class."""
    import inspect

    title: str = ""
    names: list[str] = []
    for line in inspect.getsource(kind).splitlines():
        if found := re.match(r"    # (.+)", line):
            if names:
                yield title, names
            title, names = found[1], []
        elif found := re.match(r"    (\w+): ", line):
            names.append(found[1])
    yield title, names


def _value(value: Any) -> str:
    """As it is written in TOML; a dash for what the machine or another setting decides."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _values(entry: Any, hint: Any) -> str:
    from hcsac.settings import choices, plain_type

    if words := choices(hint):
        return ", ".join(f'"{word}"' for word in words)
    low, high = entry.metadata["low"], entry.metadata["high"]
    kind = {int: "whole number", float: "number", bool: "true, false", str: "text"}[plain_type(hint)]
    if low == float("-inf"):
        return kind
    return f"{kind}, {low:g} to {high:g}" if high < float("inf") else f"{kind}, {low:g} or more"
