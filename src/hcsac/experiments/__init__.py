"""Studies: which runs they consist of, where these are executed, and the tables, charts and report made from them."""

from typing import TYPE_CHECKING

from hcsac.lazy import at_first_use

if TYPE_CHECKING:
    from hcsac.experiments.asked_chart import draw_asked
    from hcsac.experiments.comparisons import Compared, compare
    from hcsac.experiments.local import LocalLauncher
    from hcsac.experiments.metrics import METRICS, metric
    from hcsac.experiments.ray_cluster import RayLauncher, gpus_for
    from hcsac.experiments.record import StudyRecord, read_record, start_study
    from hcsac.experiments.report import summary_tables, write_report
    from hcsac.experiments.returns import collect_returns, dataset_returns, read_returns, write_returns
    from hcsac.experiments.scheduler import Launcher, RunResult, require_all, run_all
    from hcsac.experiments.sharing_gain import (
        SharingGain,
        find_runs,
        gain_runs,
        gain_table,
        sharing_gains,
        sharing_output,
    )
    from hcsac.experiments.sharing_history import draw_sharing_history, sharing_history_table, transition_history_text
    from hcsac.experiments.status import status_table
    from hcsac.experiments.storage import Mirror, is_url, local_copy, opened
    from hcsac.experiments.study import Study, read_study, slides_study
    from hcsac.experiments.study_run import StudyRun
    from hcsac.experiments.summary import Summary, summarise
    from hcsac.experiments.table import read_metrics, write_csv, write_metrics
    from hcsac.experiments.words import plural

__all__ = [
    "METRICS",
    "Compared",
    "Launcher",
    "LocalLauncher",
    "Mirror",
    "RayLauncher",
    "RunResult",
    "SharingGain",
    "Study",
    "StudyRecord",
    "StudyRun",
    "Summary",
    "collect_returns",
    "compare",
    "dataset_returns",
    "draw_asked",
    "draw_sharing_history",
    "find_runs",
    "gain_runs",
    "gain_table",
    "gpus_for",
    "is_url",
    "local_copy",
    "metric",
    "opened",
    "plural",
    "read_metrics",
    "read_record",
    "read_returns",
    "read_study",
    "require_all",
    "run_all",
    "sharing_gains",
    "sharing_history_table",
    "sharing_output",
    "slides_study",
    "start_study",
    "status_table",
    "summarise",
    "summary_tables",
    "transition_history_text",
    "write_csv",
    "write_metrics",
    "write_report",
    "write_returns",
]

# Where each is defined; `study status` needs few of them, and no torch.
__getattr__ = at_first_use(
    __name__,
    {
        "asked_chart": ("draw_asked",),
        "comparisons": ("Compared", "compare"),
        "local": ("LocalLauncher",),
        "metrics": ("METRICS", "metric"),
        "ray_cluster": ("RayLauncher", "gpus_for"),
        "record": ("StudyRecord", "read_record", "start_study"),
        "report": ("summary_tables", "write_report"),
        "returns": ("collect_returns", "dataset_returns", "read_returns", "write_returns"),
        "scheduler": ("Launcher", "RunResult", "require_all", "run_all"),
        "sharing_gain": ("SharingGain", "find_runs", "gain_runs", "gain_table", "sharing_gains", "sharing_output"),
        "sharing_history": ("draw_sharing_history", "sharing_history_table", "transition_history_text"),
        "status": ("status_table",),
        "storage": ("Mirror", "is_url", "local_copy", "opened"),
        "study": ("Study", "read_study", "slides_study"),
        "study_run": ("StudyRun",),
        "summary": ("Summary", "summarise"),
        "table": ("read_metrics", "write_csv", "write_metrics"),
        "words": ("plural",),
    },
)
