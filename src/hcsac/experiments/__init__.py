"""The comparison: cells, where they run, and the tables and pictures made from them."""

from hcsac.experiments.curves import draw_curves
from hcsac.experiments.flow import draw_flow, flow_table, row_story
from hcsac.experiments.grid import Cell, slides_grid
from hcsac.experiments.launch import run_cells, seconds_of
from hcsac.experiments.returns import behaviour_returns, collect_returns, read_returns, write_returns
from hcsac.experiments.summary import Summary, summarise
from hcsac.experiments.table import collect_results, markdown, write_csv
from hcsac.experiments.worth import find_runs, gains, gains_table, twin_cells

__all__ = [
    "Cell",
    "Summary",
    "behaviour_returns",
    "collect_results",
    "collect_returns",
    "draw_curves",
    "draw_flow",
    "find_runs",
    "flow_table",
    "gains",
    "gains_table",
    "markdown",
    "read_returns",
    "row_story",
    "run_cells",
    "seconds_of",
    "slides_grid",
    "summarise",
    "twin_cells",
    "write_csv",
    "write_returns",
]
