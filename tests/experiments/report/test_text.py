"""Tables for a terminal, against what they must look like."""

from hcsac.experiments.report.tables import Table, TableCell
from hcsac.experiments.report.text import table_text


def test_columns_are_aligned_and_the_best_carries_a_star():
    rows = [
        [TableCell("walk"), TableCell("900.1 ± 3.0", under=("+1.0",)), TableCell("85.0", mark="best")],
        [TableCell("average"), TableCell("7"), TableCell("1,000.0")],
    ]
    table = Table("Last policy", ("Task", "BC", "HCSAC"), [("medium", rows)])
    assert table_text(table).splitlines() == [
        "Last policy",
        f"Dataset  Task     {'BC':>16}    HCSAC",
        "medium   walk     900.1 ± 3.0 +1.0    *85.0",
        f"medium   average  {'7':>16}  1,000.0",
    ]
    alone = Table("Last policy", ("Task", "BC"), [("", [[TableCell("walk"), TableCell("7")]])])
    assert table_text(alone).splitlines() == ["Last policy", "Task  BC", "walk   7"]
