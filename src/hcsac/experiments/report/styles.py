"""The series of a report: each variant of each algorithm, with one name, colour, dash and symbol on the whole page."""

import html
from collections.abc import Iterable
from typing import NamedTuple

from hcsac.experiments.study_run import StudyRun

# Places in Okabe and Ito's palette, which page.css defines for light and dark pages as --c0 to --c6.
_PLACES = {"bc": 0, "csac": 1, "mtcsac": 2, "hcsac": 3}
_COLOURS = 7
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "triangle-down", "pentagon", "hexagon")

Key = tuple[str, str]  # variant, algorithm


class Series(NamedTuple):
    """Name and style of one variant of one algorithm."""

    key: Key
    name: str
    group: str  # id by which the legend shows and hides its traces
    colour: str  # a CSS variable that the page defines
    dash: str
    symbol: str
    shade: float  # opacity of its bands: less where there are many series

    @property
    def text(self) -> str:
        """Its name for a chart, which reads some HTML."""
        return plain(self.name)


def plain(text: str) -> str:
    """Text for a chart: Plotly takes `<b>` for a tag."""
    return html.escape(text, quote=False)


def series_of(runs: Iterable[StudyRun]) -> dict[Key, Series]:
    """Every variant of every algorithm, in the order of the study."""
    keys = list(dict.fromkeys(run.key for run in runs))
    variants, algorithms = ({key[part] for key in keys} for part in (0, 1))
    series = {}
    for number, key in enumerate(keys):
        variant, algorithm = key
        if len(variants) == 1:
            name, place = algorithm.upper(), _PLACES.get(algorithm, 4 + number)
        else:
            name = variant if len(algorithms) == 1 and variant else f"{variant} {algorithm.upper()}".strip()
            place = number
        series[key] = Series(
            key=key,
            name=name,
            group=f"s{number}",
            colour=f"var(--c{place % _COLOURS})",
            dash=_DASHES[place // _COLOURS % len(_DASHES)],
            symbol=_SYMBOLS[number % len(_SYMBOLS)],
            shade=min(0.18, 0.8 / len(keys)),
        )
    return series
