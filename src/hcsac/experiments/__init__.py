"""The comparison: grids of cells, where they run, and the tables, pictures and report made from them."""

from hcsac.experiments.local import LocalLauncher
from hcsac.experiments.ray_cluster import RayLauncher, gpus_for
from hcsac.experiments.record import Record, begin, read_record
from hcsac.experiments.report import write_report
from hcsac.experiments.returns import behaviour_returns, collect_returns, read_returns, write_returns
from hcsac.experiments.scheduler import Launcher, require_all, run_cells
from hcsac.experiments.sharing_gain import find_runs, gains, gains_table, sharing_output, twin_cells
from hcsac.experiments.sharing_history import draw_flow, flow_table, row_story
from hcsac.experiments.status import status_table
from hcsac.experiments.storage import Mirror, is_url, local_copy, opened
from hcsac.experiments.study import Grid, read_grid, slides_grid
from hcsac.experiments.study_run import Cell
from hcsac.experiments.summary import Summary, summarise
from hcsac.experiments.table import write_csv

__all__ = [
    "Cell",
    "Grid",
    "Launcher",
    "LocalLauncher",
    "Mirror",
    "RayLauncher",
    "Record",
    "Summary",
    "begin",
    "behaviour_returns",
    "collect_returns",
    "draw_flow",
    "find_runs",
    "flow_table",
    "gains",
    "gains_table",
    "gpus_for",
    "is_url",
    "local_copy",
    "opened",
    "read_grid",
    "read_record",
    "read_returns",
    "require_all",
    "row_story",
    "run_cells",
    "sharing_output",
    "slides_grid",
    "status_table",
    "summarise",
    "twin_cells",
    "write_csv",
    "write_report",
    "write_returns",
]
