"""The doctor: a full examination of a dataset, every fault named, with its evidence and its mend."""

from hcsac.data.checks.check import STEPS, check, examine
from hcsac.data.checks.findings import ERROR, KINDS, NOTE, WARNING, Finding, Look, Report
from hcsac.data.checks.matrix import SAMPLED, Matrix, cross_task

__all__ = [
    "ERROR", "KINDS", "NOTE", "SAMPLED", "STEPS", "WARNING", "Finding", "Look", "Matrix", "Report",
    "check", "cross_task", "examine",
]  # fmt: skip
