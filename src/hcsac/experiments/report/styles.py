"""The lines of a report: each variant of each agent, with one name, colour, dash and symbol through the whole page."""

import html
from collections.abc import Iterable
from typing import NamedTuple

from hcsac.experiments.study_run import Cell

# Places in Okabe and Ito's palette, which page.css holds for light and dark pages as --c0 to --c6.
_AGENTS = {"bc": 0, "csac": 1, "mtcsac": 2, "hcsac": 3}
_COLOURS = 7
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "triangle-down", "pentagon", "hexagon")

Key = tuple[str, str]  # variant, agent


class Series(NamedTuple):
    """How one variant of one agent is called and drawn."""

    key: Key
    name: str
    group: str  # what its traces are shown and hidden by
    colour: str  # a CSS variable, which the page resolves
    dash: str
    symbol: str
    shade: float  # how opaque its bands are: less where there are many

    @property
    def text(self) -> str:
        """Its name for a chart, which reads some HTML."""
        return plain(self.name)


def plain(text: str) -> str:
    """Text for a chart: Plotly takes `<b>` for a tag."""
    return html.escape(text, quote=False)


def series_of(cells: Iterable[Cell]) -> dict[Key, Series]:
    """Every variant of every agent, in the order of the grid."""
    keys = list(dict.fromkeys((cell.variant, cell.agent) for cell in cells))
    variants, agents = ({key[part] for key in keys} for part in (0, 1))
    found = {}
    for number, key in enumerate(keys):
        variant, agent = key
        if len(variants) == 1:
            name, place = agent.upper(), _AGENTS.get(agent, 4 + number)
        else:
            name = variant if len(agents) == 1 and variant else f"{variant} {agent.upper()}".strip()
            place = number
        found[key] = Series(
            key, name, f"s{number}", f"var(--c{place % _COLOURS})",
            _DASHES[place // _COLOURS % len(_DASHES)], _SYMBOLS[number % len(_SYMBOLS)],
            min(0.18, 0.8 / len(keys)),
        )  # fmt: skip
    return found
